"""While you were away: what ended and why, what became the best, what broke, each with its trial."""

from __future__ import annotations

from core.contract.state import engine_state as s
from core.contract.views.away_summary import summarize_away

LEFT = 1000.0


def trial(number: int, state: str, at: float | None, *values: float, **more) -> s.Trial:
    return s.Trial(number, state, step=80, total_steps=100, ended_at=at, values=values, **more)


def study(*trials: s.Trial, lines: tuple[s.Line, ...] = ()) -> s.Study:
    return s.Study("s", trials={trial.number: trial for trial in trials}, lines=lines)


def texts(found, section: str) -> list[tuple[str, int]]:
    return [(line.text, line.trial) for line in found.list_section(section)]


def test_nothing_happened_is_an_empty_page():
    assert (
        summarize_away(study(trial(0, s.COMPLETE, 500.0, 1.2), trial(1, s.RUNNING, None)), LEFT).lines == ()
    )


def test_the_best_before_and_after_with_their_trials():
    ended = (
        trial(0, s.COMPLETE, 900.0, 1.206),
        trial(1, s.COMPLETE, 1100.0, 1.134),
        trial(2, s.COMPLETE, 1200.0, 2.0),
    )
    found = summarize_away(study(*ended), LEFT)
    assert texts(found, "best") == [("best eval/loss 1.206 (trial 0) → 1.134 (trial 1)", 1)]
    assert texts(found, "ended") == [
        ("trial 1 complete: eval/loss 1.134", 1), ("trial 2 complete: eval/loss 2", 2)
    ]  # fmt: skip
    first = summarize_away(study(trial(1, s.COMPLETE, 1100.0, 1.134)), LEFT)
    assert texts(first, "best") == [("best eval/loss 1.134 (trial 1)", 1)]


def test_what_was_pruned_or_failed_says_why_and_opens_its_trial():
    pruned = trial(3, s.PRUNED, 1100.0, why="above the median at step 80")
    failed = trial(4, s.FAILED, 1200.0, why="out of memory")
    lines = (
        s.Line(1100.0, "trial 3 pruned at step 80: above the median at step 80"),
        s.Line(1200.0, "trial 4 failed: out of memory", "error"),
    )
    found = summarize_away(study(pruned, failed, lines=lines), LEFT)
    assert texts(found, "pruned") == [("trial 3 pruned at step 80 of 100: above the median at step 80", 3)]
    assert texts(found, "failed") == [("trial 4 failed at step 80 of 100: out of memory", 4)]
    assert found.list_section("failed")[0].level == "error" and found.list_section("faults") == ()


def test_broken_limits_and_faults_are_told_once_and_only_since_then():
    broken = "trial 7: safety/toxicity is 12.5% at step 40: over the limit safety/toxicity <= 0.02"
    lost = "trial 2 queued again (1): its worker was lost"
    lines = (
        s.Line(900.0, "trial 1: an old fault", "warning"), s.Line(1100.0, broken, "warning"),
        s.Line(1150.0, broken, "warning"), s.Line(1200.0, lost, "warning"),
        s.Line(1300.0, "gpu1 is lost", "error"), s.Line(1400.0, "trial 5 paused at step 3"),
        s.Line(1500.0, "paused by ann: its trials are kept"),
    )  # fmt: skip
    found = summarize_away(study(lines=lines), LEFT)
    assert texts(found, "limits") == [(broken, 7)]
    assert texts(found, "faults") == [(lost, 2), ("gpu1 is lost", -1)]
    assert texts(found, "study") == [("paused by ann: its trials are kept", -1)]


def test_an_engine_that_was_started_again_is_told():
    found = summarize_away(study(), LEFT, restarted_at=1500.0)
    assert [line.at for line in found.list_section("faults")] == [1500.0]


def test_more_events_than_are_kept_are_said_to_be_missing():
    many = tuple(s.Line(1100.0 + at, f"event {at}") for at in range(s.LINES))
    assert (
        summarize_away(study(lines=many), LEFT).earlier
        and not summarize_away(study(lines=many[1:]), LEFT).earlier
    )
    assert not summarize_away(study(lines=many), 1100.0).earlier
