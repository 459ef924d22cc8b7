"""Judges what trials score: limits that are broken, and metrics that drift away from the base."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from core.contract import events as e
from core.contract import state as s
from core.contract import wire
from core.contract.limits import Limit
from core.contract.metrics import METRICS
from core.contract.score import Score
from core.daemon.supervisor import Supervisor
from core.errors import TrimtabError
from core.evaluate import drift

log = logging.getLogger("trimtab.breaches")
MACHINES = ("quality/tokens_per_s", "quality/latency_s")  # say more of the machine than of the trial
NOTHING = Score(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Finding:
    """What is wrong with a trial's metric, in words; ``limit`` where it is a limit that is broken."""

    key: str  # the limit's text, or the metric that drifts
    text: str
    limit: Limit | None = None


def limits_of(study: s.Study) -> list[Limit]:
    """evaluate.limits of the study."""
    return [Limit.parse(text) for text in study.spec.get("evaluate", {}).get("limits", ())]


def judge(
    study: s.Study, event: e.TrialScored, known: frozenset[str]
) -> tuple[list[Finding], frozenset[str]]:
    """What is newly wrong, and all that is: a limit that is neither kept nor broken for sure stays as it
    was."""
    broken = _broken(limits_of(study), event.scores, known)
    drifting = {found.key: found for found in _drifting(study, event)}
    told = set(event.scores)
    kept = {one for one in known if one in METRICS and one not in told}  # not scored this time
    now = frozenset({*broken, *drifting, *kept})
    found = [*(_of_limit(limit, event) for key, limit in broken.items() if key not in known)]
    return found + [one for key, one in drifting.items() if key not in known], now


def broken_before(study: s.Study, trial: s.Trial) -> frozenset[str]:
    """The limits that a trial breaks by what it scored last: for an engine that takes up its study."""
    return frozenset(_broken(limits_of(study), trial.scores, frozenset()))


def _broken(limits: list[Limit], scores: dict[str, Score], known: frozenset[str]) -> dict[str, Limit]:
    found = {}
    for limit in limits:
        score = scores.get(limit.metric)
        verdict = limit.breached(score) if score is not None else "unsure"
        if verdict == "breached" or (verdict == "unsure" and str(limit) in known):
            found[str(limit)] = limit
    return found


def _of_limit(limit: Limit, event: e.TrialScored) -> Finding:
    text = f"{limit.metric} is {event.scores[limit.metric]} at step {event.step}: over the limit {limit}"
    return Finding(str(limit), text, limit)


def _drifting(study: s.Study, event: e.TrialScored) -> Iterator[Finding]:
    """Metrics that are worse than the base's beyond chance, for so many looks at once (Bonferroni)."""
    looks = len(event.scores)
    for name, score in event.scores.items():
        base, metric = study.base_scores.get(name), METRICS.get(name)
        if base is None or metric is None or name in MACHINES:
            continue
        change = event.changes.get(name)
        if change is not None:
            found = drift.judged(drift.difference(change, NOTHING, looks), metric.direction)
        else:
            found = drift.against(score, base, metric.direction, looks)
        if found.verdict == "worse":
            text = f"{name} is {score} at step {event.step}, worse than the base's {base}: {found.change}"
            yield Finding(name, text)


class Breaches:
    """Says each finding once, until it is over; does what evaluate.on_breach asks for a broken limit."""

    def __init__(self, supervisor: Supervisor, ask: Callable[[wire.AnyRequest], Awaitable[object]]) -> None:
        self._supervisor, self._ask = supervisor, ask
        self._known: dict[tuple[str, int], frozenset[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        supervisor.watchers.append(self._watch)

    def take_up(self, study: s.Study) -> None:
        """What is broken already was said by the engine before."""
        for trial in study.trials.values():
            self._known[study.name, trial.number] = broken_before(study, trial)

    def _watch(self, event: e.Event, state: s.State) -> None:
        if not isinstance(event, e.TrialScored):
            return
        study, key = state.studies[event.study], (event.study, event.trial)
        found, self._known[key] = judge(study, event, self._known.get(key, frozenset()))
        for one in found:
            text = f"trial {event.trial}: {one.text}"
            note = e.StudyNoted(at=time.time(), study=study.name, text=text, level="warning")
            self._supervisor.put(note)
        broken = next((one for one in found if one.limit is not None), None)
        if broken is not None:
            self._act(study, event.trial, broken)

    def _act(self, study: s.Study, trial: int, found: Finding) -> None:
        by, name = f"the limit {found.limit}", study.name
        match study.spec.get("evaluate", {}).get("on_breach", "warn"):
            case "pause":
                self._do(wire.PauseTrial(name, trial, by=by))
            case "prune":
                self._do(wire.PruneTrial(name, trial, by=by, why=found.text))

    def _do(self, request: wire.AnyRequest) -> None:
        task = asyncio.ensure_future(self._asked(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _asked(self, request: wire.AnyRequest) -> None:
        try:
            await self._ask(request)
        except TrimtabError as error:  # it has ended meanwhile
            log.info("%s: %s", type(request).__name__, error)
