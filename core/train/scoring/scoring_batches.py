"""Answers what snapshots and the base are asked, in units that are bounded by time: rows to rate and prompts
to continue, of whoever asks at the same time in one pass."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from core.memory.estimate.batch_passes import MOST
from core.train.adapters.adapter_stack import Stack
from core.train.base.base_model import Base
from core.train.step.batched_generation import SHORTEST_PREFIX, Generation
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward, Item
from core.train.step.row_likelihood import Reading
from core.train.step.step_requests import Prompt, Written

UNIT_S = 0.25  # a message waits for one unit; a trial that trains waits for it too
IDLE_S = 0.45  # while nothing trains: longer passes cost less for each token
ROWS = 64  # written at once
ALIKE = 8  # prompts that begin alike and are written by themselves
RATE = 300.0  # tokens a second that a base reads, before any was measured
SMOOTH = 0.5  # of the newest measurement in the rate


@dataclass(frozen=True, eq=False)
class Question:
    """A row to rate or a prompt to continue by at most ``tokens``; ``owner`` is who asks."""

    owner: int
    item: Item | None = None
    prompt: Prompt | None = None
    detailed: bool = False
    tokens: int = 0

    @property
    def length(self) -> int:
        """Tokens that are read."""
        return (
            len(self.item.row.ids) if self.item is not None else len(self.prompt.ids if self.prompt else ())
        )


def _opening(one: Question) -> tuple[int, ...]:
    return tuple(one.prompt.ids[:SHORTEST_PREFIX]) if one.prompt is not None else ()


Answer = Reading | Written


@dataclass
class Unit:
    """What came of one unit: answers by question, and whose questions cannot be answered."""

    answers: dict[Question, Answer] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)


class Answering:
    """On a base and a stack of its own. ``alone``: rows of several models share no pass."""

    def __init__(self, base: Base, stack: Stack, forward: Forward, alone: bool) -> None:
        self._base, self._stack, self._forward, self._alone = base, stack, forward, alone
        self._apart: set[int] = set()  # owners that failed in company: they are asked by themselves
        self._now: Generation | None = None
        self._taken: list[Question] = []  # what it writes, in its order
        self._rate, self.most = RATE, MOST

    @property
    def writing(self) -> bool:
        """Is a text under way? The stack must not change then."""
        return self._now is not None

    def bind(self, tokens: int) -> None:
        """No pass may have more than ``tokens``; 0 lifts the bound."""
        self.most = min(MOST, tokens) if tokens else MOST

    def forget(self) -> None:
        """What is being written is not wanted any more, or will be asked again."""
        self._now, self._taken = None, []

    def unit(self, asked: Sequence[Question], limit_s: float = UNIT_S) -> Unit:
        """Work on what is ``asked`` for about ``limit_s`` seconds. Raises torch.AcceleratorError."""
        unit = Unit()
        if self._now is None:
            asked = self._company(asked)
            rows = [one for one in asked if one.item is not None]
            if rows:
                self._rate_rows(rows, limit_s, unit)
                return unit
            self._begin(asked)
        if self._now is not None:
            self._write(limit_s, unit)
        return unit

    def _company(self, asked: Sequence[Question]) -> list[Question]:
        """Those that may share a pass with the first."""
        if not asked:
            return []
        first = asked[0].owner
        if self._alone or first in self._apart:
            return [one for one in asked if one.owner == first]
        return [one for one in asked if one.owner not in self._apart]

    # -- rows -------------------------------------------------------------------------------------

    def _rate_rows(self, rows: Sequence[Question], limit_s: float, unit: Unit) -> None:
        """Neighbours in length, as many as the time allows; those whose readings are detailed apart."""
        alike = sorted((one for one in rows if one.detailed == rows[0].detailed), key=lambda one: one.length)
        most = min(self.most, int(self._rate * limit_s))
        taken = alike[:1]
        while len(taken) < len(alike) and (len(taken) + 1) * alike[len(taken)].length <= most:
            taken.append(alike[len(taken)])
        items = {id(one.item): one for one in taken}
        began = time.perf_counter()
        try:
            found = self._forward.rate([one.item for one in taken if one.item], rows[0].detailed)
        except torch.AcceleratorError:
            raise
        except Exception as error:
            self._failed(taken, error, unit)
            return
        self._measure(sum(one.length for one in taken), time.perf_counter() - began)
        unit.answers |= {items[id(item)]: reading for item, reading in found}

    def _measure(self, tokens: int, took_s: float) -> None:
        rate = tokens / max(took_s, 1e-6)
        self._rate += SMOOTH * (rate - self._rate)

    # -- texts ------------------------------------------------------------------------------------

    def _begin(self, asked: Sequence[Question]) -> None:
        """The longest answers first: each batch is full, and has few rows left only for its longest. Prompts
        that begin alike, as a chat template has them, keep to themselves: what they share is read once."""
        if not asked:
            return
        inorder = sorted(asked, key=lambda one: (-one.tokens, one.length))
        alike = Counter(map(_opening, inorder))
        first = _opening(inorder[0]) if alike[_opening(inorder[0])] >= ALIKE else None
        inorder = [
            one for one in inorder if (_opening(one) if alike[_opening(one)] >= ALIKE else None) == first
        ]
        count, read = 1, inorder[0].length
        while count < min(len(inorder), ROWS):
            read = max(read, inorder[count].length)
            if (count + 1) * (read + inorder[0].tokens) > self.most:
                break
            count += 1
        taken = inorder[:count]
        prompts = [one.prompt for one in taken if one.prompt is not None]
        tokens = [one.tokens for one in taken]
        self._now = Generation(self._base, self._stack, self._forward.head, prompts, tokens)
        whose = {id(one.prompt): one for one in taken}
        self._taken = [whose[id(one)] for one in self._now.prompts]

    def _write(self, limit_s: float, unit: Unit) -> None:
        assert self._now is not None
        taken, now = self._taken, self._now
        try:
            done = now.run_until(time.perf_counter() + limit_s, self._rate)
        except torch.AcceleratorError:
            raise
        except Exception as error:
            self.forget()
            self._failed(taken, error, unit)
            return
        if done:
            unit.answers |= dict(zip(taken, now.answers(), strict=True))
            self.forget()

    def _failed(self, taken: Sequence[Question], error: Exception, unit: Unit) -> None:
        """Fewer at once where memory ended, each owner by itself where it failed; else its owner's error."""
        free(self._base.device)
        if isinstance(error, torch.OutOfMemoryError) and len(taken) > 1:
            longest = max(one.length + one.tokens for one in taken)
            self.most = max(1, len(taken) * longest // 2)
            return
        owners = {one.owner for one in taken}
        if len(owners) > 1:
            self._apart |= owners
        else:
            unit.errors[owners.pop()] = error.with_traceback(None)
