"""Text from outside is shown, never interpreted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract.text.sanitize import sanitize


def test_escape_sequences_lose_their_power():
    assert sanitize("\x1b[31mred\x07") == "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"
    assert sanitize("user\u202egnp.exe") == "user\N{REPLACEMENT CHARACTER}gnp.exe"


def test_markup_is_left_as_it_is():
    assert sanitize("[bold]x[/bold]") == "[bold]x[/bold]"


def test_line_ends_stay_only_when_asked_for():
    assert sanitize("a\nb\tc") == "a b c"
    assert sanitize("a\nb", lines=True) == "a\nb"


@given(st.text(), st.integers(1, 40))
def test_nothing_unprintable_and_nothing_too_long_comes_out(text, limit):
    clean = sanitize(text, limit)
    assert len(clean) <= limit
    assert not any(ord(character) < 32 or ord(character) == 127 for character in clean)


def test_marks_do_not_pile_up_and_none_comes_first():
    assert sanitize("\u0301e" + "\u0301" * 500 + "!") == "e\u0301\u0301!"


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c"])
def test_no_other_line_end_survives(end):
    assert sanitize(f"a{end}b", lines=True) == "a\N{REPLACEMENT CHARACTER}b"


def test_a_line_of_megabytes_is_not_walked_over():
    class Watched(str):
        def __iter__(self):
            raise AssertionError("all of it was looked at")

    assert sanitize(Watched("\x1b" * 10_000_000), 5) == "\N{REPLACEMENT CHARACTER}" * 4 + "…"
