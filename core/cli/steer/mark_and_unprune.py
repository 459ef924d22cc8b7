"""``trimtab mark | unprune``: stars, notes, device pins and queue priority; undoes a prune."""

from __future__ import annotations

import argparse

from core.cli import exit_codes, reach_engine, resolve_trial
from core.cli.steer.pause_prune_stop import BY, find_trial
from core.contract.wire import console_api

ANY = "any"


def mark(arguments: argparse.Namespace) -> int:
    """Star or annotate a trial, pin it to a device, or set its priority."""
    starred = True if arguments.star else False if arguments.unstar else None
    device = "" if arguments.device == ANY else arguments.device
    if starred is None and arguments.note is None and device is None and arguments.priority is None:
        fix = "add --star, --unstar, --note TEXT, --device gpu0 (or any) or --priority P"
        raise resolve_trial.UsageError.of("no mark was given", "command line", fix)
    study, trial = find_trial(arguments)
    reach_engine.ask(
        console_api.MarkTrial(study, trial, arguments.note, starred, device, arguments.priority, BY)
    )
    print(f"{study}: trial {trial} is marked")
    return exit_codes.OK


def unprune(arguments: argparse.Namespace) -> int:
    """Queue a pruned trial again."""
    study, trial = find_trial(arguments)
    reach_engine.ask(console_api.ReprieveTrial(study, trial, BY))
    print(f"{study}: trial {trial} is queued again and resumes from its checkpoint")
    return exit_codes.OK
