"""Limits with units, and how far a trial is beyond them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract.spec.metric_limits import Limit, measure_violations
from core.contract.spec.metric_table import METRICS, STRENGTH
from core.errors import SpecError

FINITE = st.floats(-1e15, 1e15)


@pytest.mark.parametrize(
    ("text", "bound", "written"),
    [
        ("memory/alone_bytes <= 22 GiB", 22 * 2**30, "memory/alone_bytes <= 22 GiB"),
        ("memory/alone_bytes <= 1.5GiB", 1.5 * 2**30, "memory/alone_bytes <= 1536 MiB"),
        ("memory/peak_bytes < 24e9", 24e9, "memory/peak_bytes < 2.4e+10"),
        ("memory/peak_bytes < 24 gb", 24e9, "memory/peak_bytes < 2.4e+10"),
        ("quality/latency_s <= 40 ms", 0.04, "quality/latency_s <= 0.04"),
        ("train/tokens_per_s >= 100 tokens/s", 100.0, "train/tokens_per_s >= 100"),
        ("eval/accuracy > 35 %", 0.35, "eval/accuracy > 0.35"),
    ],
)
def test_a_bound_may_have_a_unit_of_its_metric(text, bound, written):
    assert Limit.parse(text).bound == pytest.approx(bound, rel=1e-12) and str(Limit.parse(text)) == written


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "eval/loss <= 2 GiB",
            "'2 GiB' has a unit that eval/loss is not measured in\n  → write it without one",
        ),
        ("memory/peak_bytes <= 40 ms", "or in b, k, kb, kib"),
        ("quality/latency_s <= 40 MiB", "or in us, ms, s, min, h"),
        ("memory/peak_bytes <= 1e999 GiB", "is not a number for a limit"),
        ("memory/peak_bytes <= GiB", "'GiB' is not a number for a limit"),
    ],
)
def test_another_unit_is_told(text, told):
    with pytest.raises(SpecError) as error:
        Limit.parse(text)
    assert told in str(error.value)


@given(st.sampled_from(sorted({*METRICS} - {STRENGTH})), st.booleans(), FINITE, st.booleans())
def test_a_limit_is_read_as_it_is_written(metric, upper, bound, strict):
    limit = Limit(metric, upper, bound, strict)
    assert Limit.parse(str(limit)) == limit


@given(st.booleans(), st.booleans(), FINITE, FINITE)
def test_a_violation_is_above_zero_just_where_the_limit_is_broken(upper, strict, bound, value):
    limit = Limit("eval/loss", upper, bound, strict)
    assert (limit.measure_violation(value) > 0) == (not limit.keeps(value))
    assert (limit.measure_violation(bound) > 0) == strict


def test_violations_are_shares_of_the_bound_and_say_nothing_without_a_reading():
    texts = [
        "memory/alone_bytes <= 20 GiB",
        "train/tokens_per_s >= 100",
        "safety/toxicity <= 0",
        "eval/loss <= 2",
    ]
    read = {"memory/alone_bytes": 22 * 2**30, "train/tokens_per_s": 150.0, "safety/toxicity": 0.25}
    assert measure_violations(map(Limit.parse, texts), {**read, "eval/loss": float("nan")}) == {
        "memory/alone_bytes <= 20 GiB": pytest.approx(0.1),
        "train/tokens_per_s >= 100": pytest.approx(-0.5),
        "safety/toxicity <= 0": 0.25,
    }
