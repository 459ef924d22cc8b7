"""What is recommended parses, fits the card that it is for, names its sources, and moves the right way."""

from __future__ import annotations

import random
import tomllib
from dataclasses import replace

import pytest

from core.advise import spec_writer
from core.advise.study_recommendations import Plan, make_plan
from core.contract.spec import spec_file
from core.memory.estimate.pack_memory_estimate import make_setting
from core.memory.estimate.trial_tensor_sizes import compute_need
from core.memory.planning import space_extremes
from core.memory.planning.memory_advice import Case as Weighed
from tests.advise.cases import BASES, card, case, cpu


def value(found: Plan, knob: str):
    """What a plan says of a knob; a range's middle by its ends."""
    return next(line.value for line in found.lines if line.knob == knob)


def weighed(one, found: Plan) -> Weighed:
    """The largest trial of the recommended study, weighed as `trimtab fit` weighs it."""
    spec = spec_file.parse(found.convert_to_raw())

    def at(knobs) -> Weighed:
        return Weighed(
            one.base.model, make_setting(spec), compute_need(knobs), 1, one.device, one.limit.bytes_
        )

    return at(space_extremes.find_extremes(spec, lambda knobs: at(knobs).estimate().device_bytes)[1])


CARDS = {"llama-1b": 12, "qwen-7b": 24, "llama-70b": 80, "tiny": 4, "unheard-of": 16}


@pytest.mark.parametrize(("name", "gib"), CARDS.items())
def test_the_file_is_a_study_that_fits_its_card_by_the_memory_estimate(tmp_path, name, gib):
    one = case(tmp_path, name, card(gib))
    found = make_plan(one)
    assert found.fits and weighed(one, found).fits()
    text = spec_writer.write_page(found, "a test")
    assert tomllib.loads(text) == found.convert_to_raw(), "the comments change nothing"
    assert spec_file.parse(tomllib.loads(text))


@pytest.mark.parametrize("name", list(BASES))
def test_each_line_of_the_file_stands_below_its_reason_and_its_source(tmp_path, name):
    lines = spec_writer.write_page(make_plan(case(tmp_path, name)), "a test").splitlines()
    keys = [at for at, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert len(keys) >= 20
    for at in keys:
        assert lines[at - 1].startswith("# source: "), lines[at]
        first = next(back for back in range(at - 1, 0, -1) if not lines[back].startswith("# source: "))
        assert lines[first].startswith("# "), f"{lines[at]} has no reason"


def test_rates_lie_where_published_runs_found_them(tmp_path):
    for name, known in (("llama-1b", 1e-3), ("qwen-7b", 2e-4), ("llama-70b", 1e-4)):
        found = value(make_plan(case(tmp_path, name)), "learning_rate")
        assert 1e-5 < found["low"] < known < found["high"] < 1e-2 and found["log"], name


def test_a_larger_model_gets_a_lower_rate_and_a_short_run_a_higher_one(tmp_path):
    small, large = (make_plan(case(tmp_path, name)) for name in ("llama-1b", "llama-70b"))
    assert value(large, "learning_rate")["high"] < value(small, "learning_rate")["high"]
    short = make_plan(case(tmp_path, rows=150))
    assert value(short, "learning_rate")["high"] > value(small, "learning_rate")["high"]
    assert value(make_plan(case(tmp_path, "tiny")), "learning_rate")["high"] < 1e-2, (
        "not extrapolated without end"
    )
    assert "a short run" in next(line.why for line in short.lines if line.knob == "learning_rate")


def test_a_smaller_card_saves_memory_step_by_step(tmp_path):
    found = [make_plan(case(tmp_path, "qwen-7b", card(gib))) for gib in (80, 24, 12)]
    kept = [(value(one, "precision"), value(one, "gradient_checkpointing")) for one in found]
    assert kept == [("bf16", False), ("bf16", True), ("nf4", True)]
    assert value(found[2], "double_quant") is True
    why = next(line.why for line in found[1].lines if line.knob == "precision")
    assert "bf16 needs 2" in why, "what was too large is told with its size"


def test_fewer_rows_mean_fewer_steps_smaller_batches_and_a_lower_rank(tmp_path):
    few, some, many = (case(tmp_path, rows=rows) for rows in (300, 8000, 2_000_000))
    assert few.steps < some.steps < many.steps
    assert few.batch < some.batch < many.batch
    assert few.rank <= some.rank < many.rank
    assert few.whole_epochs > some.whole_epochs > many.whole_epochs
    assert many.needed_rank > many.room.rank
    assert "expect LoRA to learn less" in spec_writer.write_page(make_plan(many), "a test").replace(
        "\n# ", " "
    )


def test_little_time_means_fewer_trials_that_are_halved_and_then_shorter_ones(tmp_path):
    hours = (0.02, 0.3, 2.0, 24.0)
    found = [case(tmp_path, where=card(40, "NVIDIA A100-SXM4-40GB"), hours=hour) for hour in hours]
    trials = [one.trials for one in found]
    assert trials == sorted(trials) and trials[0] < trials[-1]
    assert value(make_plan(found[0]), "pruner") == "halving"
    assert value(make_plan(found[-1]), "pruner") != "halving"
    assert found[0].epochs < found[-1].epochs, "where six trials are too many, each is cut short"
    assert value(make_plan(found[0]), "stop_after")["hours"] == 0.02


def test_an_unknown_card_says_that_its_speed_is_unknown(tmp_path):
    why = next(line.why for line in make_plan(case(tmp_path, hours=3)).lines if line.knob == "trials")
    assert "unknown until the study has run for a minute" in why


@pytest.mark.parametrize(
    ("trials", "sampler"), [(6, "qmc"), (24, "gp"), (100, "gp"), (400, "tpe"), (2000, "cmaes")]
)
def test_the_sampler_follows_the_budget(tmp_path, trials, sampler):
    found = make_plan(case(tmp_path, trials=trials))
    assert value(found, "sampler") == sampler and value(found, "trials") == trials
    assert spec_file.parse(found.convert_to_raw()).study.trials == trials


def test_many_trials_feed_hyperband_and_few_search_fewer_knobs(tmp_path):
    assert value(make_plan(case(tmp_path, trials=100)), "pruner") == "hyperband"
    assert len(case(tmp_path, trials=6).knobs) == 1 < len(case(tmp_path, trials=30).knobs)


def test_a_card_that_holds_nothing_is_told_and_still_answered(tmp_path):
    found = make_plan(case(tmp_path, "llama-70b", card(16)))
    assert not found.fits
    why = next(line.why for line in found.lines if line.knob == "precision")
    assert why.startswith("NOTHING FITS") and "nf4 with checkpointing needs 4" in why
    assert spec_file.parse(found.convert_to_raw())


def test_only_long_rows_are_cut_to_what_fits_with_the_share_that_is_cut(tmp_path):
    one = case(tmp_path, "qwen-7b", card(12), lengths=(30_000, 31_000, 60_000))
    found = make_plan(one)
    length = value(found, "sequence_length")
    assert 64 <= length < 30_000 and found.fits and weighed(one, found).fits()
    why = next(line.why for line in found.lines if line.knob == "sequence_length")
    assert "100% of the rows are longer" in why and "32768 does not fit" in why


@pytest.mark.parametrize("rows", [1, 2, 7, 40])
def test_a_handful_of_rows_on_a_cpu_is_answered(tmp_path, rows):
    found = make_plan(case(tmp_path, "tiny", cpu(), rows=rows))
    assert spec_file.parse(found.convert_to_raw())
    assert value(found, "precision") == "fp32" and value(found, "devices") == "cpu"
    assert any("small gaps are noise" in doubt for doubt in found.doubts)


def test_families_that_are_not_known_are_answered_with_the_doubt(tmp_path):
    assert any(
        "trimtab fit` traces the model" in doubt for doubt in make_plan(case(tmp_path, "unheard-of")).doubts
    )


@pytest.mark.parametrize(("name", "experts"), [("mixture", 8), ("nested", 64)])
def test_a_mixture_of_experts_is_answered_roughly(tmp_path, name, experts):
    one = case(tmp_path, name, card(80))
    found = make_plan(one)
    assert any(f"a mixture of {experts} experts" in doubt for doubt in found.doubts)
    assert one.base.model.parameters > 2 * one.base.active > 0
    assert spec_file.parse(found.convert_to_raw())


def test_a_device_that_does_not_say_its_memory_is_answered(tmp_path):
    found = make_plan(case(tmp_path, where=card(0)))
    assert spec_file.parse(found.convert_to_raw()) and value(found, "precision") == "bf16"


@pytest.mark.parametrize("goal", ["eval/accuracy", "quality/f1", "security/exposure", "memory/alone_bytes"])
def test_any_goal_gives_a_study_that_can_run(tmp_path, goal):
    spec = spec_file.parse(make_plan(case(tmp_path, goal=goal)).convert_to_raw())
    assert spec.study.objectives[0].metric == goal


def test_an_old_card_without_bfloat16_gets_fp32_or_nf4(tmp_path):
    """fp16 would need a loss scale."""
    assert value(make_plan(case(tmp_path, where=card(16, "Tesla T4"))), "precision") == "fp32"
    assert value(make_plan(case(tmp_path, "qwen-7b", card(24, "Tesla T4"))), "precision") == "nf4"


def test_no_more_rows_are_held_back_than_judge(tmp_path):
    for rows, share in ((100, 0.2), (2000, 0.1), (1_000_000, 0.0002)):
        one = case(tmp_path, rows=rows)
        assert value(make_plan(one), "validation") == share and one.train_rows + one.held_out_rows == rows


def test_rows_that_are_asked_for_are_trained_on_and_the_others_left(tmp_path):
    one = case(tmp_path, rows=8000)
    fewer = replace(one, wish=replace(one.wish, rows=1000))

    assert make_plan(fewer).convert_to_raw()["data"]["rows"] == 1000 and fewer.steps < one.steps


def test_whatever_is_asked_the_answer_is_a_study_and_what_it_says_fits_does(tmp_path):
    dice = random.Random(7)
    for _ in range(60):
        where = dice.choice([*(card(gib, dice.choice(["", "H100"])) for gib in (1, 8, 24, 180)), cpu()])
        lengths = sorted(dice.randint(2, dice.choice([50, 50_000])) for _ in range(dice.choice([1, 50])))
        wish = {"hours": dice.choice([None, 0.001, 5, 1000]), "trials": dice.choice([None, 1, 30, 5000])}
        rows = dice.choice([1, 3, 500, 10**7])
        one = case(tmp_path, dice.choice(list(BASES)), where, rows, tuple(lengths), **wish)
        found = make_plan(one)
        assert spec_file.parse(tomllib.loads(spec_writer.write_page(found, "a test")))
        assert not found.fits or weighed(one, found).fits(), (one.base.name, where, rows, lengths, wish)
