"""Prompts that are gone on with together: a key-value cache, padding on the left, each row by its own
adapter."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from core.train.cross_entropy import Head
from core.train.model import Base
from core.train.stack import Plan, Stack
from core.train.wants import Prompt, Written


class Generation:
    """``go_on`` writes a few tokens more of each prompt. Good while the stack holds the same trials."""

    def __init__(
        self, base: Base, stack: Stack, head: Head | None, prompts: Sequence[Prompt], tokens: int
    ) -> None:
        self._base, self._stack, self._head, self._most = base, stack, head, tokens
        owners = stack.order([one.mine for one in prompts if one.mine is not None])
        place = {id(one): index for index, one in enumerate(owners)}
        self.prompts = sorted(prompts, key=lambda one: place.get(id(one.mine), len(owners)))
        self._owners = owners
        self._written: list[list[int]] = [[] for _ in prompts]
        self._over = [False for _ in prompts]
        self._ends = end_ids(base)
        self._draws = [_draws(one.seed, tokens) for one in self.prompts]
        width = max(len(one.ids) for one in prompts)
        pads = [width - len(one.ids) for one in self.prompts]
        ids = [[base.pad_id] * pad + list(one.ids) for pad, one in zip(pads, self.prompts, strict=True)]
        self._ids = torch.tensor(ids, device=base.device)  # (B, T) int64: what is read next
        self._mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in pads], device=base.device)
        self._cache: Any = None
        self._first_s = self._took_s = 0.0

    @torch.no_grad()
    def go_on(self, steps: int) -> bool:
        """At most ``steps`` tokens more; is all written?"""
        if self._owners:
            self._stack.begin(self._plan())
        try:
            with _caching(self._base.model):
                for _ in range(steps):
                    self._step()
                    if all(self._over):
                        return True
        finally:
            self._stack.end()
        return False

    def answers(self) -> list[Written]:
        """In the order of ``prompts``."""
        share = self._took_s / len(self.prompts)
        return [Written(ids, self._first_s, share) for ids in self._written]

    def _plan(self) -> Plan:
        counts = [(one, [0] * sum(prompt.mine is one for prompt in self.prompts)) for one in self._owners]
        bare = sum(prompt.mine is None for prompt in self.prompts)
        return self._stack.lay(counts, trains=False, bare=bare)

    def _step(self) -> None:
        began = time.perf_counter()
        chosen = self._choose(self._logits())
        for row, token in enumerate(chosen):
            self._over[row] = self._over[row] or token in self._ends
            if not self._over[row]:
                self._written[row].append(token)
                self._over[row] = len(self._written[row]) >= self._most
        self._ids = torch.tensor(chosen, device=self._base.device)[:, None]
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        took = time.perf_counter() - began
        self._first_s, self._took_s = self._first_s or took, self._took_s + took

    def _logits(self) -> torch.Tensor:
        """(B, V) float32, of the next token."""
        places = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -self._ids.shape[1] :]
        given: dict[str, Any] = {
            "input_ids": self._ids, "attention_mask": self._mask, "position_ids": places,
            "past_key_values": self._cache, "use_cache": True,
        }  # fmt: skip
        if self._head is None:
            found = self._base.model(**given)
            self._cache = found.past_key_values
            return found.logits[:, -1].float()
        found = self._base.model.base_model(**given)
        self._cache = found.past_key_values
        return self._head.logits(found.last_hidden_state[:, -1])

    def _choose(self, logits: torch.Tensor) -> list[int]:
        """The likeliest token of each row, or the one that its own draw falls on."""
        chosen = logits.argmax(-1)
        drawn = [row for row, draws in enumerate(self._draws) if draws]
        if drawn:
            at = [min(len(self._written[row]), self._most - 1) for row in drawn]
            draws = [self._draws[row][place] for row, place in zip(drawn, at, strict=True)]
            heaps = logits[drawn].softmax(-1).cumsum(-1)
            marks = torch.tensor(draws, device=logits.device)[:, None] * heaps[:, -1:]
            found = torch.searchsorted(heaps, marks).squeeze(-1)
            chosen[drawn] = found.clamp(max=logits.shape[-1] - 1)
        return chosen.tolist()


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
