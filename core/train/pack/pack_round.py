"""One round: what all active trials want, done in as few passes of the base as pay, and nobody's fault
anybody else's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch

from core.memory.estimate.batch_passes import MOST, overhead, share_out
from core.train.adapters import optimizers
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward, Item
from core.train.step.row_likelihood import Reading
from core.train.step.step_requests import BASE, Done, Judge, Learn, Rate, Update, Want
from core.train.trial.trial_training import Trial

CALM = 200  # rounds after which larger passes are tried again

Rows = Learn | Judge | Rate
W = TypeVar("W", Learn, Judge, Rate)
Found = list[tuple]  # of (factors, tensor, …), or of (item, reading)
Wants = Mapping[int, tuple[Trial | None, Want]]  # by trial; that of the base itself has none


@dataclass
class Outcome:
    """What came of a round: a ``Done`` or an error for each trial that wanted something."""

    done: dict[int, Done] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)
    widest: int = 0  # tokens of its largest pass, padding included
    unsteady: set[int] = field(default_factory=set)  # trials whose gradient is used up: not to be done again
    short: int = 0  # tokens of the smallest pass that memory did not hold
    busy_s: float = 0.0


class Rounds:
    """Knows how to do wants on a base. ``alone`` names trials that share no pass."""

    def __init__(self, base: Base, stack: Stack, forward: Forward) -> None:
        self._base, self._stack, self._forward = base, stack, forward
        self.alone: set[int] = set()
        self.most = self.bound = MOST  # tokens in one pass; the first is halved when memory ends
        self._calm = 0  # rounds since memory last ended
        parameters = sum(weight.numel() for weight in base.model.parameters())
        self._overhead = overhead(base.device.type, parameters)

    def do(self, wants: Wants) -> Outcome:
        """Do what each trial wants. Trials are taken in the order of their numbers."""
        outcome, began = Outcome(), time.perf_counter()
        self._dare()
        trials = {one: trial for one, (trial, _) in wants.items() if trial is not None}
        owner = {id(trial.factors): one for one, trial in trials.items()} | {id(None): BASE}
        learning = _of(Learn, wants)
        sums: dict[int, list[torch.Tensor]] = {}  # (loss, hits or norm) by trial
        mine = {one: trials[one].factors for one in learning}
        self._stack.own()
        before = {one: factors.grad for one, factors in mine.items()}
        for factors in mine.values():
            factors.grad = None  # what fails in this round can be done again
        for found in self._shared(learning, self._forward.train, owner, outcome):
            _add(sums, owner, found)
        for one, grad in before.items():
            _join(mine[one], grad, whole=one not in outcome.errors)
        learnt = {one: want for one, want in learning.items() if one not in outcome.errors}
        due = {one: (trials[one], want.update) for one, want in learnt.items()}
        norms = self._update(due, outcome)
        for found in self._shared(_of(Judge, wants), self._forward.judge, owner, outcome):
            _add(sums, owner, found)
        self._read(sums, norms, outcome)
        self._rate(_of(Rate, wants), owner, outcome)
        outcome.busy_s = time.perf_counter() - began
        return outcome

    def _rate(self, wants: Mapping[int, Rate], owner: Mapping[int, int], outcome: Outcome) -> None:
        """Rows whose readings are detailed have passes of their own: they cost more."""
        readings: dict[int, Reading] = {}
        for detailed in (False, True):
            some = {one: want for one, want in wants.items() if want.detailed == detailed}
            for found in self._shared(some, partial(self._forward.rate, detailed=detailed), owner, outcome):
                readings |= {id(item): reading for item, reading in found}
        for one, want in wants.items():
            if one not in outcome.errors:
                outcome.done[one] = Done(answers=[readings[id(item)] for item in want.items])

    def _dare(self) -> None:
        """Whoever took the memory may have given it back: try larger passes again after a while."""
        self._calm += 1
        if self._calm >= CALM and self.most < self.bound:
            self._calm, self.most = 0, min(self.bound, 2 * self.most)

    def bind(self, tokens: int) -> None:
        """No pass may have more than ``tokens``; 0 lifts the bound."""
        self.most = self.bound = min(MOST, tokens) if tokens else MOST

    def _shared(
        self,
        wants: Mapping[int, Rows],
        work: Callable[[Sequence[Item]], Found],
        owner: Mapping[int, int],
        outcome: Outcome,
    ) -> list[Found]:
        """Share the rows out over passes and do them; a trial at fault leaves with its error."""
        together = [item for one, want in wants.items() if one not in self.alone for item in want.items]
        parts = [together] + [want.items for one, want in wants.items() if one in self.alone]
        found: list[Found] = []
        for items in parts:
            lengths = [len(item.row.ids) for item in items]
            for indices in share_out(lengths, self._overhead, self.most) if items else []:
                found += self._pass([items[index] for index in indices], work, owner, outcome)
        return found

    def _pass(
        self,
        items: Sequence[Item],
        work: Callable[[Sequence[Item]], Found],
        owner: Mapping[int, int],
        outcome: Outcome,
    ) -> list[Found]:
        """One pass; two smaller ones where memory does not hold it, one for each trial where it fails."""
        items = [item for item in items if owner[id(item.mine)] not in outcome.errors]
        if not items:
            return []
        tokens = len(items) * max(len(item.row.ids) for item in items)
        owners = list(dict.fromkeys(owner[id(item.mine)] for item in items))
        try:
            found = work(items)
        except torch.OutOfMemoryError as error:
            halves = [items[: len(items) // 2], items[len(items) // 2 :]]
            self.most, self._calm = min(self.most, max(1, tokens // 2)), 0
            outcome.short = min(outcome.short or tokens, tokens)
            fault: Exception = error.with_traceback(None)
        except torch.AcceleratorError:
            raise
        except Exception as error:
            halves = [[item for item in items if owner[id(item.mine)] == one] for one in owners]
            halves = halves if len(owners) > 1 else [[]]
            fault = error
        else:
            outcome.widest = max(outcome.widest, tokens)
            return [found]
        free(self._base.device)
        if not all(halves):
            outcome.errors[owners[0]] = fault
            return []
        return [one for half in halves for one in self._pass(half, work, owner, outcome)]

    def _update(
        self, due: Mapping[int, tuple[Trial, Update | None]], outcome: Outcome
    ) -> dict[int, torch.Tensor]:
        """Clip and step all trials whose accumulation is whole. Returns their gradients' norms."""
        ready = [(one, trial, update) for one, (trial, update) in due.items() if update is not None]
        if not ready:
            return {}
        grads = [trial.factors.grad for _, trial, _ in ready]
        device = self._base.device
        targets = torch.tensor([float(update.targets) for *_, update in ready]).to(device)
        clips = torch.tensor([update.clip for *_, update in ready]).to(device)
        norms = torch.stack(torch._foreach_norm(grads)) / targets
        shares = (clips / (norms + 1e-6)).clamp(max=1.0) / targets  # as torch's clip_grad_norm_
        torch._foreach_mul_(grads, list(shares.unbind()))
        for one, trial, update in ready:
            trial.factors.matrix.grad = trial.factors.grad
            try:
                self._step(trial, update.rate)
            except torch.AcceleratorError:
                raise
            except Exception as error:
                outcome.errors[one] = error
                outcome.unsteady.add(one)
            trial.factors.matrix.grad = trial.factors.grad = None
        self._stack.refresh([trial.factors for _, trial, _ in ready])
        return {one: norm for (one, *_), norm in zip(ready, norms.unbind(), strict=True)}

    def _step(self, trial: Trial, rate: float) -> None:
        """The first step allocates the optimizer's states, too: tried again with all that is free."""
        try:
            optimizers.step(trial.optimizer, rate)
        except torch.OutOfMemoryError:
            free(self._base.device)
            optimizers.step(trial.optimizer, rate)

    def _read(
        self,
        sums: Mapping[int, list[torch.Tensor]],
        norms: Mapping[int, torch.Tensor],
        outcome: Outcome,
    ) -> None:
        """Bring all numbers to the host at once: the device is waited for one time in a round."""
        known = [one for one in sums if one not in outcome.errors]
        if not known:
            return
        zero = torch.zeros((), device=self._base.device)
        rows = [torch.stack([sums[one][0], sums[one][1] if len(sums[one]) > 1 else zero,
                             norms.get(one, zero)]) for one in known]  # fmt: skip
        numbers = torch.stack(rows).tolist()
        for one, (loss, hits, norm) in zip(known, numbers, strict=True):
            outcome.done[one] = Done(loss, norm, int(hits))


def _of(kind: type[W], wants: Wants) -> dict[int, W]:
    """The wants of one kind, by trial."""
    return {one: want for one, (_, want) in sorted(wants.items()) if isinstance(want, kind)}


def _join(factors: Factors, before: torch.Tensor | None, whole: bool) -> None:
    """Add this round's gradient to that of the micro-batches ``before``; not one that is not ``whole``."""
    if before is None or factors.grad is None or not whole:
        factors.grad = factors.grad if whole and factors.grad is not None else before
    else:
        factors.grad = before.add_(factors.grad)


def _add(sums: dict[int, list[torch.Tensor]], owner: Mapping[int, int], found: Found) -> None:
    for factors, *values in found:
        mine = sums.setdefault(owner[id(factors)], [])
        if mine:
            mine[:] = [one + other for one, other in zip(mine, values, strict=True)]
        else:
            mine.extend(values)
