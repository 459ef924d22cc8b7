"""The list of all events, its filter, and the search in logs: pure functions over what the state holds."""

from __future__ import annotations

import pytest

from core.contract.state import engine_state as s
from core.contract.state.event_list_lines import PastLine
from core.contract.views.event_log.event_collection import EventCollection, EventRow
from core.contract.views.event_log.event_filter import parse_event_filter
from core.contract.views.event_log.line_search import compile_pattern, find_level, find_spans
from core.contract.views.trials.trial_filter import FilterFault

QUEUED = s.Line(1.0, "queued: tpe")
FAILED = s.Line(3.0, "failed: boom", "error")
SPIKE = s.Line(2.0, "the loss jumps", "warning")


def study(*own: s.Line, trial_lines: tuple[s.Line, ...] = (QUEUED, SPIKE, FAILED)) -> s.Study:
    return s.Study("a", lines=own, trials={7: s.Trial(7, lines=trial_lines)})


def collected(*states: s.Study) -> EventCollection:
    events = EventCollection()
    for state in states:
        events.take(state)
    return events


def test_an_event_of_a_trial_stands_in_the_list_once_with_its_trial():
    own = (s.Line(0.0, "study created: 4 trials planned"), s.Line(1.0, "trial 7 queued: tpe"))
    assert collected(study(*own)).rows == [
        EventRow(0.0, "study created: 4 trials planned"), EventRow(1.0, "queued: tpe", "info", 7),
        EventRow(2.0, "the loss jumps", "warning", 7), EventRow(3.0, "failed: boom", "error", 7),
    ]  # fmt: skip


def test_a_long_event_that_the_lists_cut_at_other_places_stands_there_once():
    long = "x" * 500
    rows = collected(study(s.Line(4.0, f"trial 7 {long}"[:499] + "…"), trial_lines=(s.Line(4.0, long),))).rows
    assert rows == [EventRow(4.0, long, "info", 7)]


def test_what_the_engine_says_of_a_trial_leads_to_the_trial():
    limit = s.Line(2.5, "trial 7: toxicity is 12 %: over the limit", "warning")
    rows = collected(study(limit, s.Line(2.6, "trial 99 is unknown"))).rows
    assert EventRow(2.5, "toxicity is 12 %: over the limit", "warning", 7) in rows
    assert EventRow(2.6, "trial 99 is unknown") in rows and len(rows) == 5


def test_what_the_state_drops_stays_in_the_list_and_what_was_superseded_goes():
    asked = s.Line(3.0, "prune requested by the pruner: worse")
    before = study(s.Line(0.0, "study created"), trial_lines=(QUEUED, asked))
    after = study(s.Line(9.0, "gpu1 is lost"), trial_lines=(QUEUED, s.Line(3.5, "pruned at step 5: worse")))
    rows = collected(before, after).rows
    assert [row.text for row in rows] == [
        "study created", "queued: tpe", "pruned at step 5: worse", "gpu1 is lost",
    ]  # fmt: skip


def test_older_events_come_before_and_rows_keep_their_numbers():
    events = collected(study(s.Line(5.0, "kept")))
    numbers = dict(events.number_of)
    events.add_past(
        (PastLine(0.5, "from the journal"), PastLine(5.0, "kept"), PastLine(1.0, QUEUED.text, "info", 7))
    )
    assert events.rows[0] == EventRow(0.5, "from the journal") and len(events.rows) == len(numbers) + 1
    assert all(events.number_of[row] == number for row, number in numbers.items())
    assert [events.by_number[events.number_of[row]] for row in events.rows] == events.rows


def test_the_same_state_costs_nothing():
    events, state = EventCollection(), study()
    assert events.take(state) and not events.take(state)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("level:error", [3]), ("level:warning,error", [2, 3]), ("level:e", [3]), ("level:", [0, 1, 2, 3]),
        ("trial:7 !level:info", [2, 3]), ("trial:", [0, 1, 2, 3]), ("LOSS jumps", [2]), ('"the loss"', [2]),
        ("!trial:7", [0]), ("trial:3,7 queued", [1]), ("nothing", []),
    ],
)  # fmt: skip
def test_events_are_filtered_by_words_level_and_trial(text, found):
    rows = collected(study(s.Line(0.0, "study created"))).rows
    shows = parse_event_filter(text)
    assert [place for place, row in enumerate(rows) if shows(row)] == found


@pytest.mark.parametrize(
    ("text", "at", "why"), [("level:loud", 6, "a level is one of"), ("boom trial:x", 11, "is a number")]
)
def test_a_filter_of_events_that_cannot_be_read_says_where(text, at, why):
    with pytest.raises(FilterFault, match=why) as fault:
        parse_event_filter(text)
    assert fault.value.at == at


def test_a_log_is_searched_without_case_unless_there_is_a_capital():
    assert find_spans(compile_pattern("error"), "ERROR: an error") == [(0, 5), (10, 15)]
    assert find_spans(compile_pattern("Error"), "ERROR: an Error") == [(10, 15)]
    assert find_spans(compile_pattern(r"\Serror"), "xERROR") == [(0, 6)], r"\S is no capital"
    assert find_spans(compile_pattern("x*"), "abc") == [] and compile_pattern("") is None


@pytest.mark.parametrize(
    ("text", "at", "why"),
    [
        ("a(b", 1, "unterminated"), ("*", 0, "nothing to repeat"), ("(a+)+$", 2, "repeat within"),
        ("x" * 201, 200, "most"),
    ],
)  # fmt: skip
def test_a_pattern_that_cannot_be_used_says_where_and_why(text, at, why):
    with pytest.raises(FilterFault, match=why) as fault:
        compile_pattern(text)
    assert fault.value.at == at


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-29 14:02:01,001 INFO trimtab: no errors", "info"),
        ("2026-11-29 14:02:01,001 WARNING trimtab: low", "warning"),
        ("2026-11-29 14:02:01,001 ERROR trimtab: boom", "error"),
        ("Traceback (most recent call last):", "error"), ("ValueError: boom", "error"), ("loading", "info"),
    ],
)  # fmt: skip
def test_a_line_of_a_log_has_the_level_that_it_names(line, level):
    assert find_level(line) == level
