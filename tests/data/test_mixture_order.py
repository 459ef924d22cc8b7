"""Rows are drawn from several sources by their shares; which row is the k-th depends on seed and k alone."""

import random
from collections import Counter

import pytest

from core.data.mixture.mixture_order import MixtureOrder, SourceRows, sum_floors
from core.data.mixture.mixture_shares import SourceSize, find_shares
from core.data.mixture.row_filter import keep_rows

SHARES = [0.2, 0.05, 0.0, 0.75]
ROWS = [range(50), range(50, 57), range(0), range(57, 400)]


def make(seed: int = 7, shares: list[float] = SHARES, **begun) -> MixtureOrder:
    sources = [SourceRows(name, rows, seed) for name, rows in zip("abcd", ROWS, strict=True)]
    return MixtureOrder(sources, shares, seed, **begun)


def source_of(row: int) -> int:
    return next(source for source, rows in enumerate(ROWS) if row in rows)


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
@pytest.mark.parametrize("width", [8, 100, 1000])
def test_each_share_holds_in_every_window_of_rows(seed, width):
    sources = [source_of(row) for row in make(seed).draw(0, 4000)]
    for source, share in enumerate(SHARES):
        hits = [0]
        for drawn in sources:
            hits.append(hits[-1] + (drawn == source))
        counts = [after - before for before, after in zip(hits, hits[width:], strict=False)]
        assert all(abs(count - share * width) <= 2.5 for count in counts)


def test_a_row_is_the_same_wherever_drawing_begins():
    rows = make().draw(0, 2000)
    for first in range(0, 1990, 61):
        assert make().draw(first, 7) == rows[first : first + 7]
        assert sum(make().count_rows(first)) == first


def test_a_place_far_away_is_found_at_once():
    assert sum(make().count_rows(10**15)) == 10**15 and len(make().draw(10**15, 4)) == 4


def test_a_source_gives_all_its_rows_once_before_it_begins_again():
    order = make()
    drawn = [row for row in order.draw(0, 1200) if source_of(row) == 0]
    assert sorted(drawn[:50]) == sorted(drawn[50:100]) == list(range(50)) and drawn[:50] != drawn[50:100]
    assert set(order.list_first(1200)) == set(order.draw(0, 1200))


def test_other_seeds_and_other_neighbours_change_the_order_as_they_should():
    one, other = ([source_of(row) for row in make(seed).draw(0, 50)] for seed in (1, 2))
    assert one != other, "the sources follow each other in another order, too"
    same = [SourceRows(name, range(50), 7).list_first(50) for name in "ab"]
    assert same[0] != same[1], "two sources of one size have orders of their own"
    alone = make(shares=[0.0, 0.0, 0.0, 1.0]).draw(0, 80)
    mixed = [row for row in make().draw(0, 80) if source_of(row) == 3]
    assert alone[: len(mixed)] == mixed, "a source's own order does not depend on the others"


def test_other_shares_go_on_with_the_rows_that_each_source_has_left():
    before = make().draw(0, 120)
    begun = make().count_rows(120)
    after = make(shares=[0.7, 0.1, 0.0, 0.2], start=120, drawn=begun).draw(120, 40)
    assert Counter(map(source_of, after))[0] in (26, 27, 28, 29, 30)
    late = make(shares=[0.7, 0.1, 0.0, 0.2], start=120, drawn=begun).draw(140, 20)
    assert late == after[20:], "at a place further on, too"
    first = [row for row in [*before, *after] if source_of(row) == 0][:50]
    assert sorted(first) == list(range(50)), "its first epoch is completed, without a repetition"


def test_sums_of_floors_are_exact():
    draw = random.Random(0)
    for _ in range(200):
        count, modulus, factor, offset = (draw.randint(0, 60) for _ in range(4))
        modulus += 1
        expected = sum((factor * at + offset) // modulus for at in range(count))
        assert sum_floors(count, modulus, factor, offset) == expected


SIZES = (SourceSize("web", 800), SourceSize("code", 200), SourceSize("old", 1000, replay=True))


def test_without_weights_a_source_has_its_share_of_the_rows():
    shares = find_shares(SIZES, {"replay": 0.1}, 1.0)
    assert shares == pytest.approx([0.9 * 0.8, 0.9 * 0.2, 0.1])


def test_a_temperature_flattens_the_shares():
    assert find_shares(SIZES[:2], {}, 2.0) == pytest.approx([2 / 3, 1 / 3])
    assert find_shares(SIZES[:2], {}, 1000.0) == pytest.approx([0.5, 0.5], abs=1e-3)


def test_weights_are_relative_to_each_other():
    assert find_shares(SIZES[:2], {"weight.web": 3.0, "weight.code": 1.0}, 1.0) == [0.75, 0.25]
    assert find_shares(SIZES, {"weight.web": 0.0, "replay": 0.25}, 1.0) == [0.0, 0.75, 0.25]


def test_a_source_without_rows_has_no_share():
    emptied = (SIZES[0], SIZES[1]._replace(rows=0), SIZES[2]._replace(rows=0))
    assert find_shares(emptied, {"weight.code": 5.0, "replay": 0.5}, 1.0) == [1.0, 0.0, 0.0]
    assert find_shares([size._replace(rows=0) for size in SIZES], {}, 1.0) == [0.0, 0.0, 0.0]


def test_rows_are_kept_whose_columns_have_the_wanted_values():
    rows = [{"task": "sums", "level": 1}, {"task": "code", "level": 2}, {"task": "sums", "level": "2"}, {}]
    kept = keep_rows(lambda: rows, {"task": ["sums", "maths"], "level": 2})
    assert list(kept()) == [rows[2]] == list(kept())
    assert keep_rows(lambda: rows, {})() is rows
    flags = [{"good": True}, {"good": "true"}, {"good": False}]  # as in JSON, and in CSV
    assert list(keep_rows(lambda: flags, {"good": True})()) == flags[:2]
