"""Which tokens carry the loss, by hand."""

import pytest

from core.contract.wire.answers.introspection_answer import Part
from core.evaluate.metrics import token_loss_breakdown
from core.evaluate.metrics.token_loss_breakdown import classify_token, compute_top_share, quarter, split_loss


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" the", "words"), ("x1", "words"), ("\ufffd", "words"), ("漢", "words"), (" 42", "digits"),
        ("٣", "digits"), (").", "punctuation"), (" –", "punctuation"), ("\n\n", "space"), ("", "space"),
        ("\x1b[", "punctuation"),
    ],
)  # fmt: skip
def test_a_token_has_one_kind(text, name):
    assert classify_token(text) == name


def test_the_first_of_an_answer_and_special_tokens_are_kinds_of_their_own():
    assert (
        classify_token(" 42", first=True) == "first"
        and classify_token("<|im_end|>", special=True) == "special"
    )
    assert classify_token("<|im_end|>", special=True, first=True) == "first"
    assert {classify_token("a"), classify_token("1"), classify_token("."), classify_token(" ")} <= set(
        token_loss_breakdown.KINDS
    )


def test_quarters_of_a_row():
    assert [quarter(at, 8)[0] for at in range(8)] == list("11223344")
    assert quarter(0, 1) == "1st quarter" and quarter(2, 3) == "3rd quarter"


def test_shares_and_means_before_and_after():
    found = split_loss(
        ["words", "digits", "words"], [1.0, 6.0, 1.0], [2.0, 2.0, 4.0], token_loss_breakdown.KINDS
    )
    assert found == (Part("words", 2, 0.25, 1.0, 0.75, 3.0), Part("digits", 1, 0.75, 6.0, 0.25, 2.0))
    assert split_loss(["words"], [0.0], [0.0], token_loss_breakdown.KINDS) == (
        Part("words", 1, 0.0, 0.0, 0.0, 0.0),
    )


def test_the_largest_tenth():
    assert compute_top_share([1.0] * 10) == pytest.approx(0.1)
    assert compute_top_share([0.0] * 19 + [3.0]) == 1.0, "two of twenty: one of them has all of it"
    assert compute_top_share([4.0, 1.0, 1.0, 2.0]) == 0.5, "one at least"
