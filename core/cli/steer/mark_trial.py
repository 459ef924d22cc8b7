"""``trimtab mark | unprune``: stars, notes, pins and the queue's order; a prune taken back."""

from __future__ import annotations

import argparse

from core.cli import exit_codes, reach_engine, resolve_trial
from core.cli.steer.pause_prune_stop import BY, meant
from core.contract.wire import console_api

ANY = "any"


def mark(arguments: argparse.Namespace) -> int:
    """Note something about a trial, or say where and when it is to run."""
    starred = True if arguments.star else False if arguments.unstar else None
    device = "" if arguments.device == ANY else arguments.device
    if starred is None and arguments.note is None and device is None and arguments.priority is None:
        fix = "--star, --unstar, --note TEXT, --device gpu0 or any, --priority P"
        raise resolve_trial.UsageError.of("nothing is said about the trial", "command line", fix)
    study, trial = meant(arguments)
    reach_engine.ask(
        console_api.MarkTrial(study, trial, arguments.note, starred, device, arguments.priority, BY)
    )
    print(f"{study}: trial {trial} is marked")
    return exit_codes.OK


def unprune(arguments: argparse.Namespace) -> int:
    """Take a prune back."""
    study, trial = meant(arguments)
    reach_engine.ask(console_api.ReprieveTrial(study, trial, BY))
    print(f"{study}: trial {trial} is queued again and goes on from its checkpoint")
    return exit_codes.OK
