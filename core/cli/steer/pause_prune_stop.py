"""``trimtab pause | resume | prune | stop``: one request, and the engine's answer."""

from __future__ import annotations

import argparse

from core import paths
from core.cli import exit_codes, reach_engine, resolve_trial
from core.contract.state import study_state as s
from core.contract.wire import console_api
from core.errors import EngineError

BY = "command line"


def alive() -> s.State:
    """The state of an engine that lives. Raises EngineError without one."""
    state, running = reach_engine.known()
    if not running:
        raise EngineError.of(
            "the engine is not running, so nothing trains",
            str(paths.socket_path()),
            "`trimtab` starts it, and the studies that were running go on",
        )
    return state


def _all(arguments: argparse.Namespace) -> str | None:
    """The study's name, when all its trials are meant. Raises UsageError unless it is one or all."""
    if arguments.all == (arguments.trial is not None):
        raise resolve_trial.UsageError.of(
            "name a trial, or all of them",
            "command line",
            f"{arguments.name} TRIAL or {arguments.name} --all",
        )
    return resolve_trial.study(alive(), arguments.study).name if arguments.all else None


def meant(arguments: argparse.Namespace) -> tuple[str, int]:
    """The study and the trial that the command line names. Raises UsageError where there is none such."""
    study = resolve_trial.study(alive(), arguments.study)
    return study.name, resolve_trial.trial(study, arguments.trial).number


def pause(arguments: argparse.Namespace) -> int:
    """Ask for a pause of one trial, or of the study."""
    whole = _all(arguments)
    if whole is not None:
        reach_engine.ask(console_api.PauseStudy(whole, BY))
        print(f"{whole}: pause asked; its trials are kept and its devices given back within seconds")
        return exit_codes.OK
    study, trial = meant(arguments)
    reach_engine.ask(console_api.PauseTrial(study, trial, BY))
    print(f"{study}: pause of trial {trial} asked; it stands still before its next micro-batch")
    return exit_codes.OK


def resume(arguments: argparse.Namespace) -> int:
    """Let a paused trial, or a paused study, go on."""
    whole = _all(arguments)
    if whole is not None:
        reach_engine.ask(console_api.ResumeStudy(whole, BY))
        print(f"{whole}: goes on")
        return exit_codes.OK
    study, trial = meant(arguments)
    reach_engine.ask(console_api.ResumeTrial(study, trial, BY))
    print(f"{study}: trial {trial} goes on")
    return exit_codes.OK


def prune(arguments: argparse.Namespace) -> int:
    """End a trial."""
    study, trial = meant(arguments)
    reach_engine.ask(console_api.PruneTrial(study, trial, BY, f"asked on the {BY}"))
    print(f"{study}: end of trial {trial} asked")
    return exit_codes.OK


def stop(arguments: argparse.Namespace) -> int:
    """End a study."""
    study = resolve_trial.study(alive(), arguments.study)
    reach_engine.ask(console_api.StopStudy(study.name, BY))
    print(f"{study.name}: stop asked; results so far stay")
    return exit_codes.OK
