"""What every sampler of the factory must do."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna._transform import _SearchSpaceTransform

from core.contract.spec import spec_file
from core.contract.spec.search_space import Choice
from core.contract.spec.study_spec import COUNTED
from core.contract.spec.study_spec import SAMPLERS as NAMES
from core.errors import SpecError
from core.search.optuna_space import make_distributions
from core.search.samplers import gp_sampler
from core.search.samplers.cma_replay_sampler import CmaSampler
from core.search.samplers.sampler_choice import SAMPLERS
from tests.search import studies

GOALS = ["eval/loss", "train/tokens_per_s"]
SEVERAL = [name for name in NAMES if name != "cmaes"]


def run(oracle, count, values=lambda one: [studies.quadratic(one)]):
    proposals = []
    for _ in range(count):
        proposal = oracle.ask(oracle.count())
        if proposal is None:
            break
        oracle.tell(proposal.number, "complete", values(proposal))
        proposals.append(proposal)
    return proposals


def test_the_factory_knows_every_sampler_of_the_spec():
    assert set(SAMPLERS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_proposals_stay_inside_the_space(name, tmp_path):
    oracle = studies.oracle(tmp_path, name)
    proposals = run(oracle, 9)
    assert len(proposals) == (8 if name in COUNTED else 9)
    for proposal in proposals:
        assert proposal.why.startswith(f"{name}: ")
        for knob, dimension in oracle.spec.space.items():
            value = proposal.params[knob]
            if isinstance(dimension, Choice):
                assert value in dimension.values
            else:
                assert dimension.low <= value <= dimension.high


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_first_proposals(name, tmp_path):
    def first(where, seed):
        oracle = studies.oracle(tmp_path / where, name, seed=seed)
        return [one.params for one in run(oracle, 3)]

    begun = first("a", 7)
    assert first("b", 7) == begun and first("c", 8) != begun


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_goes_on_does_not_begin_again(name, tmp_path):
    before = [one.params for one in run(studies.oracle(tmp_path, name), 3)]
    after = [one.params for one in run(studies.oracle(tmp_path, name), 3)]
    assert not any(one in before for one in after)


@pytest.mark.parametrize("name", SEVERAL)
def test_several_objectives_with_pruned_and_infeasible_trials(name, tmp_path):
    oracle = studies.oracle(tmp_path, name, objectives=GOALS)
    for index, end in enumerate(["pruned", "infeasible", "failed", "complete", "complete", "complete"]):
        proposal = oracle.ask(index)
        assert oracle.report(index, 10, {"eval/loss": 1.0}) is None
        oracle.tell(index, end, [studies.quadratic(proposal) if name not in COUNTED else 1.0, 5.0])
    assert oracle.ask(6).number == 6
    assert [direction.name for direction in oracle.study.directions] == ["MINIMIZE", "MAXIMIZE"]


@pytest.mark.parametrize("name", NAMES)
def test_a_fixed_knob_stands_still_and_the_others_move(name, tmp_path):
    oracle = studies.oracle(tmp_path, name, fixed={"lora_rank": 8})
    proposals = run(oracle, 5)
    assert {proposal.params["lora_rank"] for proposal in proposals} == {8}
    others = {str({**proposal.params, "lora_rank": 0}) for proposal in proposals}
    assert len(others) == len(proposals) == (2 if name in COUNTED else 5), "a grid ends with its two cells"
    assert all(proposal.why.endswith("; fixed: lora_rank = 8") for proposal in proposals)


@pytest.mark.parametrize("name", COUNTED)
def test_a_grid_that_goes_on_with_a_knob_fixed_has_the_cells_of_that(name, tmp_path):
    run(studies.oracle(tmp_path, name), 8)
    again = studies.oracle(tmp_path, name, fixed={"lora_rank": 8})
    assert len(run(again, 8)) == (2 if name == "grid" else 0), "brute force knows that both were tried"


def test_a_list_of_modules_can_be_fixed(tmp_path):
    fixed = {"target_modules": ["q_proj", "v_proj"]}
    oracle = studies.oracle(tmp_path, "tpe", fixed=fixed)
    assert [one.params["target_modules"] for one in run(oracle, 5)] == [["q_proj", "v_proj"]] * 5


def test_brute_force_tries_each_point_once_whatever_else_the_storage_holds(tmp_path):
    oracle = studies.oracle(tmp_path, "bruteforce")
    oracle.study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))  # an unknown one
    other = {"lora_rank": optuna.distributions.IntDistribution(1, 99)}
    oracle.study.add_trial(
        optuna.trial.create_trial(value=1.0, params={"lora_rank": 50}, distributions=other)
    )
    lost = oracle.ask(2).params  # its process died before it was handed out
    points = [oracle.ask(number).params for number in (2, *range(4, 11))]
    assert len({str(point) for point in points}) == 8 and lost in points
    assert oracle.ask(11) is None


@pytest.mark.parametrize(
    ("name", "goals"),
    [(name, GOALS[:1]) for name in NAMES] + [(name, GOALS) for name in ("tpe", "gp", "nsga3")],
)
def test_constraints_that_only_some_trials_have_a_reading_for(name, goals, tmp_path):
    """A board that was scored for half of the trials, and pruned trials among them."""
    startup = 4 if name == "gp" else 2  # its fits cost a second each: two of them
    oracle = studies.oracle(tmp_path, name, objectives=goals, startup_trials=startup)
    for index in range(6):
        oracle.ask(index)
        oracle.constrain(index, "memory/alone_bytes <= 1 GiB", index / 10 - 0.2)
        if index % 2:
            oracle.constrain(index, "safety/toxicity <= 0.1", 0.5 - index / 10)
        oracle.report(index, 10, {"eval/loss": 1.0})
        ends = ("pruned", []) if index == 3 else ("complete", [1.0 + index, 5.0][: len(goals)])
        oracle.tell(index, *ends)
        oracle.constrain(index, "safety/toxicity <= 0.1", 9.0)  # too late: it has ended
    assert oracle.ask(6).number == 6
    found = oracle.study.trials[3].constraints
    assert found == {"memory/alone_bytes <= 1 GiB": pytest.approx(0.1), "safety/toxicity <= 0.1": 0.2}


def test_cmaes_says_that_it_takes_one_objective():
    with pytest.raises(SpecError, match=r"sampler = 'cmaes' needs a single objective"):
        spec_file.parse(studies.raw("cmaes", objectives=["eval/loss", "eval/accuracy"]))


def test_cmaes_replayed_from_the_trials_equals_optunas_own(tmp_path):
    """Its state is rebuilt from the trials instead of a pickle: the numbers must be the same."""
    space = {name: one for name, one in studies.SPACE.items() if name != "target_modules"}
    oracle = studies.oracle(tmp_path, "cmaes", space, startup_trials=1)
    oracle.study.sampler = theirs = optuna.samplers.CmaEsSampler(n_startup_trials=1, seed=3)
    run(oracle, 26)  # three generations of 7 and a start
    told = oracle.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    trans = _SearchSpaceTransform(make_distributions(oracle.spec.space), transform_0_1=True)
    ours = CmaSampler(n_startup_trials=1, seed=3)
    assert ours._restore_optimizer(told) is None
    rebuilt, unpickled = ours._init_optimizer(trans, oracle.study.direction), theirs._restore_optimizer(told)
    assert rebuilt.generation == unpickled.generation == 3
    for name in ("_mean", "_C", "_sigma", "_p_sigma", "_pc"):
        np.testing.assert_allclose(getattr(rebuilt, name), getattr(unpickled, name), rtol=1e-9)


def test_cmaes_kept_in_memory_equals_one_replayed(tmp_path):
    space = {name: one for name, one in studies.SPACE.items() if name != "target_modules"}
    oracle = studies.oracle(tmp_path, "cmaes", space, startup_trials=1)
    run(oracle, 17)
    again = studies.oracle(tmp_path, "cmaes", space, startup_trials=1)
    run(again, 1)
    kept, replayed = oracle.study.sampler._kept, again.study.sampler._kept
    assert kept.generation == replayed.generation == 2
    np.testing.assert_allclose(kept._mean, replayed._mean, rtol=1e-9)
    np.testing.assert_allclose(kept._C, replayed._C, rtol=1e-9)


def test_gp_looks_at_the_best_and_the_latest_of_a_long_history_and_says_so(tmp_path, monkeypatch):
    oracle = studies.oracle(tmp_path, "gp", startup_trials=10)
    ends = {3: ("pruned", []), 6: ("pruned", [])}
    for number in range(10):
        oracle.ask(number)
        oracle.constrain(number, "memory", 0.5 if number == 0 else -0.5)
        oracle.report(number, 10, {"eval/loss": float(number)})
        oracle.tell(number, *ends.get(number, ("complete", [float(number)])))
    fitted = []
    monkeypatch.setattr(
        gp_sampler.GPSampler, "_sample_relative_impl", lambda *given: fitted.extend(given[2]) or {}
    )
    oracle.study.sampler._n_startup_trials, oracle.study.sampler.history = 8, 6
    why = oracle.ask(10).why
    assert why == "gp: from 6 of 10 trials, the best and the latest"
    assert sorted(one.value for one in fitted) == [1.0, 2.0, 4.0, 7.0, 8.0, 9.0], "0 broke a constraint"


@pytest.mark.parametrize(
    ("name", "said"), [("tpe", "from 3 trials"), ("gp", "random start, 0 of 3 trials have results")]
)
def test_the_reason_counts_what_the_sampler_learns_from(name, said, tmp_path):
    """TPE begins with pruned trials as well; the GP waits for complete ones."""
    oracle = studies.oracle(tmp_path, name)
    for number in range(3):
        oracle.ask(number)
        oracle.report(number, 10, {"eval/loss": float(number)})
        oracle.tell(number, "pruned", [])
    assert oracle.ask(3).why == f"{name}: {said}"


def test_cmaes_stores_no_pickle(tmp_path):
    oracle = studies.oracle(tmp_path, "cmaes", startup_trials=1)
    run(oracle, 16)
    stored = {key for trial in oracle.study.trials for key in trial.system_attrs}
    assert any("generation" in key for key in stored) and not any("optimizer" in key for key in stored)


def test_tpe_keeps_away_from_infeasible_trials(tmp_path):
    oracle = studies.oracle(tmp_path, "tpe", {"lora_rank": {"low": 1, "high": 64}})
    ranks = []
    for number in range(30):
        proposal = oracle.ask(number)
        rank = proposal.params["lora_rank"]
        ranks.append(rank)
        if rank > 32:
            oracle.tell(number, "infeasible", [])
        else:
            oracle.tell(number, "complete", [abs(rank - 8.0)])
    assert sum(rank > 32 for rank in ranks[15:]) <= 4  # a blind sampler: 7 to 8 of 15


def test_gp_does_not_propose_a_pruned_point_again(tmp_path):
    space = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    oracle = studies.oracle(tmp_path, "gp", space, pruner="median")
    rates = []
    for number in range(8):
        rate = oracle.ask(number).params["learning_rate"]
        distance = abs(np.log10(rate) + 3.5)
        oracle.report(number, 10, {"eval/loss": distance})
        if number < 4:
            oracle.tell(number, "complete", [distance])
        else:
            oracle.tell(number, "pruned" if number % 2 else "infeasible", [])
            rates.append(np.log10(rate))
    gaps = [abs(rate - other) for index, rate in enumerate(rates) for other in rates[:index]]
    assert min(gaps) > 0.01, rates


def test_tpe_learns_from_how_much_a_limit_is_violated(tmp_path):
    """The larger the better, but above 32 there is no room: proposals stay near and mostly below."""
    oracle = studies.oracle(tmp_path, "tpe", {"lora_rank": {"low": 1, "high": 64}})
    ranks = []
    for number in range(30):
        rank = oracle.ask(number).params["lora_rank"]
        ranks.append(rank)
        oracle.constrain(number, "memory", rank / 32 - 1)
        if rank > 32:
            oracle.tell(number, "infeasible", [])
        else:
            oracle.tell(number, "complete", [-float(rank)])
    assert oracle.study.trials[0].constraints == {"memory": ranks[0] / 32 - 1}
    assert oracle.study.best_params["lora_rank"] >= 28
    assert sum(rank > 32 for rank in ranks[15:]) <= 7, "a blind sampler that follows the curve: nearly all"


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - set(COUNTED)))
def test_a_knob_with_a_condition_is_searched_only_where_it_holds(tmp_path, sampler):
    space = {
        "optimizer": ["adamw", "sgd"],
        "weight_decay": {"low": 0.01, "high": 0.1, "when": {"optimizer": "adamw"}, "otherwise": 0.0},
        "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    }
    count, startup = (8, 5) if sampler == "gp" else (16, 3)  # whose fits cost a second each
    oracle = studies.oracle(tmp_path, sampler, space, startup_trials=startup)
    seen = set()
    for number in range(count):
        proposal = oracle.ask(number)
        searched = "weight_decay" in proposal.params
        assert searched == (proposal.knobs["optimizer"] == "adamw")
        assert proposal.knobs["weight_decay"] == proposal.params.get("weight_decay", 0.0)
        seen.add(searched)
        oracle.tell(number, "complete", [proposal.knobs["weight_decay"] + proposal.knobs["learning_rate"]])
    assert seen == {True, False}


def test_tpe_keeps_away_from_what_breaks_a_board_s_constraint(tmp_path):
    """The largest ranks are the best, and too toxic: they are proposed less often than without it."""
    limit, large = "safety/toxicity <= 0.02", {}
    for constrained in (False, True):
        oracle = studies.oracle(tmp_path / str(constrained), "tpe", startup_trials=10)
        ranks = []
        for index in range(40):
            ranks.append(oracle.ask(index).params["lora_rank"])
            if constrained:
                oracle.constrain(index, limit, ranks[-1] / 8 - 1)
            oracle.tell(index, "complete", [1 / ranks[-1]])
        large[constrained] = sum(rank > 8 for rank in ranks[10:])
    assert large[True] < large[False] / 2
