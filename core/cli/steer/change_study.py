"""``trimtab change``: changes the space, sampler, budget or limits of a running study, after a preview."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable
from typing import Any

from core.cli import activity_line, exit_codes, reach_engine, resolve_trial
from core.cli.steer.pause_prune_stop import BY, read_engine_state
from core.contract.spec import toml_reader
from core.contract.spec.knob_table import WEIGHT
from core.contract.state import engine_state as s
from core.contract.text import fullscreen_terminal_check
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.errors import Problem, RefusedError

NONE = "none"
DEEPEST = 3  # parts of a key: section, key, key within an inline table


def change(arguments: argparse.Namespace) -> int:
    """Change a study; without ``--yes`` only after a preview and a confirmation."""
    study = resolve_trial.find_study(read_engine_state(), arguments.study)
    changes = _parse_changes(study, arguments.changes)
    if not arguments.yes:
        _show(reach_engine.ask(console_api.ChangeStudy(study.name, changes, True, BY)))
        if not _ask_agreement():
            print("nothing was changed")
            return exit_codes.OK
    result = reach_engine.ask(console_api.ChangeStudy(study.name, changes, False, BY))
    if arguments.yes:
        _show(result)
    print(f"{study.name}: changed")
    return exit_codes.OK


def _show(answer: console_api.Answer | None) -> None:
    if not isinstance(answer, console_api.Change):
        raise RefusedError.of(
            "the engine did not describe the change", "", "restart it: it may be an older version"
        )
    for line in answer.changes:
        print(sanitize(line, 300))
    for line in answer.effects:
        print(f"  → {sanitize(line, 300)}")


def _ask_agreement() -> bool:
    """Ask for confirmation. Raises UsageError without a terminal."""
    if not fullscreen_terminal_check.is_interactive():
        raise resolve_trial.UsageError.of(
            "the change cannot be confirmed", "standard input is not a terminal", "add --yes"
        )
    activity_line.stop_activity()
    return input("Apply the change? [y/N] ").strip().lower() in ("y", "yes")


def _parse_changes(study: s.Study, assignments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Parse ``assignments`` into tables of the study file. Raises UsageError with all problems."""
    tables: dict[str, dict[str, Any]] = {}
    problems = []
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        parts = key.strip().replace('"', "").split(".")
        if len(parts) > 2 and f"{parts[-2]}." == WEIGHT:  # the dot belongs to the name of the knob
            parts[-2:] = [".".join(parts[-2:])]
        if not sign or not 2 <= len(parts) <= DEEPEST or not all(parts):
            fix = "write section.key=value, such as study.sampler=gp"
            problems.append(Problem(f"{sanitize(assignment, 80)!r} changes no key", "command line", fix))
            continue
        try:
            _put(study, tables, parts, _parse_value(value.strip()))
        except toml_reader.TomlError as error:
            fix = "write the value as in the study file"
            problems.append(Problem(f"{sanitize(key, 80)}: {sanitize(str(error), 200)}", "command line", fix))
    if problems:
        raise resolve_trial.UsageError(*problems)
    return tables


def _parse_value(text: str) -> Any:
    """Parse ``text`` as TOML; text that is not TOML stays a string, and "none" removes the key.

    Raises TomlError for a value that is nested too deeply or too long.
    """
    if text == NONE:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError):
        return toml_reader.loads(f"value = {text}")["value"]  # raises, with the reason


def _put(study: s.Study, tables: dict[str, dict[str, Any]], parts: list[str], value: Any) -> None:
    """Put a value into ``tables``; a nested key extends a copy of the study's whole table.

    The table is edited as the file has it, so it is taken from the map and not from the typed spec."""
    section, key, *deeper = parts
    table = tables.setdefault(section, {})
    if not deeper:
        table[key] = value
        return
    present = table.get(key, (study.spec.get(section) or {}).get(key))
    within = (
        {name: entry for name, entry in present.items() if entry is not None}
        if isinstance(present, dict)
        else {}
    )
    if value is None:
        within.pop(deeper[0], None)
    else:
        within[deeper[0]] = value
    table[key] = within
