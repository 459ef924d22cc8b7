"""Rows are shared out over passes so that little is padding, and every row goes once."""

from hypothesis import given
from hypothesis import strategies as st

from core.memory.estimate.rows_per_pass import BLOCK, GAIN, plan_padding_free, round_to_blocks, share_out


def cost(passes, lengths, overhead):
    return sum(overhead + len(some) * max(lengths[one] for one in some) for some in passes)


def test_equal_lengths_share_one_pass():
    assert share_out([64] * 8, overhead=12) == [list(range(8))]


def test_a_long_row_is_not_padded_to_by_many_short_ones():
    assert share_out([10, 500, 12, 11], overhead=12) == [[0, 2, 3], [1]]


def test_where_a_pass_is_dear_they_all_share_one():
    assert share_out([10, 500, 12, 11], overhead=9000) == [[0, 1, 2, 3]]


def test_no_pass_is_above_the_most_it_may_hold():
    assert share_out([64] * 5, overhead=1000, most=128) == [[0, 1], [2, 3], [4]]
    assert share_out([200, 64, 64], overhead=1000, most=128) == [[1, 2], [0]]  # one row always goes


@given(st.lists(st.integers(1, 300), max_size=24), st.integers(0, 500), st.integers(1, 2000))
def test_every_row_goes_once_and_never_dearer_than_two_simple_ways(lengths, overhead, most):
    passes = share_out(lengths, overhead, most)
    assert sorted(one for some in passes for one in some) == list(range(len(lengths)))
    for some in passes:
        assert len(some) == 1 or len(some) * max(lengths[one] for one in some) <= most
    if lengths:
        assert cost(passes, lengths, overhead) <= cost(
            [[one] for one in range(len(lengths))], lengths, overhead
        )
        if len(lengths) * max(lengths) <= most:
            assert cost(passes, lengths, overhead) <= cost([range(len(lengths))], lengths, overhead)


def test_rows_that_differ_much_stand_in_one_line_where_a_pass_is_dear():
    lengths = [512, 64, 96, 128, 33, 40]
    assert plan_padding_free(lengths, share_out(lengths, 3000), 3000) == [list(range(6))]
    assert plan_padding_free(lengths, share_out(lengths, 500), 500) == [
        [0, 1],
        [2, 3, 4, 5],
    ]  # as large as before
    assert (
        plan_padding_free(lengths, share_out(lengths, 50_000), 50_000) == []
    )  # the padding is little beside a pass


def test_rows_of_like_length_are_padded():
    for lengths in ([64] * 8, [64, 60, 58, 64]):
        assert plan_padding_free(lengths, share_out(lengths, 500), 500) == []
    assert plan_padding_free([], [], 500) == []


@given(st.lists(st.integers(1, 700), min_size=1, max_size=24), st.integers(0, 500), st.integers(1, 4000))
def test_lines_hold_every_row_once_cost_clearly_less_and_need_no_more_memory(lengths, overhead, most):
    padded = share_out(lengths, overhead, most)
    lines = plan_padding_free(lengths, padded, overhead)
    if lines:
        assert [row for line in lines for row in line] == list(range(len(lengths)))
        tokens = [sum(round_to_blocks(lengths[row]) for row in line) for line in lines]
        assert max(tokens) <= max(len(some) * max(lengths[row] for row in some) for some in padded)
        assert overhead * len(lines) + sum(tokens) <= (1 - GAIN) * cost(padded, lengths, overhead)
        assert sum(tokens) < sum(lengths) + BLOCK * len(lengths)
