"""Slices of the rows: those that are large enough are followed, each by name."""

import pytest

from core.contract.spec.metric_table import SLICE, find_metric
from core.evaluate.metrics import validation_slices


def test_a_slice_that_gets_worse_is_seen_while_the_mean_falls():
    places = {"a": [0, 1, 2, 3, 4], "b": [5, 6, 7, 8, 9]}
    found = validation_slices.compute_slice_losses(
        [2.0] * 5 + [30.0, 50.0, 40.0, 40.0, 40.0], [2] * 5 + [10] * 5, places
    )
    assert {name: one.value for name, one in found.items()} == {"a": 1.0, "b": 4.0}
    assert validation_slices.find_worst(found) == ("b", found["b"])


def test_fewer_rows_than_five_are_no_slice_and_that_is_said():
    assert validation_slices.compute_slice_losses([2.0] * 4, [2] * 4, {"a": [0, 1, 2, 3, 4]}) == {}, (
        "the fifth was not asked"
    )
    assert validation_slices.group_rows([("a",)] * 4 + [("b",)] * 5, [9] * 9) == {"b": [4, 5, 6, 7, 8]}
    assert validation_slices.find_worst({})[1].reason == "no slice has 5 rows or more"


def test_each_row_is_in_the_slices_of_all_its_columns_and_in_a_quarter_by_length():
    parts = [("source:web", "task:sums")] * 10 + [("source:web", "task:rhymes")] * 10
    found = validation_slices.group_rows(parts, list(range(20)))
    assert found["source:web"] == list(range(20)) and found["task:rhymes"] == list(range(10, 20))
    quarters = {name: rows for name, rows in found.items() if name.startswith("length:")}
    assert list(quarters) == ["length:0-4", "length:5-9", "length:10-14", "length:15-19"]
    assert all(len(rows) == 5 for rows in quarters.values())
    assert set(validation_slices.name_quarters([7] * 30)) == {"length:7-7"}, (
        "rows of one length share a quarter"
    )


def test_many_small_values_of_a_column_are_not_followed_beyond_the_largest():
    parts = [(f"topic:{number % 30}",) for number in range(300)]
    assert (
        len(
            [
                group_row
                for group_row in validation_slices.group_rows(parts, [1] * 300)
                if group_row.startswith("topic:")
            ]
        )
        == validation_slices.MOST
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [("long sums", "long_sums"), ("a/b <= 2\n\x1b[31m", "a_b_2_31m"), (3, "3"), ("größer", "größer")],
)
def test_a_slice_s_name_can_stand_in_a_limit_a_file_and_a_curve(value, name):
    assert validation_slices.make_slice_name("task", value) == f"task:{name}"
    metric = find_metric(f"{SLICE}task:{name}")
    assert metric.unit == "nats/token" and metric.direction == "minimize"
    assert validation_slices.make_slice_name("task", " / ") == "" and find_metric(SLICE) is None
