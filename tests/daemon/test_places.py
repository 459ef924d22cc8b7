"""Which queued trial starts next, and where: none is started that does not fit, none is asked for in vain."""

import pytest
from msgspec.structs import replace

from core.daemon.placement.slot_assignment import TrialSlots, count_at_once
from core.daemon.placement.study_device_choice import Slot
from tests.daemon.packs import GIB, MIB, pack, study

GPU0, GPU1 = Slot("gpu0", "cuda:0", "0"), Slot("gpu1", "cuda:0", "1")


def measured(
    free: int, running: int = 2, device: str = "gpu0", places: TrialSlots | None = None
) -> TrialSlots:
    """A device on which trials of rank 8 hold 400 MiB each, measured while it has ``free`` bytes to give."""
    one = places or TrialSlots("auto", [GPU0])
    told = pack(
        running, 9000.0, device=device, worker=f"{device}-w", free_bytes=free + GIB, total_bytes=20 * GIB,
        trial_bytes=dict.fromkeys(range(running), 400 * MIB),
    )  # fmt: skip
    for _ in range(3):  # what a comparison takes at least
        one.add_measurement(told, study(20, *[("running", 8, device)] * running))
    one.notes()
    return one


def test_a_fixed_number_of_places_is_taken_at_its_word():
    places = TrialSlots(2, [GPU0])
    assert places.next(study(9, ("running", 8), ("queued", 4096)))[2] == "1 of 2 slots taken on gpu0"
    assert places.next(study(9, ("running", 8), ("running", 8), ("queued", 8))) is None


def test_the_reason_says_why_there_are_so_many_places():
    _, slot, why = measured(9 * GIB).next(study(9, *[("running", 8)] * 2, ("queued", 8)))
    assert (slot, why) == (GPU0, "2 of 4 slots taken on gpu0; auto: 2 at once gave 9.0k tokens/s")


def test_a_trial_that_does_not_fit_waits_and_another_goes_first():
    places = measured(2 * GIB)
    now = study(20, ("running", 8), ("running", 8), ("queued", 64), ("queued", 16))
    trial, _, _ = places.next(now)
    assert trial.number == 3
    assert places.notes() == ["trial 2 waits: needs about 3.1 GiB, but only 2.0 GiB are free on gpu0"]
    places.next(now)
    assert places.notes() == [], "it is told once"


def test_it_starts_as_soon_as_there_is_room():
    places = measured(2 * GIB)
    now = study(20, ("running", 8), ("running", 8), ("queued", 64))
    assert places.next(now) is None
    assert measured(4 * GIB, places=places).next(now)[0].number == 2


def test_a_trial_that_fits_nowhere_runs_alone():
    places = measured(0)
    assert places.next(study(20, ("running", 8), ("queued", 4096))) is None
    assert places.next(study(20, ("queued", 4096)))[0].number == 0


def test_the_sampler_is_not_asked_again_and_again_while_trials_wait_for_memory():
    places = measured(0 * GIB)
    two = [("running", 8)] * 1
    assert places.may_ask(study(20, *two))
    assert places.may_ask(study(20, *two, ("queued", 64))), "another may fit"
    assert not places.may_ask(study(20, *two, ("queued", 64), ("queued", 64)))


def test_nobody_is_asked_for_when_all_places_are_taken():
    assert not TrialSlots(1, [GPU0]).may_ask(study(20, ("running", 8)))


def test_a_trial_goes_to_the_device_where_it_fits_before_it_is_told_to_wait():
    places = measured(2 * GIB, places=TrialSlots("auto", [GPU0, GPU1]))
    measured(9 * GIB, device="gpu1", places=places)
    now = study(20, *[("running", 8)] * 2, *[("running", 8, "gpu1")] * 2, ("queued", 64))
    trial, slot, _ = places.next(now)
    assert (trial.number, slot) == (4, GPU1) and places.notes() == []


def test_the_device_with_the_most_free_places_comes_first():
    places = measured(9 * GIB, places=TrialSlots("auto", [GPU0, GPU1]), device="gpu1")
    now = study(20, ("running", 8, "gpu1"), ("queued", 8))
    assert places.next(now)[1] == GPU1, "3 of 4 places are free there, 2 of 2 here"


def test_the_last_trials_of_a_study_are_not_waited_for():
    places = measured(9 * GIB)
    assert places.next(study(3, *[("running", 8)] * 2, ("queued", 8)))[2].startswith("2 of 3 slots")


def searched(total: int, sampler: str, startup: int, *trials):
    section = {"sampler": sampler, "startup_trials": startup}
    return replace(study(total, *trials), spec={"study": section})


@pytest.mark.parametrize(
    ("sampler", "total", "startup", "most"),
    [("tpe", 12, 4, 4), ("tpe", 100, 5, 25), ("gp", 3, 10, 3), ("tpe", 6, 0, 2), ("random", 64, 5, 64)],
)
def test_a_sampler_that_learns_sees_some_trials_end_before_it_proposes_the_others(
    sampler, total, startup, most
):
    assert count_at_once(searched(total, sampler, startup)) == most


def test_why_there_are_not_more_at_once_is_told_once():
    places = measured(19 * GIB, running=4)
    four = [("running", 8)] * 4
    assert places.next(searched(12, "tpe", 4, *four, ("queued", 8))) is None
    assert places.notes() == [
        "at most 4 trials at once, so that tpe can learn from ended trials; "
        "set resources.pack to a number to run more"
    ]
    assert places.next(searched(12, "random", 4, *four, ("queued", 8))) is not None
    assert places.next(searched(12, "tpe", 4, *four, ("queued", 8))) is None and not places.notes()


def test_no_device_is_left_empty_for_that():
    places = TrialSlots("auto", [GPU0, GPU1])
    four = [("running", 8)] * 4
    assert places.next(searched(12, "tpe", 4, *four, ("queued", 8)))[1] == GPU1


def population(total: int, size: int, *trials):
    now = searched(total, "tpe", 2, *trials)
    return replace(now, spec={"study": {**now.spec["study"], "trials": total, "population": {"size": size}}})


def test_a_population_trains_side_by_side_whatever_the_sampler_and_the_speed():
    places = TrialSlots("auto", [GPU0])
    two = population(8, 4, ("running", 8), ("running", 8), ("queued", 8))
    assert places.next(two)[2] == "2 of 4 slots taken on gpu0; auto: a population trains together"
    assert places.next(population(8, 4, *[("running", 8)] * 4, ("queued", 8))) is None
    assert not places.notes()


def test_memory_alone_keeps_one_of_a_population_waiting():
    assert measured(1 * GIB).next(population(8, 4, ("running", 8), ("running", 8), ("queued", 64))) is None


def test_a_clone_takes_its_place_before_who_waits_for_one():
    now = population(8, 4, ("running", 8), ("queued", 8), ("queued", 8))
    clone = replace(now.trials[2], place_of=0)
    assert TrialSlots("auto", [GPU0]).next(replace(now, trials={**now.trials, 2: clone}))[0].number == 2
