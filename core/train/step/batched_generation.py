"""Prompts that are continued together: a key-value cache, padding on the left, each row by its own adapter.

What is computed once: the tokens that all prompts begin with (a system prompt, a template), once for each
model; a prompt that is drawn from several times, once. A row that has ended leaves the batch.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import torch
from transformers import DynamicCache

from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.step.step_requests import Prompt, Written

SHORTEST_PREFIX = 4  # tokens: a shorter one is not worth a pass of its own
LEAVE = 0.9  # of its rows left or fewer: the batch is made smaller
Owner = Factors | None


class Generation:
    """``go_on`` writes more of each prompt, at most as many ``tokens`` as it may have, until a moment.
    Good while the stack holds the same trials."""

    def __init__(
        self, base: Base, stack: Stack, head: Head | None, prompts: Sequence[Prompt], tokens: Sequence[int]
    ) -> None:
        self._base, self._stack, self._head = base, stack, head
        owners = stack.order([one.mine for one in prompts if one.mine is not None])
        self._place = {id(one): index for index, one in enumerate(owners)} | {id(None): len(owners)}
        pairs = sorted(zip(prompts, tokens, strict=True), key=lambda one: self._place[id(one[0].mine)])
        self.prompts, self._most = [one for one, _ in pairs], [most for _, most in pairs]
        self._written: list[list[int]] = [[] for _ in prompts]
        self._over = [False for _ in prompts]
        self._ends = end_ids(base)
        self._draws = [_draws(one.seed, most) for one, most in pairs]
        self._cache: Any = _selectable(base)
        self._first_s = self._took_s = 0.0
        self._begin()

    def _begin(self) -> None:
        """The rows that are read first: each different prompt of each model, behind what all have alike."""
        shares = self._cache is not None
        kinds: dict[tuple[int, tuple[int, ...]], int] = {}
        self._source = []  # for each prompt, the row that reads it
        for at, one in enumerate(self.prompts):
            kind = (id(one.mine), tuple(one.ids)) if shares else (at, ())
            self._source.append(kinds.setdefault(kind, len(kinds)))
        first = {row: at for at, row in reversed(list(enumerate(self._source)))}
        read = [self.prompts[first[row]] for row in range(len(kinds))]
        prefix = _prefix([one.ids for one in read]) if shares else []
        self._prefix = prefix if len(prefix) >= SHORTEST_PREFIX else []
        rest = [list(one.ids)[len(self._prefix) :] for one in read]
        width, device = max(len(ids) for ids in rest), self._base.device
        pads = [width - len(ids) for ids in rest]
        padded = [[self._base.pad_id] * pad + ids for pad, ids in zip(pads, rest, strict=True)]
        self._unread = torch.tensor(padded, device=device)  # (rows, T) int64
        masked = [[1] * len(self._prefix) + [0] * pad + [1] * (width - pad) for pad in pads]
        self._masked = torch.tensor(masked, device=device)  # (rows, prefix + T), of all that is to be read
        self._owners: list[Owner] = [one.mine for one in read]
        self._rows: list[int] = []  # prompts that are written now; none while they are still read
        self._ids = self._unread[:, :0]
        self._mask = self._masked[:, :0]

    @torch.no_grad()
    def go_on(self, until: float, rate: float = 1e9) -> bool:
        """Read and write until about ``until`` (of time.perf_counter), at least one step; the base reads
        about ``rate`` tokens a second. Is all written?"""
        try:
            with _caching(self._base.model):
                while True:
                    began = time.perf_counter()
                    self._step(max(1.0, rate * (until - began)))
                    now = time.perf_counter()
                    self._took_s += now - began
                    self._first_s = self._first_s or (self._took_s if self._rows else 0.0)
                    if all(self._over):
                        return True
                    if now >= until:
                        return False
        finally:
            self._stack.end()

    def answers(self) -> list[Written]:
        """In the order of ``prompts``."""
        share = self._took_s / sum(len(ids) + 1 for ids in self._written)
        return [Written(ids, self._first_s, (len(ids) + 1) * share) for ids in self._written]

    @property
    def rows(self) -> int:
        """Rows of the next pass."""
        return len(self._owners)

    # -- reading ----------------------------------------------------------------------------------

    def _step(self, tokens: float) -> None:
        """A part of the prompts, of at most about ``tokens``; or one token of each row."""
        if self._prefix and not self._mask.shape[1]:
            self._read_prefix()
        elif self._unread.shape[1]:
            self._read(max(1, int(tokens / len(self._owners))))
        else:
            self._write(self._pass(self._owners, self._ids))

    def _read_prefix(self) -> None:
        """What all prompts begin with, once for each model."""
        several = list({id(one): one for one in self._owners}.values())
        ids = torch.tensor([self._prefix] * len(several), device=self._base.device)
        self._mask = torch.ones_like(ids)
        self._pass(several, ids)
        place = {id(one): row for row, one in enumerate(several)}
        self._select([place[id(one)] for one in self._owners])
        self._mask = self._masked[:, : len(self._prefix)]

    def _read(self, columns: int) -> None:
        """The next columns of all prompts; after the last the first token is known."""
        if self._cache is None:  # the model makes its own: whole prompts at once
            columns = self._unread.shape[1]
        ids, self._unread = self._unread[:, :columns], self._unread[:, columns:]
        self._mask = self._masked[:, : self._mask.shape[1] + ids.shape[1]]
        logits = self._pass(self._owners, ids)
        if self._unread.shape[1]:
            return
        self._rows = list(range(len(self.prompts)))
        if self._source != self._rows:
            self._select(self._source)
            self._owners = [one.mine for one in self.prompts]
            logits = logits[self._source]
            self._mask = self._mask[self._source]
        self._write(logits)

    # -- writing ----------------------------------------------------------------------------------

    def _write(self, logits: torch.Tensor) -> None:
        """One token more of each row."""
        chosen = self._choose(logits)
        for row, token in zip(self._rows, chosen, strict=True):
            self._over[row] = self._over[row] or token in self._ends
            if not self._over[row]:
                self._written[row].append(token)
                self._over[row] = len(self._written[row]) >= self._most[row]
        self._ids = torch.tensor(chosen, device=self._base.device)[:, None]
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        self._leave()

    def _leave(self) -> None:
        """Rows that have ended leave, once enough have."""
        stay = [at for at, row in enumerate(self._rows) if not self._over[row]]
        if not stay or self._cache is None or len(stay) > LEAVE * len(self._rows):
            return
        self._select(stay)
        self._ids, self._mask = self._ids[stay], self._mask[stay]
        self._rows, self._owners = [self._rows[at] for at in stay], [self._owners[at] for at in stay]

    def _select(self, rows: Sequence[int]) -> None:
        self._cache.batch_select_indices(torch.tensor(rows, device=self._base.device))

    def _pass(self, owners: Sequence[Owner], ids: torch.Tensor) -> torch.Tensor:
        """(B, V) float32, of the token after ``ids`` (B, T), by the adapter of each row's owner."""
        counts: dict[int, tuple[Factors, list[int]]] = {}
        for one in owners:
            if one is not None:
                counts.setdefault(id(one), (one, []))[1].append(0)
        if counts:
            bare = sum(one is None for one in owners)
            self._stack.begin(self._stack.lay(list(counts.values()), trains=False, bare=bare))
        try:
            return self._logits(ids)
        finally:
            self._stack.end()

    def _logits(self, ids: torch.Tensor) -> torch.Tensor:
        places = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        given: dict[str, Any] = {
            "input_ids": ids, "attention_mask": self._mask, "position_ids": places,
            "past_key_values": self._made if self._cache is None else self._cache, "use_cache": True,
        }  # fmt: skip
        if self._head is None:
            found = self._base.model(**given)
            self._made = found.past_key_values
            return found.logits[:, -1].float()
        found = self._base.model.base_model(**given)
        self._made = found.past_key_values
        return self._head.few(found.last_hidden_state[:, -1])

    _made: Any = None  # the model's own cache, where ours is of no use

    def _choose(self, logits: torch.Tensor) -> list[int]:
        """The likeliest token of each row, or the one that its own draw falls on."""
        chosen = logits.argmax(-1)
        drawn = [at for at, row in enumerate(self._rows) if self._draws[row]]
        if drawn:
            rows = [self._rows[at] for at in drawn]
            draws = [self._draws[row][min(len(self._written[row]), self._most[row] - 1)] for row in rows]
            heaps = logits[drawn].softmax(-1).cumsum(-1)
            marks = torch.tensor(draws, device=logits.device)[:, None] * heaps[:, -1:]
            found = torch.searchsorted(heaps, marks).squeeze(-1)
            chosen[drawn] = found.clamp(max=logits.shape[-1] - 1)
        return chosen.tolist()


def _selectable(base: Base) -> DynamicCache | None:
    """A cache whose rows can be repeated and dropped; None where the model wants another kind: one of a
    sliding window counts its padding, and a state-space model keeps none."""
    try:
        cache = DynamicCache(config=base.model.config.get_text_config())
    except Exception:  # configurations that it does not know
        return None
    plain = cache.layers and all(type(one).__name__ == "DynamicLayer" for one in cache.layers)
    known = getattr(base.model, "_supports_cache_class", True) and not getattr(
        base.model, "_is_stateful", False
    )
    return cache if plain and known else None


def _prefix(several: Sequence[Sequence[int]]) -> list[int]:
    """The tokens that all begin with, less the last of the shortest: each has something left to read."""
    alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*several, strict=False))
    return [tokens[0] for tokens in alike][: min(len(one) for one in several) - 1]


def _draws(seed: str, tokens: int) -> list[float]:
    """A row's own uniform numbers, one for each token: its company changes none of them."""
    source = random.Random(seed)
    return [source.random() for _ in range(tokens)] if seed else []


def end_ids(base: Base) -> frozenset[int]:
    """Tokens that end an answer, as tokenizer and model say."""
    said = getattr(getattr(base.model, "generation_config", None), "eos_token_id", None)
    several = said if isinstance(said, list | tuple) else [said]
    return frozenset(one for one in (*several, base.tokenizer.eos_token_id) if one is not None)


@contextmanager
def _caching(model: Any) -> Iterator[None]:
    """Layers that compute their activations again keep no cache while they are in train mode."""
    found = [one for one in model.modules() if getattr(one, "gradient_checkpointing", False) and one.training]
    for one in found:
        one.training = False
    try:
        yield
    finally:
        for one in found:
            one.training = True
