"""The pure fold: ``apply(state, event)`` is the state after the event, ``explain_refusal`` why it may not
happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from core.contract.events import event_types as e
from core.contract.spec import study_spec
from core.contract.state import edit_event_effects, score_event_effects, study_progress, unrated_trials
from core.contract.state import engine_state as s
from core.contract.state.event_list_lines import add_event, append_line
from core.contract.state.fold_machine import read_machine
from core.contract.state.thinned_series import Series, add, add_all, cut
from core.contract.text.sanitize import sanitize


class Draft(dict[int, s.Trial]):
    """A state that is modified in place, for a replay, which keeps only the last state.

    Copying ten thousand trials for each of their events would take seconds.
    """


def _replace_trial(trials: dict[int, s.Trial], trial: s.Trial) -> dict[int, s.Trial]:
    if isinstance(trials, Draft):
        trials[trial.number] = trial
        return trials
    return {**trials, trial.number: trial}


def explain_refusal(state: s.State, event: e.Event) -> str | None:
    """Return why ``event`` cannot happen in ``state``; None when it can."""
    if isinstance(event, e.MachineRead):
        return None
    if isinstance(event, e.StudyCreated):
        existing = state.studies.get(event.study)
        return f"the study {event.study} exists already" if existing and not existing.is_untrained else None
    study = state.studies.get(event.study)
    if study is None:
        return f"there is no study {event.study}"
    if not isinstance(event, e.TrialEvent):
        states = event.from_states
        return None if states is None or study.state in states else f"the study is {study.state}"
    trial = study.trials.get(event.trial)
    if isinstance(event, e.TrialQueued):
        return f"trial {event.trial} exists already" if trial else None
    if trial is None:
        return f"trial {event.trial} does not exist in {event.study}"
    states = event.from_states
    if states is None or trial.state in states or score_event_effects.may_follow(trial, event):
        return None
    return f"trial {event.trial} is {trial.state}"


def apply(state: s.State, event: e.Event) -> s.State:
    """Return the state after ``event``; the same state if ``explain_refusal`` gives a reason."""
    if explain_refusal(state, event):
        return state
    if isinstance(event, e.MachineRead):
        return replace(state, machine=read_machine(state.machine, event))
    if isinstance(event, e.StudyCreated):
        study = _fold_study(event)
    elif isinstance(event, e.TrialEvent):
        study = _on_trial(state.studies[event.study], event)
    else:
        study = _on_study(state.studies[event.study], event)
    return replace(state, studies={**state.studies, study.name: study})


def apply_readings(state: s.State, readings: Sequence[e.TrialReported | e.TrialEvaluated]) -> s.State:
    """Apply all of ``readings``, which are of one trial, at once: for replays."""
    first = readings[0]
    if explain_refusal(state, first):
        return state
    study = state.studies[first.study]
    trial = study.trials[first.trial]
    curves: dict[str, list[tuple[int, float]]] = {}
    lines, latest = trial.lines, dict(trial.latest)
    for measured in readings:
        latest |= measured.metrics
        for name, value in measured.metrics.items():
            curves.setdefault(name, []).append((measured.step, value))
        for note in getattr(measured, "notes", ()):
            lines = append_line(lines, measured.at, note, "warning")
    longer_series = {
        name: add_all(trial.series.get(name, Series()), points) for name, points in curves.items()
    }
    trial = replace(
        trial,
        clock=_extend_clock(trial, *readings),
        step=max(trial.step, *(reading.step for reading in readings)),
        elapsed_s=max(trial.elapsed_s, *(reading.elapsed_s for reading in readings)),
        latest=latest,
        series={**trial.series, **longer_series},
        lines=lines,
    )
    study = replace(study, trials=_replace_trial(study.trials, trial))
    return replace(state, studies={**state.studies, study.name: study})


def _fold_study(event: e.StudyCreated) -> s.Study:
    total = study_spec.from_raw(event.spec).study.trials
    line = s.Line(event.at, f"study created: {total} trials planned")
    return s.Study(
        event.study, spec=event.spec, folder=event.folder, total_trials=total, created_at=event.at,
        lines=(line,),
    )  # fmt: skip


def _on_study(study: s.Study, event: e.Event) -> s.Study:
    match event:
        case e.StudyReopened():
            lines = append_line(study.lines, event.at, f"study continues: {event.why}")
            total = event.trials or study.total_trials
            return replace(study, state="running", why="", ended_at=None, total_trials=total, lines=lines)
        case e.StudyPaused():
            why = f"paused by {event.by}"
            lines = append_line(study.lines, event.at, f"{why}: trials checkpointed, devices released")
            return replace(study, state="paused", why=sanitize(why, 200), lines=lines, preparing={})
        case e.StudyResumed():
            lines = append_line(study.lines, event.at, f"resumed by {event.by}")
            return replace(study, state="running", why="", lines=lines)
        case e.StudyStopping():
            lines = append_line(study.lines, event.at, f"stopping: {event.why}")
            return replace(study, state="stopping", why=event.why, lines=lines)
        case e.StudyEnded():
            level = "error" if event.outcome == "failed" else "info"
            lines = append_line(study.lines, event.at, f"study {event.outcome}: {event.why}", level)
            study_after = replace(study, state=event.outcome, why=event.why, ended_at=event.at, lines=lines)
            return replace(study_after, preparing={}, packs={})
        case e.StudyNoted():
            return replace(study, lines=append_line(study.lines, event.at, event.text, event.level))
        case e.BaseScored():
            return replace(
                study, base_scores={**study.base_scores, **score_event_effects.keep_finite(event.scores)}
            )
        case e.RatingGiven():
            trials = study.trials
            for number, score in event.strengths.items():
                if number in trials:
                    trials = _replace_trial(trials, score_event_effects.rate_trial(trials[number], score))
            rated = score_event_effects.add_rating(replace(study, trials=trials), event)
            return unrated_trials.add_strengths(rated)
        case e.MemoryShort():
            return replace(study, lines=append_line(study.lines, event.at, event.text, "warning"))
        case e.StudyChanged():
            lines = study.lines
            for text in event.changes:
                lines = append_line(lines, event.at, f"changed by {event.by}: {text}")
            return unrated_trials.add_strengths(
                edit_event_effects.change_study(replace(study, lines=lines), event)
            )
        case e.Preparing() if study.state in s.LIVE_STUDY:  # else it comes too late
            return replace(study, preparing=_fold_preparing(study.preparing, event))
        case e.PackMeasured() if study.state in s.LIVE_STUDY:
            return replace(study, packs=_fold_packs(study.packs, event))
    return study


def _fold_preparing(preparing: dict[str, s.Preparation], event: e.Preparing) -> dict[str, s.Preparation]:
    other_work = {name: work for name, work in preparing.items() if name != event.worker}
    if not event.stage:
        return other_work
    before = preparing.get(event.worker)
    since = before.since if before and before.stage == event.stage else event.at
    return {
        **other_work,
        event.worker: s.Preparation(event.stage, event.done, event.total, event.unit, since),
    }


def _fold_packs(packs: dict[str, e.PackMeasured], event: e.PackMeasured) -> dict[str, e.PackMeasured]:
    other_packs = {name: pack for name, pack in packs.items() if name != event.worker}
    if not event.trials:
        return other_packs
    return {**other_packs, event.worker: replace(event, why_alone=sanitize(event.why_alone, 200))}


def _on_trial(study: s.Study, event: e.TrialEvent) -> s.Study:
    if isinstance(event, e.TrialQueued):
        trial = edit_event_effects.add_queued(study, event)
        study = replace(study, total_trials=study.total_trials + bool(event.by))
    else:
        trial = STEPS[type(event)](study.trials[event.trial], event)
        if isinstance(event, e.TrialCompleted | e.TrialScored | e.ScoringEnded):
            trial = unrated_trials.add_strength(study, trial)
    study, trial = add_event(study, trial, event)
    return replace(study, trials=_replace_trial(study.trials, trial))


def _fold_start(trial: s.Trial, event: e.TrialStarting) -> s.Trial:
    started = trial.started_at or event.at
    return replace(
        trial, state=s.STARTING, worker=event.worker, device=event.device, started_at=started,
        **_restart_clock(trial),
    )  # fmt: skip


def _restart_clock(trial: s.Trial, *now: float) -> dict[str, Series]:
    """Return the clocks of a trial that starts, or goes on at its step ``now``: the time until then is no
    time of a step."""
    earlier = trial.clock if len(trial.clock.steps) > 1 else trial.earlier_clock
    clock = Series((trial.step,), now, seen=1) if now else Series()
    return {"clock": clock, "earlier_clock": earlier}


def _fold_running(trial: s.Trial, event: e.TrialRunning) -> s.Trial:
    state = s.PAUSED if trial.state == s.PAUSED else s.RUNNING
    trial = replace(
        trial, state=state, step=event.step, total_steps=event.total_steps, trainable=event.trainable
    )
    return replace(trial, **_restart_clock(trial, event.at))


def _fold_measurement(trial: s.Trial, event: e.TrialReported | e.TrialEvaluated) -> s.Trial:
    series = dict(trial.series)
    for name, value in event.metrics.items():
        series[name] = add(series.get(name, Series()), event.step, value)
    lines = trial.lines
    for note in getattr(event, "notes", ()):
        lines = append_line(lines, event.at, note, "warning")
    return replace(
        trial,
        clock=_extend_clock(trial, event),
        step=max(trial.step, event.step),
        elapsed_s=max(trial.elapsed_s, event.elapsed_s),
        latest={**trial.latest, **event.metrics},
        series=series,
        lines=lines,
    )


def _extend_clock(trial: s.Trial, *readings: e.TrialReported | e.TrialEvaluated) -> Series:
    """Return the trial's clock after ``readings``; only a report gives the time of its step, an evaluation
    does not."""
    clock = trial.clock
    for reading in readings:
        if isinstance(reading, e.TrialReported):
            clock = study_progress.advance_clock(clock, reading.step, reading.at, trial.total_steps)
    return clock


def _fold_memory(trial: s.Trial, event: e.TrialWeighed) -> s.Trial:
    measured = event.measured_bytes if event.measured_bytes is not None else trial.measured_bytes
    return replace(trial, foretold_bytes=event.foretold_bytes, measured_bytes=measured)


def _fold_request(request: str) -> Callable[[s.Trial, Any], s.Trial]:
    return lambda trial, event: replace(trial, asked=request)


def _fold_pause(trial: s.Trial, event: e.TrialPaused) -> s.Trial:
    answered = trial.asked == "pause" or (trial.asked == "resume" and event.why)
    return replace(trial, state=s.PAUSED, asked="" if answered else trial.asked, step=event.step)


def _fold_resume(trial: s.Trial, event: e.TrialResumed) -> s.Trial:
    request = "" if trial.asked == "resume" else trial.asked
    if not trial.has_begun:
        return replace(trial, state=s.STARTING, asked=request)
    trial = _mark_stop(trial, trial.step, "resumed")
    return replace(trial, state=s.RUNNING, asked=request, **_restart_clock(trial, event.at))


def _fold_end(to: str) -> Callable[[s.Trial, Any], s.Trial]:
    def end(trial: s.Trial, event: Any) -> s.Trial:
        over: dict[str, Any] = {**score_event_effects.OVER, "scoring": getattr(event, "scoring", -1)}
        return replace(
            trial,
            **over,
            state=to,
            asked="",
            editing={},
            ended_at=event.at,
            step=max(trial.step, getattr(event, "step", 0)),
            why=getattr(event, "why", "") or getattr(event, "error", ""),
            error=getattr(event, "error", ""),
            traceback=getattr(event, "traceback", ""),
            values=getattr(event, "values", ()),
            adapter=getattr(event, "adapter", "") or trial.adapter,
        )

    return end


def _fold_requeue(trial: s.Trial, event: e.TrialRequeued) -> s.Trial:
    """Queue the trial again without the part of its curves after the checkpoint, which is trained again. A
    pause stays."""
    stands = trial.asked == "pause" or (trial.state == s.PAUSED and trial.asked != "resume")
    series = {name: cut(curve, trial.checkpoint_step) for name, curve in trial.series.items()}
    trial = _mark_stop(trial, trial.checkpoint_step, "queued again")
    return replace(
        score_event_effects.clear_scoring(trial), state=s.QUEUED, asked="pause" if stands else "",
        worker="", device="", retry=event.retry, step=trial.checkpoint_step, series=series,
    )  # fmt: skip


def _fold_checkpoint(trial: s.Trial, event: e.TrialCheckpointed) -> s.Trial:
    trial = _mark_stop(trial, event.step, "checkpoint")
    return replace(trial, checkpoint=event.path, checkpoint_step=event.step)


def _mark_stop(trial: s.Trial, step: int, text: str) -> s.Trial:
    """Record where the trial stopped, once; stops after that step are dropped, as it is run again."""
    before = [stop for stop in trial.stops if stop.step <= step and stop != s.Mark(step, text)]
    return replace(trial, stops=(*before[1 - s.STOPS :], s.Mark(step, text)))


STEPS: dict[type, Callable[[s.Trial, Any], s.Trial]] = {
    e.TrialWeighed: _fold_memory,
    e.TrialStarting: _fold_start,
    e.TrialRunning: _fold_running,
    e.TrialReported: _fold_measurement,
    e.TrialEvaluated: _fold_measurement,
    e.PauseAsked: _fold_request("pause"),
    e.ResumeAsked: _fold_request("resume"),
    e.PruneAsked: _fold_request("prune"),
    e.TrialPaused: _fold_pause,
    e.TrialResumed: _fold_resume,
    e.TrialPruned: _fold_end(s.PRUNED),
    e.TrialCompleted: _fold_end(s.COMPLETE),
    e.TrialFailed: _fold_end(s.FAILED),
    e.TrialInfeasible: _fold_end(s.INFEASIBLE),
    e.TrialRequeued: _fold_requeue,
    e.TrialCheckpointed: _fold_checkpoint,
    **score_event_effects.STEPS,
    **edit_event_effects.STEPS,
}
