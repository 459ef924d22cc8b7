"""``python -m tests.house.manual``: write the reference tables of the manual from the declarations.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. In the tables of the study file the last
column is written by hand: it is kept.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from core.cli import exit_codes
from core.cli.parsers.argument_parser import make_parser
from core.contract.spec import knob_table, metric_table, spec_schema
from core.evaluate.prompts import packaged_prompts
from core.manual.manual_reader import FOLDER
from tui.keys import key_declarations

MARKED = re.compile(r"(<!-- table: ([\w.]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
ENDLESS = 1e6  # a larger bound of the study file only keeps nonsense out
Rows = Iterator[tuple[str, ...]]


def written(text: str) -> str:
    """A page with all of its tables as the declarations have them now."""
    return MARKED.sub(lambda found: found[1] + _table(found[2], found[3]) + found[4], text)


def _table(name: str, old: str) -> str:
    kind, _, part = name.partition(".")
    if kind == "spec":
        return _drawn(("key", "default", "values", "meaning"), _spec(part, _by_hand(old)))
    if kind == "keys":
        return _keys()
    head, rows = TABLES[name]
    return _drawn(head, rows())


def _drawn(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


def _by_hand(old: str) -> dict[str, str]:
    rows = [line.strip("| \n").split(" | ") for line in old.splitlines()]
    return {row[0]: row[-1].strip() for row in rows if len(row) == 4}


def _knobs() -> Rows:
    for knob in knob_table.TABLE:
        live = "yes" if knob.live else ""
        default = "–" if knob.default is None else f"`{_short(knob.default)}`"
        yield f"`{knob.name}`", default, _knob_values(knob), live, knob.meaning


def _knob_values(knob: knob_table.Knob) -> str:
    if knob.choices:
        return ", ".join(knob.choices)
    low = f"above {_number(knob.low)}" if knob.name in knob_table.POSITIVE else _number(knob.low)
    return f"{low} to {_number(knob.high)}" if knob.high is not None else f"from {low}"


def _number(value: float | None) -> str:
    """Without an exponent: a bound is a number of rows, steps or tokens."""
    return "0" if value is None else f"{value:.10g}"


def _prompts() -> Iterator[tuple[str, ...]]:
    """Each packaged set, its size, and how it is spread."""
    for name, rows, key in (
        ("harmful", packaged_prompts.load_harmful(), "topic"),
        ("harmless", packaged_prompts.load_harmless(), "topic"),
        ("harmful_multilingual", packaged_prompts.load_harmful_multilingual(), "language"),
        ("harmless_multilingual", packaged_prompts.load_harmless_multilingual(), "language"),
        ("misalignment", packaged_prompts.load_misalignment(), "topic"),
        ("elicit", packaged_prompts.load_elicitors(), "topic"),
        ("pairs", packaged_prompts.load_pairs(), "axis"),
        ("injections", packaged_prompts.load_injections(), "place"),
        ("wrappers", packaged_prompts.load_wrappers(), "kind"),
        ("prefills", packaged_prompts.load_prefills(), ""),
        ("prompt_leak", packaged_prompts.load_prompt_leaks(), ""),
        ("reference", packaged_prompts.load_reference(), "kind"),
    ):  # fmt: skip
        counts = Counter(getattr(row, key) for row in rows) if key else {}
        spread = ", ".join(f"{value} {count}" for value, count in sorted(counts.items()))
        yield f"`{name}`", str(len(rows)), spread


def _metrics() -> Rows:
    for metric in (*metric_table.TABLE, *metric_table.PATTERNS):
        name = metric.name + ("…" if metric in metric_table.PATTERNS else "")
        better = "lower" if metric.direction == "minimize" else "higher"
        objective = metric.name in metric_table.OBJECTIVES or metric in metric_table.PATTERNS
        yield f"`{name}`", better, metric.unit, "yes" if objective else "", metric.meaning


def _keys() -> str:
    parts = []
    for group in key_declarations.GROUPS:
        rows = ((" ".join(f"`{name}`" for name in key.spelt.split()), key.meaning) for key in group)
        parts.append(f"\n### {group.title}\n\n" + _drawn(("key", "does"), rows))
    return "".join(parts) + "\n"


def _spec(section: str, by_hand: dict[str, str]) -> Rows:
    model = spec_schema.SECTIONS[section]
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        yield from _key(name, field, schema["properties"][name], schema, by_hand)


def _key(name: str, field: Any, one: dict, schema: dict, by_hand: dict[str, str]) -> Rows:
    """The row of a key; of a table within the section, the rows of its keys."""
    parts = _arguments(field) if type(None) in _arguments(field) else ()
    nested = next((part for part in (field.annotation, *parts) if _is_table(part)), None)
    if nested is not None:
        inner = schema["$defs"][nested.__name__]["properties"]
        for key, inside in nested.model_fields.items():
            yield from _key(f"{name}.{key}", inside, inner[key], schema, by_hand)
        return
    shown = f"`{name}`"
    yield shown, _default(field), _values(one), by_hand.get(shown, "")


def _arguments(field: Any) -> tuple[Any, ...]:
    return getattr(field.annotation, "__args__", ())


def _is_table(part: Any) -> bool:
    return isinstance(part, type) and not hasattr(part, "__args__") and issubclass(part, spec_schema.Section)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    return "–" if field.default in (None, "", [], {}) else f"`{_short(field.default)}`"


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value).replace("'", '"')


def _values(one: dict) -> str:
    """What a JSON schema allows, in words."""
    if "anyOf" in one:
        parts = [_values(part) for part in one["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "enum" in one:
        return ", ".join(map(str, one["enum"]))
    if "const" in one:
        return str(one["const"])
    if one.get("type") == "array":
        return f"list of {_values(one['items'])}".removesuffix(" of ")
    words = {
        "integer": "integer",
        "number": "number",
        "string": "text",
        "boolean": "true, false",
        "object": "table",
    }
    return f"{words.get(one.get('type', ''), '')}{_bounds(one)}"


def _bounds(one: dict) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    bounds = ((word, one[key]) for key, word in words.items() if key in one)
    return "".join(f" {word} {_number(bound)}" for word, bound in bounds if bound < ENDLESS)


def _commands() -> Rows:
    (verbs,) = [action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    texts = {choices_action.dest: choices_action.help or "" for choices_action in verbs._choices_actions}
    for name, verb in verbs.choices.items():
        optional = {"?": "[{}]", "*": "[{} …]", "+": "{} …"}
        places = (action for action in verb._actions if not action.option_strings)
        words = (optional.get(str(place.nargs), "{}").format(_place(place)) for place in places)
        yield f"`{' '.join(('trimtab', name, *words))}`", texts[name]


def _place(action: argparse.Action) -> str:
    return str(action.metavar or "|".join(action.choices or ()))


def _exit_codes() -> Rows:
    yield from ((str(code), meaning) for code, meaning in exit_codes.TABLE.items())


TABLES: dict[str, tuple[tuple[str, ...], Callable[[], Rows]]] = {
    "knobs": (("knob", "default", "values", "live edit", "meaning"), _knobs),
    "prompts": (("file", "prompts", "by"), _prompts),
    "metrics": (("metric", "better", "unit", "objective", "meaning"), _metrics),
    "commands": (("command", "does"), _commands),
    "exit_codes": (("code", "meaning"), _exit_codes),
}


def main() -> None:
    """Write all pages anew."""
    for path in sorted(FOLDER.glob("*.md")):
        text = path.read_text("utf-8")
        if written(text) != text:
            path.write_text(written(text), "utf-8")
            print(path.name)


if __name__ == "__main__":
    main()
