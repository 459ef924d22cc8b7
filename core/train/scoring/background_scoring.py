"""Scores snapshots and the base beside the training: in a stack of their own, within a budget.

One rule for what is pending: a trial that is pruned, stopped or taken elsewhere loses it (its checkpoint has
it); a pause keeps it; a trial whose training is done is complete and keeps it. Of a trial that trains on, the
newest snapshot takes the place of one that is not begun, and the one that is under way ends with the samples
it has; not where the sampler, the pruner or a limit waits for every value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from core.contract.events import event_types as e
from core.contract.spec.search_checks import awaits_boards
from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain
from core.train.adapters.adapter_stack import Stack
from core.train.evaluation.probe_scoring import Life, Scored, asks
from core.train.evaluation.scorecard import Scorecard
from core.train.evaluation.study_boards import Boards
from core.train.scoring.adapter_snapshots import Asker, Line, Snapshot
from core.train.scoring.base_scores import Bare
from core.train.scoring.scoring_batches import IDLE_S, UNIT_S, Answering, Unit
from core.train.scoring.scoring_budget import Budget
from core.train.step.step_requests import BASE

log = logging.getLogger("trimtab.scorings")
AT_ONCE = 16  # snapshots that are asked together
PAUSE_S = 0.02  # while all wait for another worker
TELL_S = 0.5  # between two words on how far a scoring is

After = Callable[[Callable[[], None]], None]


class Scorings:
    """Of one pack. ``after_end`` does a job once the ends of trials told before are told."""

    def __init__(
        self, spec: Spec, boards: Boards, bare: Bare, answering: Answering, stack: Stack, after_end: After
    ) -> None:
        self._boards, self._bare, self._answering, self._stack = boards, bare, answering, stack
        self._after_end = after_end
        self._every = awaits_boards(spec) or any(
            not one.metric.startswith("eval/") for one in spec.study.objectives
        )
        self._budget = Budget(spec.evaluate.budget)
        self._lines: dict[int, Line] = {}
        self._base: Asker | None = None
        self._told_at = 0.0
        self.ready = False  # did something train already?

    @property
    def busy(self) -> bool:
        """Is anything to be scored?"""
        return bool(self._lines) or (self._base is not None and self._base.result is None)

    # -- what is wanted ---------------------------------------------------------------------------

    def begin_base(self, trials: Path) -> None:
        """Have the base scored, too; once. ``trials`` is the folder of the trials' folders."""
        if self._base is None:
            self._bare.begin(trials)
            self._base = Asker(BASE, self._bare.live())

    def want(self, snapshot: Snapshot) -> None:
        """Score ``snapshot`` when there is time for it."""
        line = self._lines.setdefault(snapshot.number, Line())
        if not self._every:
            line.queued.clear()
        line.queued.append(snapshot)

    def bind(self, tokens: int) -> None:
        """No pass may have more than ``tokens``; 0 lifts the bound."""
        self._answering.bind(tokens)

    def pending(self, number: int) -> list[Snapshot]:
        """The trial's snapshots that are not scored yet: for its checkpoint."""
        line = self._lines.get(number)
        return line.all() if line is not None else []

    def drop(self, number: int) -> None:
        """The trial is gone: nobody waits for its scores."""
        line = self._lines.pop(number, None)
        if line is not None and line.now is not None:
            line.now.close()
        if not self.busy:
            self._answering.forget()

    # -- work -------------------------------------------------------------------------------------

    def turn(self, training: bool) -> None:
        """One unit of work where the budget allows it. Raises torch.AcceleratorError."""
        if not self.busy or not (self.ready or not training) or not self._budget.allows(training):
            return
        askers = self._askers()
        for one in askers:
            self._guarded(one, one.go_on)
        asked = [one for asker in askers for one in asker.open]
        if not asked and not self._answering.writing:
            if not training and any(one.waits for one in askers):
                time.sleep(PAUSE_S)  # another worker scores the base: nothing to burn a core for
            self._collect()
            return
        began = time.perf_counter()
        unit = self._answering.unit(asked, UNIT_S if training else IDLE_S)
        took_s = time.perf_counter() - began
        self._budget.spent(took_s)
        self._share(askers, unit, took_s)
        self._collect()
        self._tell_progress()
        if self._base is not None and self._base.result is not None:
            self._bare.tell_progress(0, over=True)

    def _askers(self) -> list[Asker]:
        """Those that are asked now, the base first. The stack changes between two texts only."""
        if not self._answering.writing:
            active = sum(line.now is not None for line in self._lines.values())
            for line in self._lines.values():
                if line.now is None and line.queued and active < AT_ONCE:
                    self._begin(line)
                    active += 1
            self._compose()
        base = [self._base] if self._base is not None and self._base.result is None else []
        return base + [line.now for line in self._lines.values() if line.now is not None]

    def _begin(self, line: Line) -> None:
        snapshot = line.snapshot = line.queued.pop(0)
        life = self._life(line, snapshot)
        line.now = Asker(snapshot.number, life, snapshot.factors)
        line.total = asks(self._boards.asked(snapshot.writes))

    def _life(self, line: Line, snapshot: Snapshot) -> Life:
        def enough() -> bool:
            return bool(line.queued) and not self._every

        scored = yield from self._boards.score(snapshot.factors, snapshot.writes, enough)
        if snapshot.last and self._boards.tasks is not None:
            progress = partial(snapshot.card.voice.prepare, "the tasks of evaluate.tasks")
            values = self._boards.base_values
            scored.join((yield from self._boards.tasks.score(snapshot.factors, values, progress)))
            snapshot.card.voice.prepare("", 0)
        return scored

    def _compose(self) -> None:
        active = [line.snapshot.factors for line in self._lines.values() if line.now and line.snapshot]
        known = [one for group in self._stack.groups for one in group.members]
        if {id(one) for one in active} != {id(one) for one in known}:
            self._stack.compose([(one, 1) for one in active])

    def _share(self, askers: list[Asker], unit: Unit, took_s: float) -> None:
        """Give everybody its answers, and a share of the time."""
        for owner, error in unit.errors.items():
            self._failed(owner, error)
        each_s = took_s / max(1, len(askers))
        for asker in askers:
            mine = {one: answer for one, answer in unit.answers.items() if one.owner == asker.owner}
            mine = {one: answer for one, answer in mine.items() if one in asker.open}
            if asker.owner not in unit.errors:
                self._guarded(asker, partial(asker.take, mine, each_s))

    def _guarded(self, asker: Asker, work: Callable[[], None]) -> None:
        try:
            work()
        except torch.AcceleratorError:
            raise
        except Exception as error:
            self._failed(asker.owner, error)

    def _failed(self, owner: int, error: Exception) -> None:
        """Scores that cannot be had are a word, not a trial's end, unless its objective is among them."""
        log.error("scoring of %d", owner, exc_info=error)
        if owner == BASE:
            assert self._base is not None
            self._base.result = Scored()
            self._bare.give_up(error)
            return
        line = self._lines.get(owner)
        if line is None:
            return
        snapshot, line.now, line.snapshot = line.snapshot, None, None
        assert snapshot is not None
        why = plain(f"{type(error).__name__}: {error}", 300)
        snapshot.card.voice.warn(f"step {snapshot.step} could not be scored: {why}")
        if snapshot.last:
            self._after_end(lambda: _ended(snapshot.card, snapshot.step, why))
        self._close(owner, line)

    def _collect(self) -> None:
        """Tell what is scored."""
        for number, line in list(self._lines.items()):
            if line.now is None or line.now.result is None or line.snapshot is None:
                continue
            scored, snapshot = line.now.result, line.snapshot
            line.now = line.snapshot = None
            self._tell(snapshot, partial(snapshot.take, scored))
            self._close(number, line)

    def _tell(self, snapshot: Snapshot, job: Callable[[], None]) -> None:
        if snapshot.last:
            self._after_end(job)
        else:
            job()

    def _close(self, number: int, line: Line) -> None:
        if not line.queued:
            self._lines.pop(number, None)

    def _tell_progress(self) -> None:
        now = time.monotonic()
        if now - self._told_at < TELL_S:
            return
        self._told_at = now
        if self._base is not None and self._base.result is None and self._base.open:
            self._bare.tell_progress(self._base.answered, over=False)
        for line in self._lines.values():
            if line.now is not None and line.snapshot is not None:
                line.snapshot.card.voice.say(
                    e.TrialScoring, step=line.snapshot.step, done=line.now.answered, total=line.total
                )


def _ended(card: Scorecard, step: int, why: str) -> None:
    if card.waits:
        card.voice.say(e.TrialFailed, error=f"its objective could not be scored: {why}", step=step)
    else:
        card.voice.say(e.ScoringEnded, why=why)
