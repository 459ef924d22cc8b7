"""The command line: verbs, their arguments, and the function that each verb runs.

A function is named, not imported: `trimtab status` does not pay for what `trimtab run` needs.
"""

from __future__ import annotations

import argparse
from typing import Any

from core.cli import exits

DESCRIPTION = """\
Monitors and steers hyper-parameter studies of LoRA and QLoRA fine-tunes.
Without a verb it opens the console on the running engine, which it starts when there is none."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        "trimtab",
        description=DESCRIPTION,
        epilog=exits.epilog(),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    top.set_defaults(verb="core.cli.run:attach", study=None)
    verbs = top.add_subparsers(metavar="VERB", title="verbs")
    _running(verbs)
    _steering(verbs)
    _reading(verbs)
    _machine(verbs)
    return top


def _verb(verbs: Any, name: str, function: str, text: str) -> argparse.ArgumentParser:
    one = verbs.add_parser(
        name,
        help=text,
        description=text[:1].upper() + text[1:] + ".",
        epilog=exits.epilog(),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    one.set_defaults(verb=f"core.cli.{function}")
    return one


def _running(verbs: Any) -> None:
    run = _verb(verbs, "run", "run:run", "start a study and open the console, or print its progress")
    run.add_argument("spec", metavar="SPEC", help="the study's TOML file")
    how = run.add_mutually_exclusive_group()
    how.add_argument("--detach", action="store_true", help="start it and return at once")
    how.add_argument("--headless", action="store_true", help="print plain lines until the study ends")
    fit = _verb(verbs, "fit", "fit:fit", "foretell what a study takes of memory, and what fits")
    fit.add_argument("spec", metavar="SPEC", help="the study's TOML file")
    fit.add_argument("--gpu", metavar="SIZE", help='for a GPU of that size, such as "24 GiB", here or not')
    fit.add_argument("--pack", metavar="N", type=number, help="with N trials at once")
    _json(fit)
    check = _verb(verbs, "check", "check:check", "check a study file and print what it resolves to")
    check.add_argument("spec", metavar="SPEC", help="the study's TOML file")


def _steering(verbs: Any) -> None:
    for name, text, whole in (
        ("pause", "pause a trial before its next micro-batch", "all trials, and give the GPU back"),
        ("resume", "let a paused trial go on", "the whole paused study"),
        ("prune", "end a trial early", ""),
    ):
        one = _verb(verbs, name, f"steer:{name}", text)
        one.set_defaults(name=name)
        one.add_argument(
            "trial", metavar="TRIAL", type=number, nargs="?" if whole else None, help="the trial's number"
        )
        if whole:
            one.add_argument("--all", action="store_true", help=whole)
        _study(one)
    _study(_verb(verbs, "stop", "steer:stop", "end a study's running trials and start no more"))


def _reading(verbs: Any) -> None:
    status = _verb(verbs, "status", "status:status", "say how the studies stand, also without an engine")
    _json(status)
    best = _verb(verbs, "best", "best:best", "print the best trial, its adapter, and how to use it")
    _study(best)
    _json(best)
    boards = _verb(
        verbs, "boards", "boards:boards", "print what trials score in quality, safety and security"
    )
    boards.add_argument("trial", metavar="TRIAL", nargs="?", type=number, help="the trial's number")
    _study(boards)
    _json(boards)
    insides = _verb(verbs, "insides", "insides:insides", "print where a trial's loss is and where it looks")
    insides.add_argument("trial", metavar="TRIAL", type=number, help="the trial's number")
    _study(insides)
    _json(insides)
    logs = _verb(verbs, "logs", "logs:logs", "print a study's events, or a trial's")
    logs.add_argument("trial", metavar="TRIAL", nargs="?", type=number, help="the trial's number")
    _study(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the study ends")
    generate = _verb(verbs, "generate", "best:generate", "generate a text with a trial's adapter")
    generate.add_argument("prompt", metavar="PROMPT")
    _study(generate)
    generate.add_argument("--trial", metavar="N", type=number, help="instead of the best trial")
    generate.add_argument("--tokens", metavar="N", type=number, default=64, help="at most N new tokens")


def _machine(verbs: Any) -> None:
    _json(_verb(verbs, "doctor", "doctor:doctor", "check driver, CUDA, libraries, disk and terminal"))
    engine = _verb(verbs, "engine", "engine:engine", "say how the engine is, or stop it")
    engine.add_argument("action", choices=("status", "stop"))
    engine.add_argument("--force", action="store_true", help="stop even while a study runs")


def _study(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--study", metavar="NAME", help="the study; without it the only running one, else the latest"
    )


def _json(one: argparse.ArgumentParser) -> None:
    one.add_argument("--json", action="store_true", help="one JSON object instead of text")


def number(text: str) -> int:
    """A count from 0; argparse turns the error into a usage message."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value
