"""``trimtab pause | resume | prune | stop``: sends one request to the engine."""

from __future__ import annotations

import argparse

from core import paths
from core.cli import exit_codes, reach_engine, resolve_trial
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.errors import EngineError

BY = "command line"


def read_engine_state() -> s.State:
    """Return the state of the running engine. Raises EngineError without one."""
    state, running = reach_engine.read_state()
    if not running:
        raise EngineError.of(
            "the engine is not running",
            str(paths.socket_path()),
            "`trimtab` starts it and resumes its studies",
        )
    return state


def _read_all_option(arguments: argparse.Namespace) -> str | None:
    """Return the study's name for --all, None for one trial. Raises UsageError for neither or both."""
    if arguments.all == (arguments.trial is not None):
        raise resolve_trial.UsageError.of(
            "give either a trial or --all",
            "command line",
            f"use {arguments.name} TRIAL or {arguments.name} --all",
        )
    return resolve_trial.find_study(read_engine_state(), arguments.study).name if arguments.all else None


def find_trial(arguments: argparse.Namespace) -> tuple[str, int]:
    """Return the named study and trial. Raises UsageError if one does not exist."""
    study = resolve_trial.find_study(read_engine_state(), arguments.study)
    return study.name, resolve_trial.find_trial(study, arguments.trial).number


def pause(arguments: argparse.Namespace) -> int:
    """Pause one trial or the whole study."""
    study_name = _read_all_option(arguments)
    if study_name is not None:
        reach_engine.ask(console_api.PauseStudy(study_name, BY))
        print(f"{study_name}: pausing; trials are checkpointed and devices released within seconds")
        return exit_codes.OK
    study, trial = find_trial(arguments)
    reach_engine.ask(console_api.PauseTrial(study, trial, BY))
    print(f"{study}: pausing trial {trial} (takes effect before the next micro-batch)")
    return exit_codes.OK


def resume(arguments: argparse.Namespace) -> int:
    """Resume a paused trial or study."""
    study_name = _read_all_option(arguments)
    if study_name is not None:
        reach_engine.ask(console_api.ResumeStudy(study_name, BY))
        print(f"{study_name}: resuming")
        return exit_codes.OK
    study, trial = find_trial(arguments)
    reach_engine.ask(console_api.ResumeTrial(study, trial, BY))
    print(f"{study}: resuming trial {trial}")
    return exit_codes.OK


def prune(arguments: argparse.Namespace) -> int:
    """Prune a trial."""
    study, trial = find_trial(arguments)
    reach_engine.ask(console_api.PruneTrial(study, trial, BY, f"requested on the {BY}"))
    print(f"{study}: pruning trial {trial}")
    return exit_codes.OK


def stop(arguments: argparse.Namespace) -> int:
    """Stop a study."""
    study = resolve_trial.find_study(read_engine_state(), arguments.study)
    reach_engine.ask(console_api.StopStudy(study.name, BY))
    print(f"{study.name}: stopping; its results are kept")
    return exit_codes.OK
