"""Several cards: a worker on each, side by side; what happens to one is not the others' business."""

import pytest

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from tests.daemon.conftest import Engine

pytestmark = pytest.mark.real
CARDS = {"gpu0": "GPU-0000-0", "gpu1": "GPU-0000-1"}


@pytest.fixture
def two_cards(tmp_path):
    engine = Engine(tmp_path / "home", "tests.daemon.carded_worker", "tests.daemon.carded_engine").start()
    yield engine
    engine.end()


def four_run(engine, steps: int) -> s.Study:
    engine.run(study={"trials": 4}, train={"steps": steps}, resources={"devices": "auto", "pack": 2})
    return engine.until_study(
        lambda study: len(study.trials) == 4 and all(trial.step > 3 for trial in study.trials.values()),
        "all run",
    )


def put(file, text: str) -> None:
    """Whole from the first moment: engine and workers look at it all the time."""
    aside = file.with_suffix(".new")
    aside.write_text(text)
    aside.rename(file)


def test_each_card_has_a_worker_of_its_own_and_trials_spread_over_them(two_cards):
    study = four_run(two_cards, 1_000_000)
    assert [trial.device for trial in study.trials.values()] == ["gpu0", "gpu1", "gpu0", "gpu1"]
    workers = {worker.pid: worker for worker in two_cards.workers()}
    told = {worker.pid: worker for worker in two_cards.state().machine.workers}
    assert {
        told[pid].device: worker.environ()["CUDA_VISIBLE_DEVICES"] for pid, worker in workers.items()
    } == CARDS
    assert any("trial 1 starting on gpu1: 0 of 2 slots taken on gpu1" in line.text for line in study.lines)
    next(worker for pid, worker in workers.items() if told[pid].device == "gpu1").kill()
    after = two_cards.until_study(
        lambda study: all(study.trials[n].retry == 1 and study.trials[n].state == s.RUNNING for n in (1, 3)),
        "again",
    )
    for number in (0, 2):
        before, now = study.trials[number], after.trials[number]
        assert (now.retry, now.worker) == (0, before.worker) and now.step > before.step


@pytest.mark.parametrize("how", ["says", "ends"])
def test_a_card_that_vanishes_leaves_its_trials_to_the_others(two_cards, how):
    four_run(two_cards, 1_000_000)
    put(two_cards.home / "lost", "1")
    two_cards.until(lambda: two_cards.state().machine.devices[1].fault, "NVML says so")
    put(two_cards.home / "dead", f"{CARDS['gpu1']} {how}")
    two_cards.until_study(lambda study: all(study.trials[n].state == s.QUEUED for n in (1, 3)), "they wait")
    for number in (0, 2):
        two_cards.ask(console_api.PruneTrial("s", number, by="me"))
    study = two_cards.until_study(
        lambda study: all(study.trials[n].state == s.RUNNING for n in (1, 3)), "they go on"
    )
    assert study.state == "running", study.why
    assert {(trial.device, trial.retry) for trial in study.trials.values()} == {("gpu0", 0)}
    told = [line.text for line in study.lines]
    assert "gpu1 is no longer used: GPU is lost" in told
    assert any("queued again (0): gpu1 is gone: GPU is lost" in text for text in told)


def test_a_trial_that_is_pinned_goes_to_its_card_and_on_where_it_stood(two_cards):
    two_cards.run(study={"trials": 2}, train={"steps": 1_000_000}, resources={"devices": "auto", "pack": 2})
    two_cards.until_study(lambda study: len(study.trials) == 2 and study.trials[0].step > 20, "both run")
    two_cards.ask(console_api.MarkTrial("s", 0, device="gpu1", by="me"))
    moved = two_cards.until_study(
        lambda study: study.trials[0].device == "gpu1" and study.trials[0].state == s.RUNNING, "it moved"
    )
    assert moved.trials[0].step > 20 and moved.trials[0].retry == 0
    told = [line.text for line in moved.trials[0].lines]
    assert "pinned to gpu1 (by me)" in told and any("me pinned it to gpu1" in text for text in told)
    assert any("starting on gpu1: pinned to this device" in text for text in told)
