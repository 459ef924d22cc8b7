"""The filter of trials: ``state:running lr<1e-4 loss<2.1 !best | *`` as a predicate. Pure.

Words stand next to each other where all must hold, ``|`` separates alternatives, ``!`` or ``-`` negates.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from core.contract.events.trial_states import (
    COMPLETE,
    FAILED,
    INFEASIBLE,
    PAUSED,
    PRUNED,
    QUEUED,
    RUNNING,
    STARTING,
)
from core.contract.spec.metric_table import METRICS, PATTERNS, suggest_name
from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.trials.trial_fields import FIXED, STAR, Field, find_field, list_words

STATES = (QUEUED, STARTING, RUNNING, PAUSED, COMPLETE, PRUNED, FAILED, INFEASIBLE)
BEST, MARKED = "best", "marked"
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
COUNTS = {"k": 1e3, "m": 1e6, "g": 1e9}
BYTES = {"k": 2.0**10, "m": 2.0**20, "g": 2.0**30, "t": 2.0**40}
_OPEN = "|".join(re.escape(pattern.name) for pattern in PATTERNS)
_TERM = re.compile(
    rf"(?P<bar>\|)|(?P<not>[!-]?)(?:\"(?P<quoted>[^\"]*)\"?|"
    rf"(?P<name>(?:(?:{_OPEN})[^\s<>=!|]+(?=\s*[<>=!]))|[^\s<>=!:|\"]+)\s*(?P<op><=|>=|!=|==|=|<|>|:)\s*"
    rf"(?P<value>\"[^\"]*\"?|[^\s|]*)|(?P<word>[^\s|]+))"
)
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([%a-z]*)$", re.IGNORECASE)
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+$")


class FilterFault(ValueError):
    """A filter that cannot be read: ``text`` says why, ``at`` is the place of the first wrong character."""

    def __init__(self, at: int, text: str) -> None:
        super().__init__(text)
        self.at, self.text = at, text


@dataclass(frozen=True)
class Context:
    """What a filter may ask besides the trial: the study, its best trial and the marked ones."""

    study: s.Study
    best: int | None = None
    marked: frozenset[int] = frozenset()


Test = Callable[[Context, s.Trial], bool]


@dataclass(frozen=True)
class TrialFilter:
    """Alternatives, of each of which all tests must hold. ``of_others``: it asks who is best or marked."""

    text: str = ""
    alternatives: tuple[tuple[Test, ...], ...] = ((),)
    of_others: bool = False

    def matches(self, context: Context, trial: s.Trial) -> bool:
        """Return whether the trial is to be shown."""
        return any(all(test(context, trial) for test in tests) for tests in self.alternatives)


def parse_filter(study: s.Study, text: str) -> TrialFilter:
    """Return the filter that ``text`` says; an empty text lets all trials through.

    Raises FilterFault where a name is not known or a value cannot be compared with it.
    """
    alternatives: list[list[Test]] = [[]]
    of_others = False
    for term in _TERM.finditer(text):
        if term["bar"]:
            alternatives.append([])
            continue
        test = _read_term(study, term)
        alternatives[-1].append(_negate(test) if term["not"] else test)
        of_others |= (term["word"] or "").lower() in (BEST, MARKED)
    alternatives_kept = tuple(tuple(tests) for tests in alternatives if tests)
    return TrialFilter(text.strip(), alternatives_kept or ((),), of_others)


def _negate(test: Test) -> Test:
    return lambda context, trial: not test(context, trial)


def _read_term(study: s.Study, term: re.Match[str]) -> Test:
    if term["op"]:
        return _read_comparison(study, term)
    return _read_word(term["quoted"] if term["quoted"] is not None else term["word"])


def _read_word(word: str) -> Test:
    """A free word: a number, best, marked, a sign, or a part of a state, a note or a knob's text."""
    lower_word = word.lower()
    if lower_word == BEST:
        return lambda context, trial: trial.number == context.best
    if lower_word == MARKED:
        return lambda context, trial: trial.number in context.marked
    if lower_word.removeprefix("#").isdecimal():
        number = int(lower_word.removeprefix("#"))
        return lambda context, trial: trial.number == number
    if lower_word == STAR:
        return lambda context, trial: trial.starred
    return lambda context, trial: any(lower_word in text.lower() for text in _list_texts(trial))


def _list_texts(trial: s.Trial) -> list[str]:
    values = [value for value in (trial.knobs | trial.params).values() if isinstance(value, str)]
    return [trial.state, trial.asked, trial.note, trial.device, *list_words(trial), *values]


def _read_comparison(study: s.Study, term: re.Match[str]) -> Test:
    name, sign, value = term["name"], term["op"].replace("==", "="), term["value"].strip('"')
    field = find_field(study, name)
    if field is None:
        raise FilterFault(
            term.start("name"),
            f"no knob or metric is called {sanitize(name, 40)!r}{_suggest_name(study, name)}",
        )
    if not value:
        raise FilterFault(term.start("value"), f"a value is missing after {sanitize(name, 40)}{sign}")
    tests = [_compare(field, sign, part, term.start("value")) for part in value.split(",") if part]
    combine = all if sign == "!=" else any
    return lambda context, trial: combine(test(context, trial) for test in tests)


def _suggest_name(study: s.Study, name: str) -> str:
    """The nearest name, if any is near."""
    knobs = [knob.name for knob in study.settings.knobs]
    shorts = [knob.short for knob in study.settings.knobs if knob.short]
    endings = [metric.split("/")[-1] for metric in METRICS]
    names = [*shorts, *endings, *knobs, *(field.name for field in FIXED), *METRICS]
    suggestion = suggest_name(name, names)
    return f"; {suggestion}" if suggestion.startswith("did") else ""


def _compare(field: Field, sign: str, value: str, at: int) -> Test:
    if field.kind == "text":
        return _compare_text(field, sign, value, at)
    if ".." in value and sign in ("=", ":"):
        low, high = (_read_number(field, end, at) for end in value.split("..", 1))
        return _make_numeric(field, lambda number: low <= number <= high)
    bound = _read_number(field, value, at)
    if sign in COMPARE:
        return _make_numeric(field, lambda number: COMPARE[sign](number, bound))
    slack = _find_slack(value, bound)
    equal = _make_numeric(field, lambda number: abs(number - bound) <= slack)
    return _negate(equal) if sign == "!=" else equal


def _compare_text(field: Field, sign: str, value: str, at: int) -> Test:
    lower_value = value.lower()
    if sign in COMPARE:
        raise FilterFault(at, f"{field.name} is text: compare it with =, : or !=")
    if field.name == "state" and not any(state.startswith(lower_value) for state in STATES):
        raise FilterFault(at, f"no state is called {sanitize(value, 30)!r}; there are {', '.join(STATES)}")
    if field.name == "state":

        def test(text: str) -> bool:
            return text.startswith(lower_value)
    else:

        def test(text: str) -> bool:
            return lower_value in text if sign == ":" else lower_value == text

    text_test: Test = lambda context, trial: test(_format_value(field.value(context.study, trial)))  # noqa: E731
    return _negate(text_test) if sign == "!=" else text_test


def _format_value(value: object) -> str:
    return "+".join(map(str, value)).lower() if isinstance(value, list | tuple) else str(value or "").lower()


def _make_numeric(field: Field, holds: Callable[[float], bool]) -> Test:
    def test(context: Context, trial: s.Trial) -> bool:
        value = field.value(context.study, trial)
        return isinstance(value, int | float) and math.isfinite(value) and holds(float(value))

    return test


def _read_number(field: Field, text: str, at: int) -> float:
    """Such as 1e-4, 50%, 2k, 1.5G of bytes, 1h30m of seconds. Raises FilterFault for anything else."""
    if field.kind == "seconds" and _SPAN.match(text):
        return sum(float(count) * UNITS[unit] for count, unit in re.findall(r"([\d.]+)([smhd])", text))
    number_match = _NUMBER.match(text)
    unit = number_match[2].lower() if number_match is not None else ""
    units = BYTES if field.kind == "bytes" else COUNTS
    if number_match is None or unit not in ("", "%", *units):
        raise FilterFault(at, f"{sanitize(text, 30)!r} is not a number to compare {field.name} with")
    return float(number_match[1]) * (0.01 if unit == "%" else units.get(unit, 1.0))


def _find_slack(text: str, value: float) -> float:
    """How far an equal number may be: a fraction is meant as it was rounded, a whole number exactly."""
    mantissa = re.split("e", text.lower())[0].rstrip("%").lstrip("+-")
    digits = mantissa.replace(".", "").lstrip("0")
    if "." not in mantissa or len(digits) < 2:
        return 1e-9 * abs(value)
    power = 10.0 ** math.floor(math.log10(abs(value))) if value else 0.0
    return 0.5001 * power * 10.0 ** (1 - len(digits))


def choose_trials(study: s.Study, trials: list[s.Trial], text: str) -> list[s.Trial]:
    """Return the trials that a filter lets through, none for one that cannot be read."""
    try:
        trial_filter = parse_filter(study, text)
    except FilterFault:
        return []
    best = best_and_counts.find_best(study)
    context = Context(study, best.number if best is not None else None)
    return [trial for trial in trials if trial_filter.matches(context, trial)]
