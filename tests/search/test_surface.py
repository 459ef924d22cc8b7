"""On a recorded surface of really trained trials the search is Optuna's own, and better than chance."""

from __future__ import annotations

import statistics
import warnings

import optuna
import pytest

from tests.bench.surface import COUNTED, CURVE, KNOBS, SPACE, Surface
from tests.bench.surface_replay import ours, plain
from tests.matrix import rest_slow

BUDGET = 16 * CURVE[-1]


@pytest.fixture(scope="module")
def surface():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return Surface()


@pytest.fixture(autouse=True)
def no_marks_of_what_is_experimental():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def test_the_table_holds_what_was_trained(surface):
    assert len(surface) >= 300 and set(surface.points[0]) == set(SPACE) == set(COUNTED)
    assert len({tuple(point.values()) for point in surface.points}) == len(surface), "each is trained once"
    assert all(len(curve) == len(CURVE) for curve in surface.curves)
    assert surface.blind > 2 * surface.best, "configurations differ clearly"


def test_a_recorded_configuration_stands_for_itself_and_for_what_is_near(surface):
    for index in (0, 100, 1000):
        point = surface.points[index]
        near = {**point, "learning_rate": point["learning_rate"] * 1.0001}
        assert surface.nearest(point) == surface.nearest(near) == index
        other = {**point, "scheduler": "constant" if point["scheduler"] == "cosine" else "cosine"}
        assert surface.points[surface.nearest(other)]["scheduler"] == other["scheduler"]
    assert tuple(point) == KNOBS


@pytest.mark.parametrize("pruner", ["none", "median", "halving", "hyperband"])
@pytest.mark.parametrize("sampler", rest_slow(["tpe", "random", "nsga2", "grid"]))
def test_trials_are_those_of_plain_optuna(sampler, pruner, surface):
    for seed in (0, 1):
        mine, theirs = (one(surface, sampler, pruner, seed, BUDGET) for one in (ours, plain))
        assert mine.asked == theirs.asked and mine.ends == theirs.ends
        assert mine.pruned == theirs.pruned and (mine.pruned > 0) == (pruner != "none")


def test_a_study_on_the_disk_proposes_the_same_as_one_in_memory(surface):
    """With trials side by side, of which TPE learns; the other samplers are in ``test_alike``."""
    disk, memory = (
        ours(surface, "tpe", "halving", 0, BUDGET // 4, at_once=4, sqlite=sqlite) for sqlite in (True, False)
    )
    assert disk.asked == memory.asked and disk.ends == memory.ends and disk.pruned == memory.pruned > 0


def test_tpe_ends_nearer_to_the_best_than_chance(surface):
    budget = 24 * CURVE[-1]
    mean = {
        sampler: statistics.mean(
            ours(surface, sampler, "none", seed, budget).best(budget) for seed in range(12)
        )
        for sampler in ("tpe", "random")
    }
    assert surface.best <= mean["tpe"] <= mean["random"]  # by 0.115 on average when this was written


def test_the_budget_is_kept_and_counted(surface):
    course = ours(surface, "random", "halving", 0, 400, at_once=8)
    assert 400 - CURVE[0] < course.spent <= 400
    assert [at for at, _ in course.ends] == sorted(at for at, _ in course.ends)
    assert course.best(0) == float("inf") and course.best(400) >= surface.best
