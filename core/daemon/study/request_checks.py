"""Check requests about a trial or study against the state, with the reason of a refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from core.contract.spec.search_space import Choice
from core.contract.spec.spec_file import convert_to_raw
from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.state import engine_state as s
from core.errors import RefusedError

Handler = Callable[[Any], Awaitable[Any]]  # takes a request of one type; gives its answer, or None
TRAINER = ("torch", "transformers", "peft", "accelerate")  # every study needs them; the extra "train" has all
QUANTISED = ("nf4", "int8")  # precisions of bitsandbytes
OWN_OPTIMIZERS = ("adamw", "adafactor", "sgd")  # the others are of bitsandbytes


def refuse_without_trainer(spec: StudySpec) -> None:
    """Raise RefusedError that names the missing packages if those that the study trains with are not
    installed.

    Console and engine need none of them; bitsandbytes and datasets are needed by some studies only.
    """
    missing = [package for package in _list_needed_packages(spec) if find_spec(package) is None]
    if missing:
        raise RefusedError.of(
            f"the trainer is not installed: {', '.join(missing)}",
            "engine",
            "pip install 'trimtab[train]', then `trimtab engine stop` and start the study again",
        )


def _list_needed_packages(spec: StudySpec) -> tuple[str, ...]:
    searched = spec.space.get("optimizer")
    optimizers = {spec.train["optimizer"], *(searched.values if isinstance(searched, Choice) else ())}
    quantised = spec.model.precision in QUANTISED or not optimizers <= set(OWN_OPTIMIZERS)
    from_hub = any(map(_reads_from_hub, spec.data.inputs.values()))
    return (*TRAINER, *("bitsandbytes",) * quantised, *("datasets",) * from_hub)


def _reads_from_hub(data: DataOptions) -> bool:
    """Tell whether ``datasets`` reads rows: those of the Hub, and of a folder that declares its splits."""
    from core.data.readers.source_files import find_sources  # it loads the readers of all formats

    return any(source.is_elsewhere and not source.name.startswith("demo:") for source in find_sources(data))


def find_study(state: s.State, name: str) -> s.Study:
    """Return the study of that name. Raises RefusedError if there is none."""
    study = state.studies.get(name)
    if study is None:
        names = ", ".join(state.studies) or "none"
        raise RefusedError.of(f"there is no study {name!r}", "request", f"studies: {names}")
    return study


def find_live_study(state: s.State, name: str) -> s.Study:
    """Return the study if it still runs. Raises RefusedError otherwise."""
    study = find_study(state, name)
    if study.state not in s.LIVE_STUDY:
        raise RefusedError.of(f"the study is {study.state}", f"study {name}", "`trimtab run SPEC` starts one")
    return study


def find_any_trial(study: s.Study, number: int) -> s.Trial:
    """Return the trial, ended or not. Raises RefusedError when there is none."""
    trial = study.trials.get(number)
    if trial is None:
        last = max(study.trials, default=None)
        fix = "there is none yet" if last is None else f"trials 0 to {last} exist"
        raise RefusedError.of(f"trial {number} does not exist", f"study {study.name}", fix)
    return trial


def find_live_trial(state: s.State, name: str, number: int) -> s.Trial:
    """Return the trial of a live study, when it has not ended. Raises RefusedError otherwise."""
    trial = find_any_trial(find_live_study(state, name), number)
    if trial.state in s.ENDED:
        raise RefusedError.of(
            f"trial {number} is {trial.state} already", f"study {name}", "nothing is left to do"
        )
    return trial


def check_may_pause_all(study: s.Study) -> None:
    """Raise RefusedError when a study cannot be paused."""
    if study.state != "running":
        fix = (
            "`trimtab resume --all` lets it continue"
            if study.state == "paused"
            else "wait until it has stopped"
        )
        raise RefusedError.of(f"the study is {study.state} already", f"study {study.name}", fix)


def check_may_resume_all(study: s.Study) -> None:
    """Raise RefusedError when a study is not paused."""
    if study.state != "paused":
        raise RefusedError.of(f"the study is {study.state}, not paused", f"study {study.name}", "")


def check_trial_count(study: s.Study, trials: int) -> None:
    """Raise RefusedError if a file has fewer trials than are planned already.

    Fewer trials are a change of the study, which a restart does not make.
    """
    planned = study.total_trials - sum(1 for trial in study.trials.values() if trial.by)
    if trials < planned:
        raise RefusedError.of(
            f"study.trials = {trials}, and {planned} trials are planned already",
            f"study {study.name}",
            f"while it runs, `trimtab change study.trials={trials}` plans fewer; or write {planned}",
        )


def check_may_continue(study: s.Study, has_more_trials: bool) -> None:
    """Raise RefusedError if a study cannot be continued; ``has_more_trials``: it gets more trials than
    before."""
    location = f"study {study.name}"
    if study.state == "stopping":
        raise RefusedError.of("the study is being stopped", location, "start it again when it has stopped")
    waiting = any(trial.state not in s.ENDED for trial in study.trials.values())
    if waiting or has_more_trials:
        return
    if study.state in ("stopped", "failed") and len(study.trials) >= study.total_trials:
        raise RefusedError.of(
            f"the study is {study.state} and all its {study.total_trials} trials have ended",
            location,
            "raise study.trials to continue, or take another study.name",
        )


def find_continuation(existing: s.Study, spec: StudySpec) -> tuple[str, int] | None:
    """Return why a study that is started again continues, and its new number of trials (0 keeps it).

    None if it runs or is done already. Raises RefusedError for another study of the same name.
    """
    differences = _find_differences(
        convert_to_raw(existing.settings), convert_to_raw(spec)
    )  # keys of a later version at their default
    if differences - {"study.trials"}:
        raise RefusedError.of(
            f"a study {existing.name!r} with other settings exists: {', '.join(sorted(differences))}",
            existing.folder,
            "give this one another study.name, or remove that folder",
        )
    check_trial_count(existing, spec.study.trials)
    has_more_trials = spec.study.trials > existing.total_trials
    check_may_continue(existing, has_more_trials)
    if not has_more_trials and existing.state in ("running", "paused", "complete"):
        return None
    if has_more_trials:
        return f"{spec.study.trials} trials requested", spec.study.trials
    return f"started again after it was {existing.state}", 0


def is_begun_anew(existing: s.Study, spec: StudySpec) -> bool:
    """Tell whether ``spec`` replaces the study, which is allowed only if the study trained nothing."""
    if not existing.is_untrained:
        return False
    other_differences = _find_differences(existing.spec, convert_to_raw(spec)) - {"study.trials"}
    return bool(other_differences) or (
        existing.state != "complete" and len(existing.trials) >= existing.total_trials
    )


def _find_differences(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    """Return the keys, as section.key, in which two studies differ."""
    keys = set()
    for section in {*old, *new}:
        before, after = old.get(section, {}), new.get(section, {})
        keys |= {f"{section}.{key}" for key in {*before, *after} if before.get(key) != after.get(key)}
    return keys


def check_may_pause(trial: s.Trial) -> None:
    """Raise RefusedError if the trial cannot be paused."""
    if trial.asked == "prune":
        raise RefusedError.of(f"trial {trial.number} is being pruned", "pause", "nothing is left to do")
    if trial.state == s.PAUSED and trial.asked != "resume":
        raise RefusedError.of(f"trial {trial.number} is paused already", "pause", "resume lets it continue")
    if trial.state == s.QUEUED:
        raise RefusedError.of(
            f"trial {trial.number} is still queued", "pause", "prune it, or wait until it runs"
        )


def check_may_resume(trial: s.Trial) -> None:
    """Raise RefusedError if the trial is not paused."""
    if trial.asked == "prune":
        raise RefusedError.of(f"trial {trial.number} is being pruned", "resume", "nothing is left to do")
    if trial.state != s.PAUSED and trial.asked != "pause":
        raise RefusedError.of(f"trial {trial.number} is {trial.state}, not paused", "resume", "")
