"""Runs one round: the requests of all active trials, in as few passes of the base as pay off.

A trial whose request fails gets the error; the others are computed without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from core.memory.estimate.rows_per_pass import MOST, plan_padding_free, round_to_blocks, share_out
from core.train.adapters import optimizers
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.kernels import pinned_transfer
from core.train.pack.pass_overhead import PassCosts, Round
from core.train.step.compute_requests import BASE, Judge, Learn, Rate, Request, Result, Update
from core.train.step.device_memory import free
from core.train.step.forward_pass import Forward, Item
from core.train.step.oom_report import is_device_failure, is_out_of_memory
from core.train.step.target_token_losses import Reading
from core.train.trial.trial_training import Trial

CALM = 200  # rounds without out of memory, after which larger passes are tried again

Rows = Learn | Judge | Rate
W = TypeVar("W", Learn, Judge, Rate)
PassResults = list[tuple[Any, ...]]  # of (factors, tensor, …), or of (item, reading)
Requests = Mapping[int, tuple[Trial | None, Request]]  # by trial number; the base itself has no trial


@dataclass
class Outcome:
    """Results of a round: a ``Result`` or an error for each trial with a request."""

    done: dict[int, Result] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)
    widest: int = 0  # tokens of the largest pass, padding included
    passes: int = 0
    tokens: int = 0  # of all passes, padding included
    row_tokens: int = 0  # the same without padding
    evaluated_tokens: int = 0  # those of passes that do not train
    unsteady: set[int] = field(default_factory=set)  # trials whose gradient is consumed: they cannot retry
    shortest_oom: int = 0  # tokens of the smallest pass that ran out of memory
    busy_s: float = 0.0
    data_s: float = 0.0  # in which the host prepared rows


class Rounds:
    """Runs the requests of trials on one base. Trials in ``alone`` share no pass."""

    def __init__(self, base: Base, stack: Stack, forward: Forward) -> None:
        self._base, self._stack, self._forward = base, stack, forward
        self.alone: dict[int, str] = {}  # why these trials share no pass
        self.padding_free = False  # whether rows of different lengths may be concatenated
        self.most = self.bound = MOST  # tokens of a pass; ``most`` is halved on out of memory
        self._calm = 0  # rounds since memory last ran out
        parameters = sum(weight.numel() for weight in base.model.parameters())
        self.costs = PassCosts(base.device.type, parameters)

    def do(self, requests: Requests) -> Outcome:
        """Run the request of each trial, in the order of trial numbers."""
        outcome, began, collated_s = Outcome(), time.perf_counter(), self._forward.collate_s
        self._raise_pass_limit()
        trials = {number: trial for number, (trial, _) in requests.items() if trial is not None}
        owner = {id(trial.factors): number for number, trial in trials.items()} | {id(None): BASE}
        learning = _select_requests(Learn, requests)
        sums: dict[int, list[torch.Tensor]] = {}  # (loss, hits or norm) by trial
        own_factors = {number: trials[number].factors for number in learning}
        self._stack.own()
        before = {number: factors.grad for number, factors in own_factors.items()}
        for factors in own_factors.values():
            factors.grad = None  # a failed round can be retried
        for results in self._run_passes(learning, self._forward.train, owner, outcome):
            _add(sums, owner, results)
        for number, grad in before.items():
            _join(own_factors[number], grad, succeeded=number not in outcome.errors)
        stepped = {number: request for number, request in learning.items() if number not in outcome.errors}
        due = {number: (trials[number], request.update) for number, request in stepped.items()}
        norms, trained = self._update(due, outcome), outcome.tokens
        for results in self._run_passes(
            _select_requests(Judge, requests), self._forward.judge, owner, outcome
        ):
            _add(sums, owner, results)
        self._read(sums, norms, outcome)
        self._score_rows(_select_requests(Rate, requests), owner, outcome)
        outcome.busy_s = time.perf_counter() - began
        outcome.data_s = self._forward.collate_s - collated_s
        outcome.evaluated_tokens = outcome.tokens - trained
        if len(learning) == len(requests) and not outcome.errors:
            self.costs.add(tuple(requests), Round(outcome.passes, outcome.tokens, outcome.busy_s))
        return outcome

    def _score_rows(self, requests: Mapping[int, Rate], owner: Mapping[int, int], outcome: Outcome) -> None:
        """Score rows by likelihood."""
        readings: dict[int, Reading] = {}
        for results in self._run_passes(requests, self._forward.rate, owner, outcome):
            readings |= {id(item): reading for item, reading in results}
        for number, request in requests.items():
            if number not in outcome.errors:
                outcome.done[number] = Result(answers=[readings[id(item)] for item in request.items])

    def _raise_pass_limit(self) -> None:
        """Try larger passes again after a while: the process that used the memory may have released it."""
        self._calm += 1
        if self._calm >= CALM and self.most < self.bound:
            self._calm, self.most = 0, min(self.bound, 2 * self.most)

    def bind(self, tokens: int) -> None:
        """Limit a pass to ``tokens``; 0 lifts the limit."""
        self.most = self.bound = min(MOST, tokens) if tokens else MOST

    def _run_passes(
        self,
        requests: Mapping[int, Rows],
        work: Callable[..., PassResults],
        owner: Mapping[int, int],
        outcome: Outcome,
    ) -> list[PassResults]:
        """Distribute the rows over passes and run them. A failing trial is left out with its error."""
        together = [
            item for number, request in requests.items() if number not in self.alone for item in request.items
        ]
        parts = [together] + [request.items for number, request in requests.items() if number in self.alone]
        results: list[PassResults] = []
        for items in parts:
            for indices, concatenates in self._plan(items) if items else []:
                results += self._run_pass(
                    [items[index] for index in indices], work, owner, outcome, concatenates
                )
        return results

    def _plan(self, items: Sequence[Item]) -> list[tuple[list[int], bool]]:
        """Indices of the rows of each pass, and whether it is padding-free."""
        lengths = [len(item.row.ids) for item in items]
        padded = share_out(lengths, self.costs.overhead, self.most)
        needs_rows = any(  # noise, drops and states are placed by the row of a padded batch
            item.state or (item.augment is not None and item.augment.changes_embeddings) for item in items
        )
        concatenates = self.padding_free and not needs_rows
        batches = plan_padding_free(lengths, padded, self.costs.overhead) if concatenates else []
        return [(indices, bool(batches)) for indices in batches or padded]

    def _run_pass(
        self,
        items: Sequence[Item],
        work: Callable[..., PassResults],
        owner: Mapping[int, int],
        outcome: Outcome,
        padding_free: bool,
    ) -> list[PassResults]:
        """Run one pass; on out of memory in two halves, on another error once for each trial."""
        items = [item for item in items if owner[id(item.mine)] not in outcome.errors]
        if not items:
            return []
        tokens = _count_tokens(items, padding_free)
        owners = list(dict.fromkeys(owner[id(item.mine)] for item in items))
        try:
            results = work(items, padding_free=True) if padding_free else work(items)
        except Exception as error:
            if is_device_failure(error):
                raise
            fault = error
            if is_out_of_memory(error):
                halves = [items[: len(items) // 2], items[len(items) // 2 :]]
                self.most, self._calm = min(self.most, max(1, tokens // 2)), 0
                outcome.shortest_oom = min(outcome.shortest_oom or tokens, tokens)
                fault = error.with_traceback(None)  # else its frames keep the tensors of the pass
            else:
                halves = [[item for item in items if owner[id(item.mine)] == number] for number in owners]
                halves = halves if len(owners) > 1 else [[]]
        else:
            outcome.widest = max(outcome.widest, tokens)
            outcome.passes, outcome.tokens = outcome.passes + 1, outcome.tokens + tokens
            outcome.row_tokens += sum(len(item.row.ids) for item in items)
            return [results]
        free(self._base.device)
        if not all(halves):
            outcome.errors[owners[0]] = fault
            return []
        return [
            result for half in halves for result in self._run_pass(half, work, owner, outcome, padding_free)
        ]

    def _update(
        self, due: Mapping[int, tuple[Trial, Update | None]], outcome: Outcome
    ) -> dict[int, torch.Tensor]:
        """Clip the gradients and step the trials whose accumulation is complete. Returns the gradients'
        norms."""
        ready = [(number, trial, update) for number, (trial, update) in due.items() if update is not None]
        if not ready:
            return {}
        grads = [trial.factors.grad for _, trial, _ in ready]
        targets, clips = pinned_transfer.copy_to_device(
            self._base.device,
            torch.tensor([float(update.targets) for *_, update in ready]),
            torch.tensor([update.clip for *_, update in ready]),
        )
        norms = torch.stack(torch._foreach_norm(grads)) / targets
        shares = (clips / (norms + 1e-6)).clamp(max=1.0) / targets  # as torch's clip_grad_norm_
        torch._foreach_mul_(grads, list(shares.unbind()))
        for _, trial, _ in ready:
            trial.factors.matrix.grad = trial.factors.grad
        joint = [step for step in ready if optimizers.can_join(step[1].optimizer)]
        for steps in (joint, *([step] for step in ready if step not in joint)):
            self._try_step(steps, outcome)
        for _, trial, _ in ready:
            trial.factors.matrix.grad = trial.factors.grad = None
        self._stack.refresh([trial.factors for _, trial, _ in ready])
        return {number: norm for (number, *_), norm in zip(ready, norms.unbind(), strict=True)}

    def _try_step(self, steps: Sequence[tuple[int, Trial, Update]], outcome: Outcome) -> None:
        """Step one trial, or several that join; an error is theirs."""
        try:
            if len(steps) == 1:
                (_, trial, update), *_ = steps
                self._step(trial, update.rate)
            elif steps:
                optimizers.step_together([(trial.optimizer, update.rate) for _, trial, update in steps])
        except Exception as error:
            if is_device_failure(error):
                raise
            outcome.errors |= {number: error for number, *_ in steps}
            outcome.unsteady |= {number for number, *_ in steps}

    def _step(self, trial: Trial, rate: float) -> None:
        """Step the optimizer. The first step also allocates its state, so it is retried after memory is
        freed."""
        try:
            optimizers.step(trial.optimizer, rate)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            free(self._base.device)
            optimizers.step(trial.optimizer, rate)

    def _read(
        self,
        sums: Mapping[int, list[torch.Tensor]],
        norms: Mapping[int, torch.Tensor],
        outcome: Outcome,
    ) -> None:
        """Copy all numbers to the host at once: one synchronisation with the device per round."""
        scored_numbers = [number for number in sums if number not in outcome.errors]
        if not scored_numbers:
            return
        zero = torch.zeros((), device=self._base.device)
        rows = [torch.stack([sums[number][0], sums[number][1] if len(sums[number]) > 1 else zero,
                             norms.get(number, zero)]) for number in scored_numbers]  # fmt: skip
        numbers = torch.stack(rows).tolist()
        for number, (loss, hits, norm) in zip(scored_numbers, numbers, strict=True):
            outcome.done[number] = Result(loss, norm, int(hits))


def _count_tokens(items: Sequence[Item], padding_free: bool) -> int:
    """Tokens of a pass, padding included."""
    lengths = [len(item.row.ids) for item in items]
    return sum(map(round_to_blocks, lengths)) if padding_free else len(lengths) * max(lengths)


def _select_requests(kind: type[W], requests: Requests) -> dict[int, W]:
    """The requests of one type, by trial."""
    return {number: request for number, (_, request) in sorted(requests.items()) if isinstance(request, kind)}


def _join(factors: Factors, before: torch.Tensor | None, succeeded: bool) -> None:
    """Add this round's gradient to ``before``, that of earlier micro-batches; a failed round adds nothing."""
    if before is None or factors.grad is None or not succeeded:
        factors.grad = factors.grad if succeeded and factors.grad is not None else before
    else:
        factors.grad = before.add_(factors.grad)


def _add(sums: dict[int, list[torch.Tensor]], owner: Mapping[int, int], results: PassResults) -> None:
    """Add the values of a pass to the sums of each trial."""
    for factors, *values in results:
        totals = sums.setdefault(owner[id(factors)], [])
        if totals:
            totals[:] = [total + value for total, value in zip(totals, values, strict=True)]
        else:
            totals.extend(values)
