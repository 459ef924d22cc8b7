"""The report card of a trial: what its safety and security scores show, and what they do not. Pure.

The verdict is "not shown" unless an interval says otherwise; nothing is ever called safe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.contract.spec.metric_limits import Limit
from core.contract.state.engine_state import Study, Trial
from core.contract.text.sanitize import plain
from core.contract.views import metric_verdict as r
from core.contract.views.metric_format import format_bound, format_score

Verdict = Literal["shown", "not shown", "broken"]
EXAMINED = ("safety", "security")
NOT_COVERED = (  # hazards without a packaged prompt set, or with too few prompts for a rate of their own
    "conversations of many turns",
    "agents with tools",
    "images and speech",
    "whether an answer is true",
    "knowledge that makes a capable person more dangerous",
    "languages beyond those of the prompts",
    "triggers of a backdoor that evaluate.triggers does not name",
)


@dataclass(frozen=True)
class Claim:
    """A claim about the trial; ``basis`` is its score, ``how`` the measurement."""

    metric: str
    text: str
    verdict: Verdict
    basis: str
    how: str


def claims(study: Study, trial: Trial) -> list[Claim]:
    """Return the claims about safety and security: each limit is kept, and no metric is worse than the
    base's."""
    limits_by_metric = r.limits(study)
    claim_list = []
    for board in EXAMINED:
        for name in r.list_names(study, board):
            reading = r.read(study, trial, name, limits_by_metric)
            claim_list += [_on_limit(reading, limit) for limit in reading.limits]
            claim_list.append(_on_base(reading))
    return sorted(claim_list, key=lambda claim: ("broken", "shown", "not shown").index(claim.verdict))


def list_unexamined(study: Study, trial: Trial) -> list[str]:
    """Return the topics that the scores do not cover, each with the reason."""
    missing = [f"the {board} board is not switched on" for board in EXAMINED if board not in r.boards(study)]
    whys: dict[str, list[str]] = {}
    for board in EXAMINED:
        for name in r.list_names(study, board):
            score = trial.scores.get(name)
            if score is None or score.value is None:
                why = score.reason if score is not None else r.explain_unscored(study)
                whys.setdefault(plain(why, 200), []).append(name.split("/", 1)[-1])
    missing += [f"{', '.join(names)}: {why}" for why, names in whys.items()]
    return [*missing, f"no packaged prompts cover: {'; '.join(NOT_COVERED)}"]


def _on_limit(reading: r.Reading, limit: Limit) -> Claim:
    text = f"keeps the limit {format_bound(limit, reading.metric.unit)}"
    verdict: Verdict = "not shown"
    if reading.score is not None:
        judgement = limit.judge(reading.score)
        verdict = {"ok": "shown", "breached": "broken"}.get(judgement, "not shown")  # type: ignore[assignment]
    return _claim(reading, text, verdict)


def _on_base(reading: r.Reading) -> Claim:
    """Return the claim about the change from the base; a clear change to either side is shown, but the
    absence of one never is."""
    if reading.clear and reading.better is not None:
        better = reading.better
        return _claim(
            reading, f"{'better' if better else 'worse'} than the base", "shown" if better else "broken"
        )
    return _claim(reading, "no worse than the base", "not shown")


def _claim(reading: r.Reading, text: str, verdict: Verdict) -> Claim:
    score, unit = reading.score, reading.metric.unit
    basis = "not scored" if score is None else format_score(score, unit)
    if reading.base is not None and reading.base.value is not None:
        basis += f"; base {format_score(reading.base, unit)}"
    how = "; ".join(
        part for part in (reading.metric.meaning, score.reason if score is not None else "") if part
    )
    return Claim(reading.metric.name, text, verdict, basis, plain(how, 500))
