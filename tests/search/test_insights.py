"""Importance, sampler and rungs, from a real storage read by a real process of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import sqlite3

import msgspec
import pytest

from core.contract.spec import spec_file
from core.contract.wire.search_state import FEWEST, Importance, SearchState
from core.errors import TrimtabError
from core.search.process import storage_reader_client
from core.search.process.search_client import Search
from core.search.process.storage_reader import Reader
from core.search.study.optuna_study import OptunaStudy
from tests.search import studies

pytestmark = pytest.mark.filterwarnings("ignore")  # Optuna's experimental marks

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "lora_dropout": {"low": 0.0, "high": 0.5},
    "lora_rank": {"low": 2, "high": 16, "step": 2},
}


def spec_of(folder, *arguments, **study):
    """A study in a journal file; that a reader finds the same in SQLite is ``test_alike``'s."""
    return studies.spec(*arguments, **{"storage": studies.journal(folder), **study})


def run(folder, spec, count, value, steps=()):
    """``count`` trials of ``spec``; each reports at ``steps`` and ends with its value, or where it is cut."""
    oracle = OptunaStudy(spec_file.convert_to_raw(spec), str(folder))
    for number in range(count):
        proposal = oracle.ask(number)
        told = value(proposal)
        state, values = "complete", [told]
        for step in steps:
            if oracle.report(number, step, {"eval/loss": told + 1 / step}):
                state, values = "pruned", []
                break
        oracle.tell(number, state, values)
    return spec


def quadratic(proposal):
    """The learning rate decides, the rank matters a little, dropout not at all."""
    rate = math.log10(proposal.knobs["learning_rate"])
    return (rate + 3.5) ** 2 + (proposal.knobs["lora_rank"] - 8) ** 2 / 640


def importance(spec, folder, method="ped-anova", objective=0):
    """As the process answers, without the process."""
    return msgspec.convert(
        Reader(spec_file.convert_to_raw(spec), str(folder)).compute_importance(method, objective), Importance
    )


def state(spec, folder):
    """As the process answers, without the process."""
    return msgspec.convert(Reader(spec_file.convert_to_raw(spec), str(folder)).state(), SearchState)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a study 100%"  # SQLite's address must bear it
    path.mkdir()
    return path


async def test_the_knob_that_decides_comes_first(folder):
    spec = run(folder, spec_of(folder, "random", SPACE), 60, quadratic)
    found = await storage_reader_client.ask_importance(spec, folder, "ped-anova", 0)
    assert next(iter(found.shares)) == "learning_rate" and list(found.shares)[-1] == "lora_dropout"
    assert sum(found.shares.values()) == pytest.approx(1.0) and found.shares["learning_rate"] > 0.5
    assert (found.trials, found.known, found.early, found.objective) == (60, 60, 0, "eval/loss")
    assert found.asks == "of what sets the best 10 % apart from all trials" and not found.why_none
    again = await storage_reader_client.ask_importance(spec, folder, "ped-anova", 0)
    assert again == found, "the same trials give the same shares"


def test_trials_that_were_stopped_early_count_with_their_last_reading(folder):
    spec = run(folder, spec_of(folder, "random", SPACE, pruner="median"), 30, quadratic, (10, 20, 30))
    found = importance(spec, folder, "ped-anova", 0)
    assert found.trials == 30 and 0 < found.early < 30 and next(iter(found.shares)) == "learning_rate"


@pytest.mark.parametrize(
    ("space", "count", "value", "why"),
    [
        (SPACE, FEWEST - 1, quadratic, "9 trials have a value, at least 10 are needed"),
        (SPACE, FEWEST, lambda proposal: 1.5, "all 10 trials have the same value 1.5"),
        ({"lora_rank": [2, 4, 8]}, 3, lambda proposal: 1.0, "only lora_rank is searched"),
        ({}, 1, lambda proposal: 1.0, "no knob is searched"),
    ],
)
def test_where_nothing_can_be_told_the_reason_is(folder, space, count, value, why):
    spec = run(folder, spec_of(folder, "random", space), count, value)
    found = importance(spec, folder, "ped-anova", 0)
    assert not found.shares and why in found.why_none


def test_fanova_says_what_it_needs_or_finds_the_same_knob(folder):
    spec = run(folder, spec_of(folder, "random", SPACE), 40, quadratic)
    found = importance(spec, folder, "fanova", 0)
    if importlib.util.find_spec("sklearn") is None:
        assert "pip install scikit-learn" in found.why_none and not found.shares
    else:
        assert next(iter(found.shares)) == "learning_rate"
    assert "no method" in (importance(spec, folder, "guess", 0)).why_none


def test_each_objective_has_its_own_shares(folder):
    spec = spec_of(folder, "random", SPACE, objectives=["eval/loss", "eval/accuracy"])
    oracle = OptunaStudy(spec_file.convert_to_raw(spec), str(folder))
    for number in range(40):
        one = oracle.ask(number)
        oracle.tell(number, "complete", [quadratic(one), one.knobs["lora_dropout"]])
    first, second = [importance(spec, folder, "ped-anova", place) for place in (0, 1)]
    assert next(iter(first.shares)) == "learning_rate"
    assert next(iter(second.shares)) == "lora_dropout" and second.objective == "eval/accuracy"
    with pytest.raises(TrimtabError):
        importance(spec, folder, "ped-anova", 2)


async def test_a_look_changes_nothing_and_needs_no_other_process_to_leave(folder):
    spec = studies.spec("tpe", SPACE)
    search = Search(spec, folder)
    await search.open()
    for _ in range(FEWEST):
        one = await search.ask()
        await search.tell(one.number, "complete", (quadratic(one),))
    before = (folder / "optuna.db").read_bytes()
    found, _ = await asyncio.gather(
        storage_reader_client.ask_importance(spec, folder, "ped-anova", 0),
        storage_reader_client.ask_state(spec, folder),
    )
    assert found.shares and (folder / "optuna.db").read_bytes() == before
    assert found == importance(spec, folder) and (folder / "optuna.db").read_bytes() == before
    assert (await search.ask()).number == FEWEST
    await search.close()


async def test_a_storage_that_is_gone_is_told_and_not_made_anew(folder):
    with pytest.raises(TrimtabError) as caught:
        await storage_reader_client.ask_state(studies.spec("tpe", SPACE), folder)
    assert "cannot be read" in caught.value.problems[0].what and not (folder / "optuna.db").exists()
    sqlite3.connect(folder / "optuna.db").close()
    with pytest.raises(TrimtabError):
        await storage_reader_client.ask_state(studies.spec("tpe", SPACE), folder)


async def test_rungs_tell_who_went_on_and_who_was_stopped(folder):
    steps = (10, 20, 40, 80, 160)
    spec = run(folder, spec_of(folder, "random", SPACE, pruner="halving"), 24, quadratic, steps)
    found = await storage_reader_client.ask_state(spec, folder)
    assert [rung.step for rung in found.rungs] == [10, 40, 160] and not found.why_no_rungs
    first, second, third = found.rungs
    assert len(first.entries) == 24 and {entry.fate for entry in first.entries} == {"promoted", "stopped"}
    assert {entry.trial for entry in second.entries} == {
        entry.trial for entry in first.entries if entry.fate == "promoted"
    }
    assert {entry.fate for entry in third.entries} <= {"complete", "stopped"}
    values = [entry.value for entry in first.entries]
    assert values == sorted(values), "the best first"
    assert max(entry.value for entry in first.entries if entry.fate == "promoted") > values[0]


def test_hyperband_has_brackets_whose_first_rungs_lie_higher(folder):
    steps = (10, 30, 90, 270)
    spec = run(folder, spec_of(folder, "random", SPACE, pruner="hyperband"), 30, quadratic, steps)
    found = state(spec, folder)
    brackets = {rung.bracket for rung in found.rungs}
    assert len(brackets) > 1
    for one in found.rungs:
        assert one.step == 10 * 3 ** (one.bracket + one.rung)


@pytest.mark.parametrize(
    ("pruner", "why"),
    [("median", "the pruner is median"), ("halving", "no trial has reached the first rung")],
)
def test_without_rungs_the_reason_is_told(folder, pruner, why):
    spec = run(folder, spec_of(folder, "random", SPACE, pruner=pruner), 2, quadratic)
    found = state(spec, folder)
    assert not found.rungs and why in found.why_no_rungs


@pytest.mark.parametrize(
    ("sampler", "lines"),
    [
        ("tpe", ["4 trials", "finished after 3 trials"]),
        ("gp", ["4 trials", "finished after 3 trials"]),
        ("cmaes", ["4 trials", "finished after 3 trials", "0: 1 of 7 trials"]),
        ("nsga2", ["4 trials", "0: 4 of 8 trials"]),
        ("random", ["does not learn"]),
        ("qmc", ["Sobol"]),
        ("grid", ["4 untried points"]),
        ("bruteforce", ["4 untried points"]),
    ],
)
def test_the_sampler_says_how_it_stands(folder, sampler, lines):
    space = studies.GRID if sampler in ("grid", "bruteforce") else SPACE
    spec = spec_of(folder, sampler, space, startup_trials=3)
    run(folder, spec, 4, lambda proposal: float(proposal.number))
    told = " | ".join(f"{name} {text}" for name, text in (state(spec, folder)).sampler)
    assert all(line in told for line in [*lines, f"sampler {sampler}", "seed 0"]), told


def test_the_random_start_is_told_while_it_lasts(folder):
    spec = run(folder, spec_of(folder, "tpe", SPACE, startup_trials=5), 2, quadratic)
    told = dict((state(spec, folder)).sampler)
    assert told["random start"] == "2 of 5 trials have results" and told["learns from"] == "2 trials"
