"""Augmentation of training rows: noise on embeddings, dropped prompt tokens, smoothed labels.

All draws are hashes of the row's own dropout key and of a position in the row (``counter_dropout``). So
neighbours, padding and a resume change nothing, and evaluation, whose rows have no ``Augment``, sees none.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from core.train.base.base_model import Base
from core.train.data.dataset import MASKED, Row
from core.train.kernels import counter_dropout, pinned_transfer

NOISE, DROPS = 1 << 20, (1 << 20) + 1  # places of draws, beyond those of all layers


class Augment(NamedTuple):
    """What is done to a row in training. ``noise``: NEFTune's alpha (Jain et al. 2023, arXiv 2310.05914);
    ``drop``: share of the prompt's tokens whose embedding is zeroed, as a whole (word dropout, Iyyer et al.
    2015; embedding dropout, Gal and Ghahramani 2016, here without rescaling); ``smoothing``: of the labels
    (Szegedy et al. 2016, arXiv 1512.00567)."""

    noise: float = 0.0
    drop: float = 0.0
    smoothing: float = 0.0

    @property
    def changes_embeddings(self) -> bool:
        """Whether it changes what the base model reads, and not only the loss."""
        return bool(self.noise or self.drop)


def find_augment(knobs: Mapping[str, Any]) -> Augment | None:
    """The augmentation that a trial's knobs ask for; None for none."""
    names = ("neftune_noise_alpha", "prompt_dropout", "label_smoothing")
    augment = Augment(*(float(knobs.get(name) or 0.0) for name in names))
    return augment if any(augment) else None


@contextlib.contextmanager
def embed(base: Base, rows: Sequence[tuple[Row, int, Augment | None]]) -> Iterator[None]:
    """Augment the embeddings of a pass over ``rows``, given with their keys, in the order of the batch."""
    if not any(augment is not None and augment.changes_embeddings for *_, augment in rows):
        yield
        return
    special = frozenset(getattr(base.tokenizer, "all_special_ids", ()))

    def change(_module: Any, _inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
        embedded = embedded.clone()
        _fill_with_zeros(embedded, [_find_drops(row, key, augment, special) for row, key, augment in rows])
        for line, (row, key, augment) in zip(embedded, rows, strict=True):
            if augment is not None and augment.noise:
                _add_noise(line, len(row.ids), key, augment.noise)
        return embedded

    handle = base.model.get_input_embeddings().register_forward_hook(change)
    try:
        yield
    finally:
        handle.remove()


def _find_drops(row: Row, key: int, augment: Augment | None, special: frozenset[int]) -> np.ndarray:
    """The places of the row's dropped tokens. The first token, special tokens and targets are never dropped:
    without the marks of turns it would be no chat."""
    if augment is None or not augment.drop:
        return np.empty(0, dtype=np.int64)
    keys = torch.tensor([key], dtype=torch.int32)
    limits = torch.tensor([counter_dropout.compute_threshold(augment.drop)], dtype=torch.int32)
    kept_mask = counter_dropout.mask(keys, limits, DROPS, len(row.ids), 1, torch.float32)
    may_drop = np.asarray(row.labels) == MASKED
    may_drop &= ~np.isin(np.asarray(row.ids), list(special))
    may_drop[0] = False
    return np.flatnonzero((kept_mask.flatten() == 0).numpy() & may_drop)


def _fill_with_zeros(embedded: torch.Tensor, drops: Sequence[np.ndarray]) -> None:
    """Zero the embeddings (rows, length, channels) at these places of each row."""
    length = embedded.shape[1]
    flat = np.concatenate([places + row * length for row, places in enumerate(drops)])
    if len(flat):
        (at,) = pinned_transfer.copy_to_device(embedded.device, torch.from_numpy(flat))
        embedded.flatten(0, 1).index_fill_(0, at, 0.0)


def _add_noise(line: torch.Tensor, length: int, key: int, alpha: float) -> None:
    """Add uniform noise in ± alpha / √(length · channels) to a row (padded length, channels). ``length`` is
    the row's own: by the padded one, the noise of a short row would depend on its neighbours."""
    width, channels = line.shape
    (keys,) = pinned_transfer.copy_to_device(line.device, torch.tensor([key], dtype=torch.int32))
    draws = counter_dropout.draw_uniforms(keys, NOISE, width, channels)[0, :length]
    line[:length] += (draws * (alpha / math.sqrt(length * channels))).to(line.dtype)


def find_smoothing(rows: Sequence[tuple[int, Augment | None]]) -> tuple[np.ndarray, np.ndarray] | None:
    """Which target tokens of a pass are smoothed, and how much, both (N,); None if none. ``rows`` are the
    numbers of targets, in the order of the batch."""
    shares = np.repeat(
        np.array([augment.smoothing if augment is not None else 0.0 for _, augment in rows], np.float32),
        [count for count, _ in rows],
    )
    at = np.flatnonzero(shares)
    return (at, shares[at]) if len(at) else None
