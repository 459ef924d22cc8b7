"""Padding-free batches: rows of different lengths are concatenated, so that hardly any padding is computed.

Each row is padded to whole blocks, so each block belongs to one trial: what follows sees blocks as rows of
one length, with the positions of their first tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from core.memory.estimate.rows_per_pass import BLOCK, round_to_blocks
from core.train.data.dataset import MASKED, Row
from core.train.kernels import row_attention
from core.train.kernels.row_attention import NAME, Bounds


class PaddingFreeBatch(NamedTuple):
    """Concatenated rows, on the host: token ids and positions (1, N) int64, the target tokens and the places
    that predict them (K,) int64, each row's length in whole blocks, and where it ends (rows + 1,) int32."""

    ids: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    at: torch.Tensor
    lengths: tuple[int, ...]
    ends: torch.Tensor


def concatenate(rows: Sequence[Row], pad_id: int) -> PaddingFreeBatch:
    """Concatenate rows."""
    lengths = tuple(round_to_blocks(len(row.ids)) for row in rows)
    ends = np.cumsum([0, *lengths], dtype=np.int32)
    ids = np.full(int(ends[-1]), pad_id, dtype=np.int64)
    labels = np.full_like(ids, MASKED)
    for row, begin in zip(rows, ends.tolist(), strict=False):
        ids[begin : begin + len(row.ids)] = row.ids
        labels[begin : begin + len(row.labels) - 1] = row.labels[1:]  # what each token but the last predicts
    positions = np.arange(len(ids)) - np.repeat(ends[:-1], lengths)
    at = np.flatnonzero(labels != MASKED)
    return PaddingFreeBatch(
        torch.from_numpy(ids)[None], torch.from_numpy(positions)[None], torch.from_numpy(labels[at]),
        torch.from_numpy(at), lengths, torch.from_numpy(ends),
    )  # fmt: skip


def find_block_starts(row: Row) -> range:
    """The positions of the first tokens of a row's blocks."""
    return range(0, len(row.ids), BLOCK)


class RowAttention:
    """Lets a base attend within the rows of a padding-free batch."""

    def __init__(self, model: Any) -> None:
        self._configs = list(_list_configs(model))

    @contextmanager
    def within(self, bounds: Bounds) -> Iterator[None]:
        """Attend within these rows, also where layers are computed again in the backward pass."""
        from transformers import AttentionInterface

        before = [(config, config._attn_implementation) for config in self._configs]
        AttentionInterface.register(NAME, partial(row_attention.forward, bounds=bounds))
        try:
            for config in self._configs:  # without a mask function of that name no mask is made
                config._attn_implementation = NAME
            yield
        finally:
            for config, name in before:
                config._attn_implementation = name


def _list_configs(model: Any) -> Iterator[Any]:
    """The configs that the modules read their attention from, each once."""
    seen_ids: set[int] = set()
    for module in model.modules():
        config = getattr(module, "config", None)
        if hasattr(config, "_attn_implementation") and id(config) not in seen_ids:
            seen_ids.add(id(config))
            yield config
