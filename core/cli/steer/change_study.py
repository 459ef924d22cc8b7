"""``trimtab change``: another space, sampler, budget or limits while a study runs; shown first."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable
from typing import Any

from core.cli import activity_line, exit_codes, reach_engine, resolve_trial
from core.cli.steer.pause_prune_stop import BY, alive
from core.contract.spec import toml_text
from core.contract.state import study_state as s
from core.contract.text import terminal_check
from core.contract.text.sanitize import plain
from core.contract.wire import console_api
from core.errors import Problem, RefusedError

NONE = "none"
DEEPEST = 3  # parts of a key: section, key, key of the table that stands there


def change(arguments: argparse.Namespace) -> int:
    """Change a study; without ``--yes`` only after what comes of it was shown and agreed to."""
    study = resolve_trial.study(alive(), arguments.study)
    changes = _changes(study, arguments.changes)
    if not arguments.yes:
        _show(reach_engine.ask(console_api.ChangeStudy(study.name, changes, True, BY)))
        if not _agreed():
            print("nothing is changed")
            return exit_codes.OK
    done = reach_engine.ask(console_api.ChangeStudy(study.name, changes, False, BY))
    if arguments.yes:
        _show(done)
    print(f"{study.name}: changed")
    return exit_codes.OK


def _show(answer: console_api.Answer | None) -> None:
    if not isinstance(answer, console_api.Change):
        raise RefusedError.of("the engine gave no account of the change", "", "it may be of an older version")
    for line in answer.changes:
        print(plain(line, 300))
    for line in answer.effects:
        print(f"  → {plain(line, 300)}")


def _agreed() -> bool:
    """Raises UsageError where nobody can be asked."""
    if not terminal_check.is_there():
        raise resolve_trial.UsageError.of(
            "nobody can be asked here", "standard input is no terminal", "add --yes"
        )
    activity_line.hush()
    return input("change it? [y/N] ").strip().lower() in ("y", "yes")


def _changes(study: s.Study, given: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Tables of the study's file. Raises UsageError with all that is wrong."""
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for one in given:
        key, sign, said = one.partition("=")
        parts = key.strip().split(".")
        if not sign or not 2 <= len(parts) <= DEEPEST or not all(parts):
            fix = "write section.key=value, such as study.sampler=gp"
            problems.append(Problem(f"{plain(one, 80)!r} changes no key", "command line", fix))
            continue
        try:
            _put(study, found, parts, _value(said.strip()))
        except toml_text.TomlError as error:
            fix = "write a value as in the study's file"
            problems.append(Problem(f"{plain(key, 80)}: {plain(str(error), 200)}", "command line", fix))
    if problems:
        raise resolve_trial.UsageError(*problems)
    return found


def _value(said: str) -> Any:
    """``said`` as TOML reads it; what is none is a text, and none takes a key out.

    Raises TomlError for what is too deep or too long to be meant.
    """
    if said == NONE:
        return None
    try:
        return tomllib.loads(f"value = {said}")["value"]
    except tomllib.TOMLDecodeError:
        return said
    except (ValueError, RecursionError):
        return toml_text.loads(f"value = {said}")["value"]  # raises, with the reason


def _put(study: s.Study, found: dict[str, dict[str, Any]], parts: list[str], value: Any) -> None:
    """A key of a table within a section goes over what the study has there: a change names whole tables.
    The table is edited as the file has it, so it is taken from the map and not from the typed spec."""
    section, key, *deeper = parts
    table = found.setdefault(section, {})
    if not deeper:
        table[key] = value
        return
    here = table.get(key, (study.spec.get(section) or {}).get(key))
    within = {name: one for name, one in here.items() if one is not None} if isinstance(here, dict) else {}
    if value is None:
        within.pop(deeper[0], None)
    else:
        within[deeper[0]] = value
    table[key] = within
