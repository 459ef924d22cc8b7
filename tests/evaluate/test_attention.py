"""Attention's entropy, its shares and its collapse, by hand."""

import math

import numpy as np
import pytest

from core.evaluate.metrics import attention_metrics
from core.evaluate.metrics.attention_metrics import (
    Heads,
    Row,
    change,
    describe_collapse,
    query_positions,
    summarize_heads,
    summarize_row,
)

LENGTH = 9
QUERIES = range(1, LENGTH)
PLAIN = [False] * LENGTH


def uniform() -> np.ndarray:
    """Each query sees itself and all before it alike."""
    rows = [[1 / (at + 1)] * (at + 1) + [0.0] * (LENGTH - at - 1) for at in QUERIES]
    return np.array([rows])


def on(token: int) -> np.ndarray:
    rows = np.zeros((1, LENGTH - 1, LENGTH))
    rows[:, :, token] = 1.0
    return rows


def test_uniform_attention_has_entropy_one_and_one_token_alone_none():
    assert summarize_heads(uniform(), QUERIES, PLAIN).entropy == pytest.approx((1.0,))
    heads = summarize_heads(on(0), QUERIES, PLAIN)
    assert heads == Heads((0.0,), (1.0,), (0.0,))


def test_a_hand_made_row():
    """Two heads, the query at place 3 alone: halves on two of four tokens are half the nats of four."""
    weights = np.array([[[0.5, 0.0, 0.0, 0.5]], [[0.25, 0.25, 0.25, 0.25]]])
    found = summarize_heads(weights, [3], [True, False, False, True])
    assert found.entropy == pytest.approx((math.log(2) / math.log(4), 1.0))
    assert found.first == (0.5, 0.25)
    assert found.special == (0.5, 0.25), "the first token is special, too, and counts once"


def test_few_queries_at_even_distances_and_the_last_among_them():
    assert query_positions(2) == [1] and query_positions(5) == [1, 2, 3, 4]
    many = query_positions(500)
    assert len(many) == attention_metrics.QUERIES and many[-1] == 499 and min(many) >= 1
    assert max(np.diff(many)) - min(np.diff(many)) <= 1


def test_a_rows_numbers_are_means_over_layers_and_heads():
    layers = [Heads((0.2, 0.4), (0.1, 0.3), (0.0, 0.2)), Heads((0.6, 0.8), (0.5, 0.5), (0.1, 0.1))]
    assert summarize_row(layers) == Row(pytest.approx(0.5), pytest.approx((0.1 + 0.5 + 0.6 + 0.6) / 4))


BASE = [Row(0.6 + 0.01 * one, 0.3) for one in range(8)]


def test_a_fall_beyond_its_interval_is_a_collapse_and_says_how_large():
    now = [Row(one.entropy - 0.25 - 0.01 * (at % 2), one.few) for at, one in enumerate(BASE)]
    found = change(now, BASE)
    assert found.has_narrowed and not found.has_concentrated
    told = describe_collapse(found, 40, 3, 96)
    assert told.startswith("attention collapses on few tokens: the heads' entropy fell by 26 % (25 to 26)")
    assert "40 of 96 heads attend to few tokens (3 before)" in told and "learning_rate" in told
    assert "special" not in told


def test_a_rise_of_the_share_on_few_tokens_is_one_too():
    found = change([Row(one.entropy, 0.55 + 0.01 * (at % 3)) for at, one in enumerate(BASE)], BASE)
    assert found.has_concentrated and not found.has_narrowed
    assert "the share on first and special tokens rose by 26 %" in describe_collapse(found, 1, 1, 4)


@pytest.mark.parametrize(
    "now",
    [
        BASE,
        [Row(one.entropy - 0.09, one.few + 0.09) for one in BASE],  # sure, and small
        [Row(one.entropy + 0.3, one.few - 0.3) for one in BASE],  # the other way
        [Row(one.entropy - (1.3 if at == 0 else 0.0), one.few) for at, one in enumerate(BASE)],  # one row
    ],
    ids=["the same", "small", "wider", "one row of eight"],
)
def test_no_word_where_nothing_is_shown(now):
    assert describe_collapse(change(now, BASE), 0, 0, 4) == ""


def test_five_rows_are_too_few_for_a_word():
    found = change([Row(0.0, 1.0)] * 5, BASE[:5])
    assert describe_collapse(found, 4, 0, 4) == "" and "fewer than 6 rows" in found.entropy.reason
