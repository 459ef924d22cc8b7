"""Finds breached limits and drifting metrics in the scores of trials, and acts on breaches."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec.metric_limits import Limit
from core.contract.spec.metric_table import SLICE
from core.contract.state import engine_state as s
from core.contract.views.metric_verdict import count_looks
from core.contract.wire import console_api
from core.daemon.answers import metric_regression as drift
from core.daemon.answers.metric_regression import Finding, History
from core.daemon.background_tasks import Tasks
from core.daemon.event_committer import EventCommitter
from core.errors import TrimtabError
from core.evaluate.statistics.drift_test import WINDOW

NOT_SCORED = Score.without_value("it was not scored")
log = logging.getLogger("trimtab.breaches")


def list_limits(study: s.Study) -> list[Limit]:
    """Return the limits of the study (evaluate.limits)."""
    return [Limit.parse(text) for text in study.settings.evaluate.limits]


def judge(
    study: s.Study, event: e.TrialScored, earlier: frozenset[str], history: History | None = None
) -> tuple[list[Finding], frozenset[str]]:
    """Return (new findings, keys of all present findings).

    A limit whose interval is partly beyond the bound keeps its earlier status, and the drift of a slice is
    reported only once.
    """
    breached = _find_broken_limits(study, event.trial, event.scores, earlier)
    drifting = {findings.key: findings for findings in drift.find_drifts(study, event, history or {})}
    still_standing = {key for key in earlier if _persists(key, event)}
    now = frozenset({*breached, *drifting, *still_standing})
    findings = [*(_describe_breach(limit, event) for key, limit in breached.items() if key not in earlier)]
    return findings + [finding for key, finding in drifting.items() if key not in earlier], now


def _persists(key: str, event: e.TrialScored) -> bool:
    """Tell whether a drift persists, because it is a slice's or its metric was not scored this time."""
    name = drift.split_key(key)
    drifts = key in (name, f"{name}{drift.OWN}")
    return drifts and (name.startswith(SLICE) or name not in event.scores)


def list_reported(study: s.Study, trial: s.Trial) -> frozenset[str]:
    """Return the keys of the trial's latest breaches and of the drifts already reported, for an engine that
    resumes the study."""
    breached = _find_broken_limits(study, trial.number, trial.scores, frozenset())
    return frozenset(breached) | drift.list_reported_keys(trial.number, study.lines)


def list_broken_limits(study: s.Study, trial: s.Trial) -> list[Limit]:
    """List the limits that the trial's latest scores break."""
    return list(_find_broken_limits(study, trial.number, trial.scores, frozenset()).values())


def explain_breach(study: s.Study, trial: s.Trial) -> str:
    """Return why the trial's latest scores prune it (evaluate.on_breach = "prune"); empty if they do not."""
    if study.settings.evaluate.on_breach != "prune":
        return ""
    breached = next(iter(_find_broken_limits(study, trial.number, trial.scores, frozenset()).values()), None)
    if breached is None:
        return ""
    return f"{breached.metric} is {trial.scores[breached.metric]}: over the limit {breached}"


def explain_unsure(study: s.Study, trial: s.Trial) -> str:
    """Return why the trial's last scores prune it (evaluate.on_unsure = "prune"); empty if they do not."""
    if study.settings.evaluate.on_unsure != "prune":
        return ""
    return next((_describe_unsure(limit, trial) for limit in list_unsure_limits(study, trial)), "")


def list_unsure_limits(study: s.Study, trial: s.Trial) -> list[Limit]:
    """List the limits that the trial's latest scores neither clearly keep nor clearly break."""
    limits = list_limits(study)
    return [
        limit
        for limit in limits
        if limit.judge(
            trial.scores.get(limit.metric, NOT_SCORED), count_looks(trial, limit.metric), len(limits)
        )
        == "unsure"
    ]


def _describe_unsure(limit: Limit, trial: s.Trial) -> str:
    score = trial.scores.get(limit.metric, NOT_SCORED)
    return f"{limit.metric} is {score} at the end: not shown to keep the limit {limit}"


def _find_broken_limits(
    study: s.Study, trial: int, scores: dict[str, Score], earlier: frozenset[str]
) -> dict[str, Limit]:
    breached, limits = {}, list_limits(study)
    for limit in limits:
        score, look = scores.get(limit.metric), count_looks(study.trials.get(trial), limit.metric)
        verdict = limit.judge(score, look, len(limits)) if score is not None else "unsure"
        if verdict == "breached" or (verdict == "unsure" and str(limit) in earlier):
            breached[str(limit)] = limit
    return breached


def _describe_breach(limit: Limit, event: e.TrialScored) -> Finding:
    text = f"{limit.metric} is {event.scores[limit.metric]} at step {event.step}: over the limit {limit}"
    return Finding(str(limit), text, limit)


def _is_last(event: e.TrialScored | e.TrialCompleted) -> bool:
    return event.last if isinstance(event, e.TrialScored) else event.scoring < 0


class Breaches:
    """Reports each finding once while it lasts, and does what evaluate.on_breach says for a breach."""

    def __init__(
        self, committer: EventCommitter, ask: Callable[[console_api.AnyRequest], Awaitable[object]]
    ) -> None:
        self._committer, self._ask = committer, ask
        self._known: dict[tuple[str, int], frozenset[str]] = {}
        self._history: dict[tuple[str, int], History] = {}
        self._tasks = Tasks("a limit's consequence")
        committer.watchers.append(self._watch)

    def take_up(self, study: s.Study) -> None:
        """Resume a study: do not report again what an earlier engine reported."""
        for trial in study.trials.values():
            self._known[study.name, trial.number] = list_reported(study, trial)
            self._history[study.name, trial.number] = {name: [score] for name, score in trial.scores.items()}

    def _watch(self, event: e.Event, state: s.State) -> None:
        if isinstance(event, e.StudyCreated):  # drop the findings of an earlier study of this name
            self._known = {key: findings for key, findings in self._known.items() if key[0] != event.study}
            self._history = {key: history for key, history in self._history.items() if key[0] != event.study}
        if isinstance(event, e.TrialScored | e.TrialCompleted) and _is_last(event):
            self._end_unsure(state.studies[event.study], event.trial)
        if not isinstance(event, e.TrialScored):
            return
        study, key = state.studies[event.study], (event.study, event.trial)
        history = self._history.setdefault(key, {})
        for name, score in event.scores.items():
            history[name] = [*history.get(name, ())[-WINDOW:], score]
        new_findings, self._known[key] = judge(study, event, self._known.get(key, frozenset()), history)
        for finding in new_findings:
            text = f"trial {event.trial}: {finding.text}"
            self._committer.note(study.name, text, "warning")
        breach = next((finding for finding in new_findings if finding.limit is not None), None)
        if breach is not None:
            self._act_on_breach(study, event.trial, breach)

    def _end_unsure(self, study: s.Study, number: int) -> None:
        """Report the limits that a trial's last scoring leaves open, and do what evaluate.on_unsure says.

        The runner prunes before it reports to the sampler.
        """
        action, trial = study.settings.evaluate.on_unsure, study.trials[number]
        unsure = [] if action == "ignore" else list_unsure_limits(study, trial)
        for limit in unsure:
            text = f"trial {number}: {_describe_unsure(limit, trial)}"
            self._committer.note(study.name, text, "warning")
        if unsure and action == "pause":
            self._send_request(console_api.PauseStudy(study.name, by=f"the limit {unsure[0]}"))

    def _act_on_breach(self, study: s.Study, trial: int, finding: Finding) -> None:
        by, name = f"the limit {finding.limit}", study.name
        if study.trials[trial].state == s.COMPLETE:
            return  # the runner prunes it before it reports to the sampler
        match study.settings.evaluate.on_breach:
            case "pause":
                self._send_request(console_api.PauseTrial(name, trial, by=by))
            case "prune":
                self._send_request(console_api.PruneTrial(name, trial, by=by, why=finding.text))

    def _send_request(self, request: console_api.AnyRequest) -> None:
        self._tasks.start(self._ask_engine(request))

    async def _ask_engine(self, request: console_api.AnyRequest) -> None:
        try:
            await self._ask(request)
        except TrimtabError as error:  # the trial has ended meanwhile
            log.info("%s: %s", type(request).__name__, error)
