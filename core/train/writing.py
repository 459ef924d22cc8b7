"""All that is being written on a base: a few tokens in each round, so that no message waits for a text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch

from core.train.cross_entropy import Head
from core.train.generation import Generation
from core.train.model import Base
from core.train.stack import Stack
from core.train.wants import Done, Prompt, Write, Written

STEPS = 8  # tokens of each row in a round
ROWS = 64  # written together


@dataclass
class Batch:
    """Wants that came in one round and are done together."""

    wants: dict[int, Write]
    todo: list[tuple[int, Prompt]]  # with whose it is
    done: dict[int, Written] = field(default_factory=dict)  # by the prompt's id
    now: Generation | None = None
    taken: list[tuple[int, Prompt]] = field(default_factory=list)

    def drop(self) -> None:
        """What is under way begins anew: it is written by other rows of the stack."""
        self.todo, self.taken, self.now = [*self.taken, *self.todo], [], None

    def keep(self, wants: Mapping[int, Write]) -> None:
        """Forget whose want is not wanted any more."""
        gone = {one for one, want in self.wants.items() if wants.get(one) is not want}
        if gone:
            self.drop()
            self.wants = {one: want for one, want in self.wants.items() if one not in gone}
            self.todo = [pair for pair in self.todo if pair[0] not in gone]


@dataclass
class Wrote:
    """What came of a round: whose want is done, whose cannot be, and the tokens that memory did not hold."""

    done: dict[int, Done] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)
    short: int = 0


class Writing:
    """Takes the wants of each round; those that arrive together are written together."""

    def __init__(self, base: Base, stack: Stack, head: Head | None) -> None:
        self._base, self._stack, self._head = base, stack, head
        self._batches: list[Batch] = []
        self._groups: object = None  # of the stack when the last round was done

    def do(self, wants: Mapping[int, Write], alone: Collection[int], most: int) -> Wrote:
        """Go on with all that is wanted, in passes of at most ``most`` tokens."""
        moved, self._groups = self._groups is not self._stack.groups, self._stack.groups
        for batch in self._batches:
            if moved:
                batch.drop()
            batch.keep(wants)
        wrote = Wrote()
        waiting = [batch for batch in self._batches if batch.wants] + self._begun(wants, alone)
        self._batches = []
        for batch in waiting:
            try:
                self._go_on(batch, most)
            except torch.AcceleratorError:
                raise
            except Exception as error:
                self._batches += self._faulty(batch, error, wrote)
                continue
            if batch.todo or batch.taken:
                self._batches.append(batch)
                continue
            for one, want in batch.wants.items():
                wrote.done[one] = Done(answers=[batch.done[id(prompt)] for prompt in want.prompts])
        return wrote

    def _begun(self, wants: Mapping[int, Write], alone: Collection[int]) -> list[Batch]:
        known = {one for batch in self._batches for one in batch.wants}
        new = {one: want for one, want in wants.items() if one not in known}
        parts = [{one: want for one, want in new.items() if one not in alone}]
        parts += [{one: want} for one, want in new.items() if one in alone]
        return [_batch(part) for part in parts if part]

    def _go_on(self, batch: Batch, most: int) -> None:
        """A few tokens more of what is under way. Raises what the base raises."""
        if batch.now is None:
            tokens = max(want.tokens for want in batch.wants.values())
            count = _fitting(batch.todo, tokens, most)
            batch.taken, batch.todo = batch.todo[:count], batch.todo[count:]
            if not batch.taken:
                return
            prompts = [prompt for _, prompt in batch.taken]
            batch.now = Generation(self._base, self._stack, self._head, prompts, tokens)
        if batch.now.go_on(STEPS):
            found = zip(batch.now.prompts, batch.now.answers(), strict=True)
            batch.done |= {id(prompt): answer for prompt, answer in found}
            batch.now, batch.taken = None, []

    def _faulty(self, batch: Batch, error: Exception, wrote: Wrote) -> list[Batch]:
        """Fewer rows where memory ended, each trial by itself where it failed; else its owner's error."""
        count, owners = len(batch.taken), list(dict.fromkeys(one for one, _ in batch.taken))
        width = max((len(prompt.ids) for _, prompt in batch.taken), default=1)
        tokens = max(want.tokens for want in batch.wants.values())
        batch.drop()
        if isinstance(error, torch.OutOfMemoryError) and count > 1:
            wrote.short = max(wrote.short, count * (width + tokens))
            return [batch]
        if len(batch.wants) > 1:
            return [_batch({one: want}) for one, want in batch.wants.items()]
        wrote.errors[owners[0]] = error.with_traceback(None)
        return []


def _batch(wants: dict[int, Write]) -> Batch:
    """Prompts of one length stand side by side, whosever they are."""
    todo = [(one, prompt) for one, want in wants.items() for prompt in want.prompts]
    return Batch(wants, sorted(todo, key=lambda pair: len(pair[1].ids)))


def _fitting(todo: list[tuple[int, Prompt]], tokens: int, most: int) -> int:
    """How many of the first rows fit ``most`` tokens with what is written to them; one always goes."""
    count = min(1, len(todo))
    while count < min(len(todo), ROWS) and (count + 1) * (len(todo[count][1].ids) + tokens) <= most:
        count += 1
    return count
