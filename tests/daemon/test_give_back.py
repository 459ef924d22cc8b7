"""A device is given back while the study runs, and taken again: its trials move, the others do not notice."""

import pytest

from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.daemon.placement import device_changes
from core.daemon.placement.slot_assignment import TrialSlots
from core.daemon.placement.study_device_choice import CPU, Slot
from core.errors import RefusedError
from tests.daemon.packs import study as study_of
from tests.daemon.test_cards import four_run, two_cards  # noqa: F401

GPU0, GPU1 = Slot("gpu0", "cuda:0", "0"), Slot("gpu1", "cuda:0", "1")


def change(engine, devices, preview: bool = False) -> console_api.Change:
    return engine.ask(console_api.ChangeStudy("s", {"resources": {"devices": devices}}, preview, "me"))


def workers_by_device(engine) -> dict[str, int]:
    living = {worker.pid for worker in engine.workers()}
    return {worker.device: worker.pid for worker in engine.state().machine.workers if worker.pid in living}


@pytest.mark.real
def test_its_trials_are_checkpointed_and_go_on_elsewhere_also_after_the_engine_ended(two_cards):  # noqa: F811
    before = four_run(two_cards, 1_000_000)
    pids = workers_by_device(two_cards)
    told = change(two_cards, [0], preview=True)
    assert told.changes == ("resources.devices: auto → 0",)
    assert told.effects == (
        "gpu1 is given back: trials 1 and 3 are checkpointed and queued for gpu0, as soon as a slot is free",
    )
    assert two_cards.study().settings.resources.devices == "auto", "a preview changes nothing"
    for wrong, why in (([], "no device would be left"), ([7], "GPU 7 is not available")):
        with pytest.raises(RefusedError, match=why):
            change(two_cards, wrong)

    change(two_cards, [0])
    study = two_cards.until_study(
        lambda study: study.trials[1].state == study.trials[3].state == s.QUEUED, ""
    )
    two_cards.until(lambda: len(two_cards.workers()) == 1, "the worker on gpu1 is gone")
    assert [worker.pid for worker in two_cards.workers()] == [pids["gpu0"]]
    for number in (1, 3):
        trial = study.trials[number]
        assert trial.retry == 0 and trial.checkpoint_step == trial.step > 3
        assert any("me gave gpu1 back" in line.text for line in trial.lines)
    assert any("changed by me: resources.devices: auto → 0" in line.text for line in study.lines)
    assert {study.trials[number].worker for number in (0, 2)} == {before.trials[0].worker}

    two_cards.kill()
    two_cards.start()
    for number in (0, 2):
        two_cards.ask(console_api.PruneTrial("s", number, by="me"))
    after = two_cards.until_study(
        lambda now: all(now.trials[n].step > study.trials[n].step for n in (1, 3)), "they go on"
    )
    assert {after.trials[number].device for number in (1, 3)} == {"gpu0"}

    assert change(two_cards, [0, 1]).effects == (
        "gpu1 is used from now on: a worker starts there with the next trial that fits",
    )
    number = two_cards.ask(console_api.EnqueueTrial("s", {"lora_rank": 8})).trial
    two_cards.until_study(lambda now: now.trials[number].step > 3, "a worker started there")
    assert two_cards.trial(number).device == "gpu1"


@pytest.mark.real
def test_a_worker_that_did_not_hear_of_it_leaves_when_the_next_engine_finds_it(two_cards):  # noqa: F811
    four_run(two_cards, 1_000_000)
    deaf = workers_by_device(two_cards)["gpu1"]
    (worker,) = (worker for worker in two_cards.workers() if worker.pid == deaf)
    worker.suspend()
    change(two_cards, [0])
    two_cards.kill()
    worker.resume()
    two_cards.start()
    study = two_cards.until_study(
        lambda study: study.trials[1].state == study.trials[3].state == s.QUEUED, "they wait for gpu0"
    )
    assert all(trial.retry == 0 and trial.step > 3 for trial in study.trials.values())
    two_cards.until(lambda: deaf not in workers_by_device(two_cards).values(), "the worker is gone")


def test_slots_follow_the_devices_and_pinned_trials_are_not_held_by_one_that_is_gone():
    places = TrialSlots("auto", [GPU0, GPU1])
    places.cap("gpu1", 1)
    places.use([GPU0])
    trials = study_of(9, ("queued", 8))
    pinned = study_of(9, ("queued", 8))
    pinned.trials[0] = s.Trial(0, knobs=pinned.trials[0].knobs, pinned="gpu1")
    assert places.next(trials)[1] == places.next(pinned)[1] == GPU0
    places.use([GPU1])
    assert places.next(trials)[1] == GPU1


def test_the_preview_names_what_moves_what_starts_and_which_pins_no_longer_bind():
    study = study_of(9, ("running", 8, "gpu1"), ("queued", 8))
    study.trials[1] = s.Trial(1, pinned="gpu1")
    assert device_changes.describe(study, ["gpu0", "gpu1"], [GPU0, CPU]) == (
        "gpu1 is given back: trial 0 is checkpointed and queued for gpu0 and cpu, as soon as a slot is free",
        "cpu is used from now on: a worker starts there with the next trial that fits",
        "GPU and CPU round differently: the losses of moved trials differ in their last digits",
        "trial 1 is pinned to gpu1: from now on any device may train it",
    )
    assert device_changes.describe(study, ["cpu"], [GPU0])[0] == "cpu is given back: no trial is on it"
    assert len(device_changes.describe(study, [], [CPU])) == 1, "nothing moves"
