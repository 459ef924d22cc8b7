"""Has a population's losers give their places to clones of its winners, by the requests that people make."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from core.contract import events as e
from core.contract import state as s
from core.contract import wire
from core.contract.population import BY
from core.contract.ranking import ended
from core.contract.stopping import due
from core.daemon import population
from core.daemon.background import Tasks
from core.daemon.population import Exploit, Judged
from core.daemon.supervisor import Supervisor
from core.errors import TrimtabError

log = logging.getLogger("trimtab.succession")
Ask = Callable[[wire.AnyRequest], Awaitable[wire.Answer | None]]


class Succession:
    """First the clone is queued, then the loser pruned: a clone that is refused costs nothing.

    That a loser has a successor is in the journal, so an engine that comes back prunes it, and makes no
    other clone. What it compared is kept here alone: a decision that was not begun when the engine ended is
    not made up for.
    """

    def __init__(self, supervisor: Supervisor, ask: Ask) -> None:
        self._supervisor, self._ask = supervisor, ask
        self._judged: dict[str, Judged] = {}
        self._leaving: set[tuple[str, int]] = set()
        self._told_late: set[str] = set()
        self._tasks = Tasks("a population's succession")
        supervisor.watchers.append(self._watch)

    def take_up(self, study: s.Study) -> None:
        """What was compared before the engine ended is not compared again; who has a successor is pruned."""
        plan = population.plan_of(study)
        if plan is None:
            return
        self._note(study, plan)
        living = {
            one.number for one in population.members(study) if one.state not in s.ENDED and not one.asked
        }
        for clone in study.trials.values():
            if clone.place_of in living:
                self._tasks.start(self._prune(study.name, clone.place_of, _later(clone)))

    def _watch(self, event: e.Event, state: s.State) -> None:
        if isinstance(event, e.StudyCreated):  # nothing of one before it
            self._judged.pop(event.study, None)
            self._told_late.discard(event.study)
        if isinstance(event, e.TrialCompleted):
            self._say_late(state.studies[event.study], event.trial)
        if not isinstance(event, e.TrialEvaluated | e.TrialScored):
            return
        study = state.studies[event.study]
        plan = population.plan_of(study)
        if plan is None or study.state != "running" or due(study, plan.stop_after, time.time()):
            return
        leaving = {trial for name, trial in self._leaving if name == study.name}
        found = population.decisions(study, plan, self._judged.get(study.name, frozenset()), leaving)
        found = found[: _left(study, plan, leaving)]
        self._note(study, plan)
        self._leaving |= {(study.name, one.loser) for one in found}
        for one in found:
            self._tasks.start(self._replace(study.name, one))

    def _note(self, study: s.Study, plan: population.Plan) -> None:
        """Remember who was compared."""
        now = {(one.number, step) for step, reached in population.comparable(study, plan) for one in reached}
        self._judged[study.name] = self._judged.get(study.name, frozenset()) | now

    async def _replace(self, name: str, one: Exploit) -> None:
        changes = {knob: after for knob, (_, after) in one.changes.items()}
        try:
            study = self._supervisor.state.studies[name]
            if study.state not in ("running", "paused"):
                return  # a clone would have a study that has ended go on
            if study.trials[one.loser].state in s.ENDED:
                return  # its place is free already, and its result stands
            clone = wire.CloneTrial(name, one.winner, changes, by=BY, place_of=one.loser)
            queued = await self._ask(clone)
            if isinstance(queued, wire.Queued):
                await self._prune(name, one.loser, one.words(queued.trial))
        except TrimtabError as error:
            why = error.problems[0].what
            self._say(name, f"population: trial {one.loser} keeps its place: {why}")
        finally:
            self._leaving.discard((name, one.loser))

    async def _prune(self, name: str, trial: int, why: str) -> None:
        try:
            await self._ask(wire.PruneTrial(name, trial, by=BY, why=why))
        except TrimtabError as error:  # it has ended meanwhile
            log.info("prune of trial %d: %s", trial, error)

    def _say_late(self, study: s.Study, ended: int) -> None:
        """A population that cannot train side by side is none; said once."""
        plan = population.plan_of(study) if study.name not in self._told_late else None
        begun = sum(1 for one in study.trials.values() if not one.by and one.started_at is not None)
        if plan is not None and begun < plan.size:
            self._told_late.add(study.name)
            late = f"trial {ended} has ended before {plan.size - begun} of {plan.size} began"
            fix = "a smaller population, or more memory, has all train side by side"
            self._say(study.name, f"population: {late}, and cannot be cloned for those; {fix}")

    def _say(self, study: str, text: str) -> None:
        self._supervisor.put(e.StudyNoted(at=time.time(), study=study, text=text, level="warning"))


def _left(study: s.Study, plan: population.Plan, leaving: set[int]) -> int | None:
    """How many more trials may be ended before stop_after.trials is reached; None without such a limit."""
    if plan.stop_after.trials is None:
        return None
    pruned = {
        one.number for one in study.trials.values() if one.asked == "prune" and one.state not in s.ENDED
    }
    return max(0, plan.stop_after.trials - ended(study) - len(pruned | leaving))


def _later(clone: s.Trial) -> str:
    return f"population: trial {clone.number}, a clone of trial {clone.parent}, goes on in its place"
