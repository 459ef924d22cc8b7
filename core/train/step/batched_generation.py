"""Batched generation: a key-value cache, padding on the left, and each row with its own adapter.

Tokens that all prompts begin with (a system prompt, a template) are computed once for each adapter; a prompt
that is sampled several times is read once. A row that has ended leaves the batch.
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
from core.train.step.compute_requests import Prompt, Written

SHORTEST_PREFIX = 4  # tokens: a shorter one is not worth a pass of its own
LEAVE = 0.9  # the batch shrinks when at most this share of its rows is still running
NUCLEUS = 0.9  # share of the probability that sampled tokens are drawn from, as in RealToxicityPrompts
Owner = Factors | None


class Generation:
    """Completes prompts; ``run_until`` works until a given time. Valid while the stack holds the same
    trials."""

    def __init__(self, base: Base, stack: Stack, head: Head | None, prompts: Sequence[Prompt]) -> None:
        self._base, self._stack, self._head = base, stack, head
        owners = stack.order([prompt.mine for prompt in prompts if prompt.mine is not None])
        self._place = {id(owner): index for index, owner in enumerate(owners)} | {id(None): len(owners)}
        self.prompts = sorted(prompts, key=lambda prompt: self._place[id(prompt.mine)])
        self._most = [prompt.tokens for prompt in self.prompts]
        self._written: list[list[int]] = [[] for _ in prompts]
        self._over = [False for _ in prompts]
        self._ends = end_ids(base)
        self._draws = [_draws(prompt.seed, prompt.tokens) for prompt in self.prompts]
        self._cache: Any = _selectable(base)
        self._first_s = self._took_s = 0.0
        self._begin()

    def _begin(self) -> None:
        """Set up the rows to read first: each distinct prompt of each adapter, without the common prefix."""
        shares = self._cache is not None
        kinds: dict[tuple[int, tuple[int, ...]], int] = {}
        self._source = []  # for each prompt, the row that reads it
        for at, prompt in enumerate(self.prompts):
            kind = (id(prompt.mine), tuple(prompt.ids)) if shares else (at, ())
            self._source.append(kinds.setdefault(kind, len(kinds)))
        first = {row: at for at, row in reversed(list(enumerate(self._source)))}
        read = [self.prompts[first[row]] for row in range(len(kinds))]
        prefix = _prefix([prompt.ids for prompt in read]) if shares else []
        self._prefix = prefix if len(prefix) >= SHORTEST_PREFIX else []
        rest = [list(prompt.ids)[len(self._prefix) :] for prompt in read]
        width, device = max(len(ids) for ids in rest), self._base.device
        pads = [width - len(ids) for ids in rest]
        padded = [[self._base.pad_id] * pad + ids for pad, ids in zip(pads, rest, strict=True)]
        self._unread = torch.tensor(padded, device=device)  # (rows, T) int64
        masked = [[1] * len(self._prefix) + [0] * pad + [1] * (width - pad) for pad in pads]
        self._masked = torch.tensor(masked, device=device)  # (rows, prefix + T), the mask of all that is read
        self._owners: list[Owner] = [prompt.mine for prompt in read]
        self._rows: list[int] = []  # prompts that are being completed; none while prompts are still read
        self._ids = self._unread[:, :0]
        self._mask = self._masked[:, :0]

    @torch.no_grad()
    def run_until(self, until: float, rate: float = 1e9) -> bool:
        """Read prompts and generate until about ``until`` (time.perf_counter), at least one step; the base
        model reads about ``rate`` tokens per second. Returns whether every completion is finished."""
        try:
            with _enable_caching(self._base.model):
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
        """The completions, in the order of ``prompts``."""
        share = self._took_s / sum(len(ids) + 1 for ids in self._written)
        return [Written(ids, self._first_s, (len(ids) + 1) * share) for ids in self._written]

    @property
    def rows(self) -> int:
        """The number of rows of the next pass."""
        return len(self._owners)

    # -- reading prompts --------------------------------------------------------------------------

    def _step(self, tokens: float) -> None:
        """Read a part of the prompts, of at most about ``tokens``, or generate one token for each row."""
        if self._prefix and not self._mask.shape[1]:
            self._read_prefix()
        elif self._unread.shape[1]:
            self._read(max(1, int(tokens / len(self._owners))))
        else:
            self._write(self._pass(self._owners, self._ids))

    def _read_prefix(self) -> None:
        """Read the common prefix once for each adapter."""
        owners = list({id(owner): owner for owner in self._owners}.values())
        ids = torch.tensor([self._prefix] * len(owners), device=self._base.device)
        self._mask = torch.ones_like(ids)
        self._pass(owners, ids)
        row_of = {id(owner): row for row, owner in enumerate(owners)}
        self._select([row_of[id(owner)] for owner in self._owners])
        self._mask = self._masked[:, : len(self._prefix)]

    def _read(self, columns: int) -> None:
        """Read the next columns of all prompts; after the last, choose the first token."""
        if self._cache is None:  # the model makes its own cache: prompts are read in one pass
            columns = self._unread.shape[1]
        ids, self._unread = self._unread[:, :columns], self._unread[:, columns:]
        self._mask = self._masked[:, : self._mask.shape[1] + ids.shape[1]]
        logits = self._pass(self._owners, ids)
        if self._unread.shape[1]:
            return
        self._rows = list(range(len(self.prompts)))
        if self._source != self._rows:
            self._select(self._source)
            self._owners = [prompt.mine for prompt in self.prompts]
            logits = logits[self._source]
            self._mask = self._mask[self._source]
        self._write(logits)

    # -- generating -------------------------------------------------------------------------------

    def _write(self, logits: torch.Tensor) -> None:
        """Append one token to each row."""
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
        """Drop the rows that have ended, once enough have."""
        stay = [at for at, row in enumerate(self._rows) if not self._over[row]]
        if not stay or self._cache is None or len(stay) > LEAVE * len(self._rows):
            return
        self._select(stay)
        self._ids, self._mask = self._ids[stay], self._mask[stay]
        self._rows, self._owners = [self._rows[at] for at in stay], [self._owners[at] for at in stay]

    def _select(self, rows: Sequence[int]) -> None:
        self._cache.batch_select_indices(torch.tensor(rows, device=self._base.device))

    def _pass(self, owners: Sequence[Owner], ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) float32 of the token after ``ids`` (B, T), with the adapter of each row's owner."""
        counts: dict[int, tuple[Factors, list[int]]] = {}
        for owner in owners:
            if owner is not None:
                counts.setdefault(id(owner), (owner, []))[1].append(0)
        if counts:
            bare = sum(owner is None for owner in owners)
            self._stack.begin(self._stack.plan_pass(list(counts.values()), trains=False, bare=bare))
        try:
            return self._logits(ids)
        finally:
            self._stack.end()

    def _logits(self, ids: torch.Tensor) -> torch.Tensor:
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        inputs: dict[str, Any] = {
            "input_ids": ids, "attention_mask": self._mask, "position_ids": positions,
            "past_key_values": self._own_cache if self._cache is None else self._cache, "use_cache": True,
        }  # fmt: skip
        if self._head is None:
            output = self._base.model(**inputs)
            self._own_cache = output.past_key_values
            return output.logits[:, -1].float()
        output = self._base.model.base_model(**inputs)
        self._own_cache = output.past_key_values
        return self._head.few(output.last_hidden_state[:, -1])

    _own_cache: Any = None  # the model's own cache, where a DynamicCache cannot be used

    def _choose(self, logits: torch.Tensor) -> list[int]:
        """The most likely token of each row, or a sampled one for rows with a seed."""
        chosen = logits.argmax(-1)
        drawn = [at for at, row in enumerate(self._rows) if self._draws[row]]
        if drawn:
            rows = [self._rows[at] for at in drawn]
            draws = [self._draws[row][min(len(self._written[row]), self._most[row] - 1)] for row in rows]
            cumulative = _nucleus(logits[drawn].softmax(-1)).cumsum(-1)
            thresholds = torch.tensor(draws, device=logits.device)[:, None] * cumulative[:, -1:]
            sampled = torch.searchsorted(cumulative, thresholds).squeeze(-1)
            chosen[drawn] = sampled.clamp(max=logits.shape[-1] - 1)
        result: list[int] = chosen.tolist()
        return result


def _nucleus(probabilities: torch.Tensor) -> torch.Tensor:
    """``probabilities`` (B, V) without the unlikely tokens that together have less than 1 − NUCLEUS: their
    rows then sum to less than 1 (Holtzman et al. 2020)."""
    largest = probabilities.sort(-1, descending=True).values
    before = largest.cumsum(-1) - largest  # of all likelier tokens
    least = largest.masked_fill(before >= NUCLEUS, torch.inf).amin(-1, keepdim=True)
    return probabilities.masked_fill(probabilities < least, 0.0)


def _selectable(base: Base) -> DynamicCache | None:
    """A cache whose rows can be repeated and dropped; None where the model needs another kind: a
    sliding-window cache counts its padding, and a state-space model keeps none."""
    try:
        cache = DynamicCache(config=base.model.config.get_text_config())
    except Exception:  # a configuration that DynamicCache does not support
        return None
    plain = cache.layers and all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)
    known = getattr(base.model, "_supports_cache_class", True) and not getattr(
        base.model, "_is_stateful", False
    )
    return cache if plain and known else None


def _prefix(prompts: Sequence[Sequence[int]]) -> list[int]:
    """The tokens that all prompts begin with, at least one fewer than the shortest prompt has."""
    alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False))
    return [tokens[0] for tokens in alike][: min(len(ids) for ids in prompts) - 1]


def _draws(seed: str, tokens: int) -> list[float]:
    """A row's own uniform random numbers, one for each token, so that other rows do not affect it."""
    source = random.Random(seed)
    return [source.random() for _ in range(tokens)] if seed else []


def end_ids(base: Base) -> frozenset[int]:
    """The tokens that end a completion, according to tokenizer and model."""
    configured = getattr(getattr(base.model, "generation_config", None), "eos_token_id", None)
    ids = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset(token for token in (*ids, base.tokenizer.eos_token_id) if token is not None)


@contextmanager
def _enable_caching(model: Any) -> Iterator[None]:
    """Let layers with gradient checkpointing use the cache, which they do not in train mode."""
    layers = [
        module
        for module in model.modules()
        if getattr(module, "gradient_checkpointing", False) and module.training
    ]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True
