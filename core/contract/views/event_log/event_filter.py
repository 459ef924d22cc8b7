"""The filter of events: ``level:error trial:12 worker !gpu1`` as a predicate. Pure.

All terms must hold; a word is looked for in the text, and ``!`` negates a term.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from core.contract.views.event_log.event_collection import EventRow
from core.contract.views.trials.trial_filter import FilterFault

LEVELS = ("info", "warning", "error")
EXAMPLE = "level:warning,error  trial:12  worker  !gpu1"
_TERM = re.compile(
    r"(?P<not>!?)(?:(?P<name>level|trial):(?P<value>\S*)|\"(?P<quoted>[^\"]*)\"?|(?P<word>\S+))"
)

Test = Callable[[EventRow], bool]


def parse_event_filter(text: str) -> Test:
    """Return whether an event is to be shown, as a function; an empty text shows all.

    Raises FilterFault for a level that there is not, and for a trial that is not a number.
    """
    tests = [_read_term(term) for term in _TERM.finditer(text)]
    return lambda row: all(test(row) for test in tests)


def _read_term(term: re.Match[str]) -> Test:
    if term["name"] == "level":
        test = _read_level(term)
    elif term["name"] == "trial":
        test = _read_trial(term)
    else:
        test = _read_word(term["quoted"] if term["quoted"] is not None else term["word"])
    return _negate(test) if term["not"] else test


def _read_level(term: re.Match[str]) -> Test:
    """The beginning of a level is enough: what is being typed is not a fault."""
    levels = tuple(term["value"].lower().split(","))
    if not all(any(level.startswith(name) for level in LEVELS) for name in levels):
        raise FilterFault(term.start("value"), f"a level is one of {', '.join(LEVELS)}")
    return lambda row: row.level.startswith(levels)


def _read_trial(term: re.Match[str]) -> Test:
    numbers = [number for number in term["value"].split(",") if number]
    if not all(number.isdecimal() for number in numbers):
        raise FilterFault(term.start("value"), "a trial is a number, such as trial:12 or trial:3,4")
    trial_numbers = {int(number) for number in numbers}
    return lambda row: not trial_numbers or row.trial in trial_numbers


def _read_word(word: str) -> Test:
    lower_word = word.lower()
    return lambda row: lower_word in row.text.lower()


def _negate(test: Test) -> Test:
    return lambda row: not test(row)
