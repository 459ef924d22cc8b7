"""Trials of a study: those that the sampler proposes, those that people queue, and when to stop proposing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from core.contract.events import event_types as e
from core.contract.spec.cross_key_checks import awaits_boards
from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.state import unrated_trials
from core.contract.state.stop_conditions import Stop
from core.daemon.study import late_scores
from core.daemon.study.search_protocol import SearchPort
from core.daemon.study.trial_endings import End, TrialEndings
from core.daemon.study.trial_memory_admission import Admission, Put
from core.errors import TrimtabError

LATE_S = 2.0  # for Optuna to load, and then for the storage to answer, before it is shown
LOCKED_S = 10.0  # for the storage to answer before another program is suspected: a busy machine takes seconds
LOOK_S = 0.1  # between two looks whether Optuna is loaded
WAITING = "search"  # whose wait is shown


class SearchConversation:
    """Talks to the search of one study; ``now`` returns the study's state."""

    def __init__(
        self, spec: StudySpec, search: SearchPort, weighing: Admission, put: Put, now: Callable[[], s.Study]
    ) -> None:
        self._spec, self._search, self._weighing, self._put, self._now = spec, search, weighing, put, now
        self._empty = not spec.space
        self._endings = TrialEndings(spec, search)
        self._opened = asyncio.Event()
        self.exhausted = ""  # why nothing more is proposed
        self.awaited = 0  # trials that people are queueing: the study does not end meanwhile
        self._told_rated: set[int] = set()  # trials whose strength was reported
        self._told_wait = 0  # how many trials waited for ratings when that was last noted

    @contextlib.contextmanager
    def awaiting(self) -> Iterator[None]:
        """Mark that a trial is about to be queued."""
        self.awaited += 1
        try:
            yield
        finally:
            self.awaited -= 1

    async def open(self) -> None:
        """Make the search agree with the journal. A storage that does not answer is reported, and waited
        for."""
        watch = asyncio.create_task(self._note_slow_storage())
        try:
            await self._search.open()
            awaits = awaits_boards(self._spec) or unrated_trials.awaits_ratings(self._spec)
            trials = self._now().trials.values()
            waiting = {trial.number for trial in unrated_trials.list_unrated(self._now())}
            waiting |= {trial.number for trial in trials if trial.pending and awaits}
            records = {trial.number: _make_search_record(trial, trial.number in waiting) for trial in trials}
            await self._look_for_strangers(list(records))
            if records:
                await self._search.reconcile(records, self._list_readings())
        finally:
            watch.cancel()
        if WAITING in self._now().preparing:
            await self._put(e.Preparing(at=time.time(), study=self._now().name, worker=WAITING, stage=""))
        self._opened.set()

    async def _look_for_strangers(self, numbers: list[int]) -> None:
        """Report results of another study in the storage under this name: they are never mixed in
        silently."""
        strange = await self._search.list_unknown_results(numbers)
        if not strange:
            return
        name = self._now().name
        message = (
            f"the storage holds {len(strange)} trials with results under the name {name!r} that are not "
        )
        if not numbers:  # its history would come from other data or another base
            raise TrimtabError.of(
                f"{message}this study's",
                "study.storage",
                "take another study.name, or remove that study: `optuna delete-study --study-name "
                f"{name} --storage URL`",
            )
        text = f"{message}in its journal: the sampler learns from them, but they are not shown here"
        self._put(e.StudyNoted(at=time.time(), study=name, text=text, level="warning"))

    def _list_readings(self) -> dict[int, tuple[tuple[int, ...], tuple[float, ...]]]:
        """Return the objective's curves of the trials that the sampler learns from, since it may have missed
        some."""
        metric, *more = (objective.metric for objective in self._spec.study.objectives)
        trials = [trial for trial in self._now().trials.values() if trial.counted and metric in trial.series]
        return (
            {}
            if more
            else {trial.number: (trial.series[metric].steps, trial.series[metric].values) for trial in trials}
        )

    async def _note_slow_storage(self) -> None:
        """Show that the search is being loaded or its storage opened; warn of a storage that does not answer
        after that."""
        await asyncio.sleep(LATE_S)
        at, name = time.time(), self._now().name
        if not self._search.loaded:
            self._put(e.Preparing(at=at, study=name, worker=WAITING, stage="loading Optuna"))
        while not self._search.loaded:
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(LATE_S)
        opening = "opening Optuna's storage"
        self._put(e.Preparing(at=time.time(), study=name, worker=WAITING, stage=opening))
        await asyncio.sleep(LOCKED_S - LATE_S)
        at = time.time()
        stage = "waiting for Optuna's storage: another program may hold it locked"
        text = f"Optuna's storage has not answered for {LOCKED_S:g} s: another program may hold it locked"
        self._put(
            e.Preparing(at=at, study=name, worker=WAITING, stage=stage),
            e.StudyNoted(at=at, study=name, text=f"{text}; trials begin when it answers", level="warning"),
        )

    async def change(self, spec: StudySpec) -> None:
        """Continue with a changed ``spec``: a space that was exhausted may no longer be."""
        await self._search.change(spec)
        self._spec = spec
        self._endings, self._empty = TrialEndings(spec, self._search), not spec.space
        self.exhausted = ""

    async def tell(self, end: End) -> None:
        """Report a trial's end to the sampler."""
        await self._endings.tell(self._now(), end)

    async def tell_end(self, event: e.TrialEvent) -> None:
        """Report a trial's end to the sampler, including pending scores that it needs."""
        end = late_scores.find_search_result(self._now(), self._spec, event)
        if isinstance(end, e.TrialPruned) and end is not event:
            await self._put(end)  # it comes back as an event
        elif isinstance(end, End):
            await self.tell(end)

    async def tell_rated(self) -> None:
        """Report the trials that have enough ratings by now; the sampler keeps the strength of that moment,
        as storages keep a result."""
        study = self._now()
        if not unrated_trials.awaits_ratings(self._spec):
            return
        for trial in study.trials.values():
            rated = trial.state == s.COMPLETE and trial.values and not trial.pending
            if rated and trial.number not in self._told_rated:
                self._told_rated.add(trial.number)
                await self._endings.tell(study, late_scores.make_result(study, trial))

    def waits_for_ratings(self) -> bool:
        """Tell whether people's ratings are all that is to come; it is noted as often as more trials wait."""
        study = self._now()
        count = len(unrated_trials.list_unrated(study))
        if count > self._told_wait:
            text = unrated_trials.describe_wait(study)
            self._put(e.StudyNoted(at=time.time(), study=study.name, text=text, level="warning"))
        self._told_wait = count
        return count > 0

    async def report(self, event: e.TrialEvaluated | e.TrialScored) -> str:
        """Report new metrics to the pruner; return why it ends the trial, empty while the trial continues."""
        trial = self._now().trials[event.trial]
        if not trial.counted:
            return ""  # a person steers it: the pruner neither judges it nor compares others with it
        if isinstance(event, e.TrialScored) and trial.state in s.ENDED and not awaits_boards(self._spec):
            return ""  # the sampler has its result already
        by_row = self._spec.study.pruner == "wilcoxon" and isinstance(event, e.TrialEvaluated)
        rows = event.rows if by_row else ()  # type: ignore[union-attr]
        return await self._search.report(event.trial, event.step, event.metrics, rows) or ""

    def enough(self) -> Stop | None:
        """Return why the study ends now, which is also recorded as the reason for proposing nothing more."""
        stop = self._endings.enough(self._now())
        if stop is not None:
            self.exhausted = self.exhausted or stop.why
        return stop

    async def next(self) -> s.Trial | None:
        """Queue the sampler's next proposal; None if it proposes nothing more."""
        study = self._now()
        if self.exhausted or study.state != "running" or len(study.trials) >= study.total_trials:
            return None
        if unrated_trials.is_far_enough_ahead(study):
            return None
        proposal = await self._search.ask()
        if proposal is None:
            self.exhausted = "[space] is empty" if self._empty else "the search space is used up"
            return None
        refusals = await self._put(
            e.TrialQueued(
                at=time.time(), study=study.name, trial=proposal.number,
                params=proposal.params, knobs=proposal.knobs, why=proposal.why,
            )
        )  # fmt: skip
        if refusals:  # asking again would give the same proposal
            message = f"the sampler's trial {proposal.number} cannot be queued: {refusals[0]}"
            raise TrimtabError.of(message, f"study {study.name}", "the engine's log holds more")
        self._note_repeated(study, proposal.number, proposal.knobs)
        await self._weighing.check_proposal(self._now(), proposal.number, proposal.knobs)
        return self._now().trials.get(proposal.number)

    def _note_repeated(self, study: s.Study, number: int, knobs: dict[str, Any]) -> None:
        """Note that a trial repeats the knobs of an earlier one: with the same seed it gives the same result
        and no information."""
        twin = next((trial.number for trial in study.trials.values() if trial.knobs == knobs), None)
        if twin is not None:
            text = f"trial {number} repeats trial {twin}'s knobs: the sampler proposed the same again"
            self._put(e.StudyNoted(at=time.time(), study=study.name, text=text))

    async def enqueue(self, params: dict[str, Any], counted: bool) -> Any:
        """Return a number for a trial by hand, and the parameters that the sampler adds; see core.search."""
        await self._opened.wait()
        return await self._search.enqueue(params, counted)

    async def give_up(self, number: int) -> None:
        """Withdraw a trial by hand that could not be queued."""
        await self._search.tell(number, s.FAILED)


def _make_search_record(trial: s.Trial, waits: bool) -> tuple[str, tuple[float, ...], dict[str, Any]]:
    """Return the trial's state, values and parameters for Optuna. The result of a complete trial that
    ``waits`` for scores or ratings is not reported yet, one of other knobs than the parameters never."""
    if waits:
        return s.RUNNING, (), trial.params
    aside = not trial.counted and trial.state in (s.COMPLETE, s.PRUNED)
    return "aside" if aside else trial.state, trial.values, trial.params if trial.counted else {}
