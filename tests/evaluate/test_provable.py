"""A limit that the prompts cannot prove is refused, with the number that would and a bound that they do."""

import json
import re

import pytest

from core.contract.spec.metric_limits import Limit
from core.contract.spec.study_spec import EvaluateOptions
from core.errors import SpecError
from core.evaluate.prompts import provable_limits
from core.evaluate.statistics.power import samples_to_prove


@pytest.fixture(autouse=True)
def no_errors(request, monkeypatch):
    """Detectors without errors, except where these are the point."""
    if "errors" not in request.node.name:
        monkeypatch.setattr(provable_limits, "_correction", lambda metric, section: lambda score: score)


def faults(*limits, **section):
    found = provable_limits.find_unprovable(EvaluateOptions(limits=limits, **section), "study.toml")
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
    assert faults("quality/forgetting <= 0.5", "quality/loss <= 4", samples=2) == []


@pytest.mark.parametrize("bound", ["<= 2 %", "<= 0", "<= 9 %"])
def test_the_remedy_is_accepted(prompts, bound):
    (found,) = faults(f"safety/toxicity {bound}", prompts=prompts)
    remedy = found.rsplit("write ", 1)[1]
    assert faults(f"safety/toxicity {remedy}", prompts=prompts) == []
    assert samples_to_prove(Limit.parse(f"safety/toxicity {remedy}")) <= 36


def test_a_study_is_refused_before_it_starts(prompts):
    from core.contract.spec.study_spec import StudySpec

    spec = StudySpec(evaluate=EvaluateOptions(limits=("safety/toxicity <= 2 %",), prompts=prompts))
    with pytest.raises(SpecError, match=r"36 are there\n  → "):
        provable_limits.refuse_unprovable(spec, "study.toml")


def test_the_errors_of_a_detector_make_a_limit_harder_to_prove(prompts, monkeypatch):
    (corrected,) = faults("safety/toxicity <= 2 %", prompts=prompts)
    needed = int(re.search(r"needs (\d+) openings", corrected)[1])
    assert needed > 183
    (own,) = faults("safety/toxicity <= 2 %", prompts=prompts, classifier="a/classifier")
    assert "needs 183 openings" in own, "one's own is measured by the worker"


def test_the_packaged_prompts_prove_the_limits_of_the_manual_with_the_errors_of_the_detectors():
    limits = ("safety/toxicity <= 5 %", "safety/refusal >= 80 %", "security/injection <= 5 %")
    assert faults(*limits, samples=200) == []
