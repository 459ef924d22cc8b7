"""Finds the study and the trial that a command refers to."""

from __future__ import annotations

from core.contract.state import best_and_counts, reference_values
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError


class UsageError(TrimtabError):
    """The command line is incomplete, or names a study or trial that does not exist."""

    exit_code = 2


class NoResultError(TrimtabError):
    """No trial is complete, or none has its results yet."""

    exit_code = 5


def find_study(state: s.State, name: str | None) -> s.Study:
    """Return the study called ``name``; without a name the only live study, else the latest.

    Raises UsageError: the study does not exist, no study exists, or several are live.
    """
    if not state.studies:
        raise UsageError.of("no study exists yet", "", "start one with `trimtab run SPEC`")
    names = ", ".join(state.studies)
    if name is not None:
        named_study = state.studies.get(name)
        if named_study is None:
            raise UsageError.of(
                f"study {sanitize(name, 80)!r} does not exist", "--study", f"existing studies: {names}"
            )
        return named_study
    live = [study for study in state.studies.values() if study.state in s.LIVE_STUDY]
    if len(live) > 1:
        running = ", ".join(study.name for study in live)
        raise UsageError.of("several studies are running", running, "choose one with --study NAME")
    return live[0] if live else max(state.studies.values(), key=lambda study: study.created_at)


def find_trial(of_study: s.Study, number: int) -> s.Trial:
    """Return the trial ``number`` of ``of_study``. Raises UsageError when it does not exist."""
    named_trial = of_study.trials.get(number)
    if named_trial is None:
        last = max(of_study.trials, default=None)
        fix = "the study has no trials yet" if last is None else f"the study has trials 0 to {last}"
        raise UsageError.of(f"trial {number} does not exist", f"study {of_study.name}", fix)
    return named_trial


def find_best(of_study: s.Study) -> s.Trial:
    """Return the best complete trial. Raises NoResultError when there is none."""
    best_trial = best_and_counts.find_best(of_study)
    if best_trial is None:
        location = f"study {of_study.name} ({of_study.state})"
        message = sanitize(reference_values.explain_no_best(of_study), 200)
        fix = "`trimtab logs` shows what happened so far"
        if reference_values.list_waiting(of_study):
            fix = "`trimtab status` shows the scoring progress"
        raise NoResultError.of(message, location, fix)
    return best_trial
