"""A population that cannot be, or would do nothing, is refused with the reason."""

from __future__ import annotations

import pytest

from core.contract.edits import spec_changes
from core.contract.spec import spec_file
from core.errors import SpecError
from tests.daemon.conftest import raw_study

GOOD = {
    "study": {"trials": 8, "population": {}},
    "space": {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}},
    "train": {"steps": 100},
    "resources": {"pack": 8},
}


def told(**sections) -> str:
    merged = {name: {**GOOD.get(name, {}), **sections.get(name, {})} for name in {*GOOD, *sections}}
    with pytest.raises(SpecError) as error:
        raw_study(**merged)
    return str(error.value)


def test_a_population_is_read_written_and_may_change_while_it_trains():
    raw = raw_study(**GOOD)
    assert spec_file.parse(raw).study.population.factors == (0.8, 1.25)
    assert spec_file.convert_to_raw(spec_file.parse(raw)) == raw
    after = spec_changes.merge_changes(raw, {"study": {"population": {"every": 4, "factors": [0.5, 2]}}})
    assert spec_file.parse(after).study.population.every == 4
    assert "population" not in raw_study()["study"]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"study": {"objectives": ["eval/loss", "train/tokens_per_s"]}}, "needs a single objective"),
        ({"study": {"pruner": "median"}}, "pruner = 'median' with a population"),
        ({"study": {"trials": 3}}, "a population of 3 trials"),
        ({"study": {"population": {"size": 9}}}, "population.size = 9 is more than study.trials = 8"),
        ({"study": {"population": {"size": 3}}}, "population"),
        ({"study": {"population": {"quantile": 0.1}}}, "0.1 of 8 trials is less than one trial"),
        ({"study": {"population": {"quantile": 0.6}}}, "population.quantile = 0.6"),
        ({"study": {"population": {"factors": []}}}, "population.factors"),
        ({"study": {"population": {"evry": 2}}}, "did you mean 'every'?"),
        ({"study": {"population": {"every": 20}}}, "first compares at step 100, and trials end at 100"),
        ({"study": {"fixed": {"learning_rate": 1e-3}}}, "no knob of [space] can change in a clone"),
        ({"space": {"epochs": [1, 2]}}, "epochs in [space]"),
        ({"space": {"batch_size": [2, 4]}, "train": {"steps": None}}, "batch_size in [space]"),
        ({"resources": {"pack": 4}}, "resources.pack has 4 slots for a population of 8"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(sections, said):
    assert said in told(**sections)


def test_batches_may_differ_where_the_number_of_steps_is_fixed():
    raw_study(**{**GOOD, "space": {**GOOD["space"], "batch_size": [2, 4]}})
