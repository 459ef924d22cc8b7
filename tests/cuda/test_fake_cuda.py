"""The trainer on CUDA, without a GPU: every path on fake tensors, and the kernels and waits of a step.

A bound that is exceeded on purpose is written anew by ``python -m tests.cuda.count_step --write``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.train.tracing.tiny_models import CONFIGS
from tests.cuda import all_paths, count_step, fake_device, trial_life
from tests.matrix import rest_slow

# The plainest, one with other norms and windows, and one with other layers and positions; then further ones.
BASES = (
    *("qwen2", "gemma3_text", "gpt2", "llama", "mistral", "qwen3", "gemma", "gemma2", "phi3", "smollm3"),
    *("olmo2", "granite", "gpt_neox"),
)
FEW = 3

pytestmark = [
    pytest.mark.skipif(bool(fake_device.why_not()), reason=fake_device.why_not()),
    pytest.mark.xdist_group("fake-cuda"),  # one process for all
]


@pytest.fixture(scope="session")
def found(request) -> dict[str, Any]:
    """What ran on the fake device, in a process of its own: it must be loaded before torch. Of the families
    those run whose tests are chosen."""
    named = {
        getattr(item, "callspec", None) and item.callspec.params.get("base") for item in request.session.items
    }
    families = [family for family in BASES if f"{family}/bf16" in named]
    return fake_device.run("tests.cuda.all_paths", "--tests", "--families", *families)


@pytest.fixture(scope="session")
def bounds() -> dict[str, Any]:
    return json.loads(count_step.BOUNDS.read_text("utf-8"))


@pytest.mark.parametrize("case", count_step.TESTED)
def test_a_step_launches_waits_and_moves_no_more_than_before(found, bounds, case):
    if bounds["versions"] != count_step.versions():
        pytest.skip(f"the bounds are those of {bounds['versions']}, this is {count_step.versions()}")
    now, before = found["counts"][case], count_step.bound_few(bounds["cases"][case])
    assert now["kernels"] <= before["kernels"], "kernels of a model of two layers"
    assert now["waits"] <= before["waits"], now["waits_by_kind"]
    assert now["bytes"] <= before["bytes"]


def test_sixteen_trials_take_hardly_more_launches_than_one(bounds):
    """As the bounds say, which the steps keep to."""
    one, sixteen = (bounds["cases"][f"uniform {count}"] for count in (1, 16))
    assert sixteen["kernels_per_layer"] == one["kernels_per_layer"]
    assert sixteen["kernels"] <= 1.1 * one["kernels"]


def test_the_host_waits_no_more_often_for_sixteen_trials_than_for_one(found):
    assert found["counts"]["uniform 16"]["waits"] == found["counts"]["uniform 1"]["waits"]


def test_all_families_have_a_test():
    assert sorted(CONFIGS) == sorted(BASES)


@pytest.mark.parametrize("base", [*rest_slow([f"{family}/bf16" for family in BASES], FEW), *all_paths.OTHERS])
def test_no_path_mixes_devices_or_dtypes(found, base):
    assert found["paths"][base]["faults"] == []


def test_real_trials_live_from_their_start_to_their_end(found):
    """With bitsandbytes' optimizers: started, trained, evaluated, scored and checkpointed."""
    life = found["life"]
    everyone = [*range(len(trial_life.OPTIMIZERS))]
    assert life["faults"] == []
    assert life["trained"] == life["checkpoints"] == everyone
    assert life["pruned"] == [trial_life.PRUNED] == everyone[:1]
    assert life["scored"] == life["complete"] == everyone[1:], "but for the pruned one"


def test_tensors_of_paused_trials_leave_the_device_and_come_back(found):
    life = found["life"]
    assert life["paused"] == {"0": ["cpu"], "1": [], "2": ["cpu"]}, "all large states of the second are pages"
    assert life["resumed"] == {"0": ["cuda"], "1": [], "2": ["cuda"]}


def test_pages_of_optimizers_stay_pages_over_a_pause_and_leave_the_device_meanwhile(found):
    assert found["life"]["pages"] == [0, 2, 2] and found["life"]["pages_left"]


def test_a_pass_that_runs_out_of_memory_is_made_in_halves(found):
    whole, *halves = found["life"]["halved"]
    assert len(halves) > 1 and max(halves) < whole


def test_a_planted_fault_is_reported_with_its_place(found):
    for name, faults in found["planted"]["paths"].items():
        assert any("core/train" in place for _, _, place in faults), name


def test_a_planted_launch_and_a_planted_wait_exceed_the_bounds(found, bounds):
    planted, before = found["planted"]["counts"], count_step.bound_few(bounds["cases"]["uniform 1"])
    assert planted["kernels"] == before["kernels"] + 1
    assert planted["waits"] == before["waits"] + 1
