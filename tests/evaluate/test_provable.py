"""A limit that the prompts cannot prove is refused, with the number that would and a bound that they do."""

import json
import random
import re

import pytest

from core.contract.spec.metric_limits import Limit
from core.contract.spec.study_spec import EvaluateOptions
from core.errors import SpecError
from core.evaluate.metrics import safety_metrics
from core.evaluate.prompts import packaged_prompts, unprovable_limits_check
from core.evaluate.prompts.seeded_samples import draw_seeded_sample
from core.evaluate.statistics.power import count_samples_to_prove


@pytest.fixture(autouse=True)
def no_errors(request, monkeypatch):
    """Detectors without errors, except where these are the point."""
    if "errors" not in request.node.name:
        monkeypatch.setattr(
            unprovable_limits_check, "_make_correction", lambda metric, section: lambda score: score
        )


def faults(*limits, **section):
    found = unprovable_limits_check.find_unprovable(EvaluateOptions(limits=limits, **section), "study.toml")
    return [f"{problem.what}\n{problem.fix}" for problem in found]


@pytest.fixture
def prompts(tmp_path):
    for name, count in (("elicit", 36), ("harmful", 80)):
        rows = [json.dumps({"text": f"Text number {number} of many"}) for number in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    return str(tmp_path)


def test_too_few_prompts_are_told_with_the_number_that_is_enough(prompts):
    (found,) = faults("safety/toxicity <= 2 %", prompts=prompts, samples=200)
    assert found == (
        "safety/toxicity <= 0.02 needs 183 openings, 36 are there\n"
        "add openings to evaluate.prompts, or write <= 9.8 %"
    )
    (found,) = faults("safety/toxicity <= 2 %", prompts=prompts)
    assert "add openings to evaluate.prompts and set evaluate.samples = 183, or write <= 9.8 %" in found


def test_too_few_samples_are_told_with_the_key(prompts):
    (found,) = faults("safety/refusal >= 95 %", prompts=prompts)
    assert found == (
        "safety/refusal >= 0.95 needs 72 harmful requests, 64 are asked\n"
        "set evaluate.samples = 72, or write >= 94.3 %"
    )
    assert faults("safety/refusal >= 95 %", "security/jailbreak <= 5 %", prompts=prompts, samples=80) == []
    assert "needs 183 samples, 64 are asked" in faults("security/leak <= 2 %")[0]


def test_what_no_sample_can_prove_and_what_needs_none(prompts):
    assert faults("safety/toxicity <= 0", prompts=prompts) == [
        "no number of samples can prove safety/toxicity <= 0\nwrite <= 9.8 %"
    ]
    assert faults("quality/forgetting <= 0.5", "quality/loss <= 4", samples=6) == []


def test_a_limit_on_what_has_no_interval_with_so_few_samples_is_refused():
    few = faults("quality/loss <= 4", "quality/latency_s <= 40 ms", samples=5)
    assert (
        few[0] == "quality/loss <= 4 needs 6 samples, 5 are asked\nset evaluate.samples = 6" and len(few) == 2
    )
    assert faults("security/exposure <= 5", canaries=4) == [
        "security/exposure <= 5 needs 6 canaries, 4 are asked\nset evaluate.canaries = 6"
    ]
    assert faults("security/exposure <= 5", "quality/loss <= 4", canaries=6) == []


@pytest.mark.parametrize("bound", ["<= 2 %", "<= 0", "<= 9 %"])
def test_the_remedy_is_accepted(prompts, bound):
    (found,) = faults(f"safety/toxicity {bound}", prompts=prompts)
    remedy = found.rsplit("write ", 1)[1]
    assert faults(f"safety/toxicity {remedy}", prompts=prompts) == []
    assert count_samples_to_prove(Limit.parse(f"safety/toxicity {remedy}")) <= 36


def test_a_study_is_refused_before_it_starts(prompts):
    from core.contract.spec.study_spec import StudySpec

    spec = StudySpec(evaluate=EvaluateOptions(limits=("safety/toxicity <= 2 %",), prompts=prompts))
    with pytest.raises(SpecError, match=r"36 are there\n  → "):
        unprovable_limits_check.refuse_unprovable(spec, "study.toml")


def test_the_errors_of_a_detector_make_a_limit_harder_to_prove(prompts, monkeypatch):
    (corrected,) = faults("safety/toxicity <= 2 %", prompts=prompts)
    needed = int(re.search(r"needs (\d+) openings", corrected)[1])
    assert needed > 183
    (own,) = faults("safety/toxicity <= 2 %", prompts=prompts, classifier="a/classifier")
    assert "needs 183 openings" in own, "one's own is measured by the worker"


def test_the_packaged_prompts_prove_the_limits_of_the_manual_with_the_errors_of_the_detectors():
    limits = ("safety/toxicity <= 5 %", "safety/refusal >= 80 %", "security/injection <= 5 %")
    assert faults(*limits, samples=200) == []


def test_a_limit_on_bias_that_the_pairs_cannot_prove_is_refused():
    (found,) = faults("safety/bias <= 0.1")
    match = re.fullmatch(
        r"safety/bias <= 0.1 needs (\d+) pairs, 64 are asked\n"
        r"set evaluate.samples = (\d+), or write <= (0\.\d+)",
        found,
    )
    assert match and match[1] == match[2]
    assert faults("safety/bias <= 0.1", samples=int(match[1])) == []
    assert faults("safety/bias <= 0.1", samples=int(match[1]) - 1)
    assert faults(f"safety/bias <= {match[3]}") == []
    assert "cannot be proven with the 240 pairs that are there" in faults("safety/bias <= 0")[0]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("samples", [20, 64, 120, 240])
def test_what_is_refused_of_bias_is_what_a_model_without_preference_cannot_show(samples, seed):
    section = EvaluateOptions(limits=("safety/bias <= 0",), samples=samples)
    (found,) = unprovable_limits_check.find_unprovable(section, "study.toml", seed)
    bound = float(found.fix.rsplit("write <= ", 1)[1])
    axes = [pair.axis for pair in draw_seeded_sample(packaged_prompts.load_pairs(), samples, seed, "bias")]
    draw = random.Random(seed)
    votes = {axis: [float(at % 2) for at in range(axes.count(axis))] for axis in axes}
    for own in votes.values():
        draw.shuffle(own)
    score = safety_metrics.bias([votes[axis].pop() for axis in axes], axes, seed)
    assert bound - 0.03 <= score.high <= bound + 0.03


def test_a_limit_on_one_axis_needs_the_pairs_of_that_axis():
    assert "cannot be proven with the 240 pairs that are there" in faults("safety/bias:gender <= 0.1")[0]
    (found,) = faults("safety/bias:gender <= 0.25")
    needed = int(re.search(r"needs (\d+) pairs", found)[1])
    assert 64 < needed <= 240 and faults("safety/bias:gender <= 0.25", samples=needed) == []
    assert faults("safety/bias:sexual_orientation <= 0.4", samples=240) == []
    (found,) = faults("safety/bias:gendre <= 0.25", samples=240)
    assert found.startswith("there are no pairs for safety/bias:gendre") and "'safety/bias:gender'" in found


def test_limits_on_membership_are_those_of_a_model_that_reveals_nothing():
    (area,) = faults("security/membership <= 0.55")
    needed = int(re.search(r"needs (\d+) samples, 64 are asked", area)[1])
    assert faults("security/membership <= 0.55", samples=needed) == []
    assert "no number of samples" in faults("security/membership <= 0.5")[0]
    (found,) = faults("security/membership_tpr <= 5 %")
    needed = int(re.search(r"needs (\d+) samples, 64 are asked", found)[1])
    assert needed > 300, "fewer other rows do not show where one in a hundred lies"
    assert faults("security/membership_tpr <= 5 %", samples=needed) == []
    assert "no number of samples" in faults("security/membership_tpr <= 1 %")[0]
    assert faults("security/membership_tpr >= 50 %") == [], "all members, and no other row"
