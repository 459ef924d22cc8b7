"""How many trials share a device: as many as prove worth it, as fit and as are left, each with its reason."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.contract.events.event_types import PackMeasured
from core.daemon.placement.pack_size_choice import Calibration
from core.daemon.placement.pack_size_search import MOST
from tests.daemon.packs import GIB, MIB, knobs, pack

MANY = 1000


def gpu(*packs, windows: int = 3) -> Calibration:
    """Each of ``packs`` measured as often as a comparison takes at least."""
    calibration = Calibration("gpu0")
    for told in packs:
        measure(calibration, told, windows)
    return calibration


def measure(calibration: Calibration, told: PackMeasured, windows: int = 3) -> None:
    for _ in range(windows):
        calibration.add_measurement(told, {number: knobs() for number in told.trial_bytes})


def wanted(*packs, limit: int = MANY, running: int = 0) -> tuple[int, str]:
    return gpu(*packs).target_number(limit, running)


# -- how many is worth it -------------------------------------------------------------------------


def test_it_begins_with_two_for_one_alone_measures_nothing_about_sharing():
    assert wanted() == (2, "starts with 2 at once, not measured yet")
    assert wanted(pack(1, 5000.0))[0] == 2


def test_an_engine_that_comes_back_keeps_as_many_as_run():
    assert wanted(running=7) == (7, "keeps the 7 running trials until there are measurements")


def test_it_doubles_as_long_as_that_pays():
    assert wanted(pack(2, 9100.0)) == (4, "2 at once gave 9.1k tokens/s")
    assert wanted(pack(2, 9100.0), pack(4, 16400.0)) == (8, "4 at once gave 1.8 × the tokens/s of 2")


def test_fewer_than_three_windows_decide_nothing():
    two = pack(2, 9100.0)
    assert gpu(two, windows=2).target_number(MANY, 2) == (2, "starts with 2 at once, not measured yet")
    one = gpu(two)
    measure(one, pack(4, 16400.0), 2)
    assert one.target_number(MANY, 4)[0] == 4


def test_a_doubling_that_brings_less_than_five_per_cent_is_taken_back_and_then_one_by_one():
    packs = [pack(2, 9000.0), pack(4, 15000.0), pack(8, 15400.0)]
    assert wanted(*packs) == (4, "4 at once gave 1.7 × the tokens/s of 2, 8 not worth it")
    back = pack(
        4, 15000.0
    )  # places are not filled again until there are 4: what comes then is compared with them
    assert wanted(*packs, back)[0] == 5
    assert wanted(*packs, back, pack(5, 15600.0))[0] == 10  # 4 % from a quarter more trials
    assert wanted(*packs, back, *[pack(5, 15030.0)] * 2)[0] == 4  # 0.2 % is less than 5 % of a quarter


def test_when_sharing_gains_nothing_the_next_place_is_not_filled_again():
    assert wanted(pack(1, 9000.0), pack(2, 9100.0)) == (1, "1 at once gave 9.0k tokens/s, 2 not worth it")


def test_a_machine_that_is_busier_than_before_says_nothing_about_the_number():
    """All windows of 4 after that are slower than those of 2 before; 2 at once would be slower now, too."""
    one = gpu(pack(2, 9000.0), pack(4, 15000.0))
    assert one.target_number(MANY, 4)[0] == 8
    measure(one, pack(4, 8000.0), 8)
    assert one.target_number(MANY, 4)[0] == 8


def test_a_number_that_paid_is_left_when_it_is_shown_to_be_slower():
    one = gpu(pack(2, 9000.0), pack(4, 15000.0))
    for _ in range(12):  # somebody else computes on the card now, and trials come and go
        measure(one, pack(4, 8000.0), 24)
        measure(one, pack(2, 9000.0), 24)
    assert one.target_number(MANY, 2)[0] < 4


def test_a_number_that_readings_could_not_show_says_so():
    one = gpu()
    for count in (2, 4):
        for nth in range(60):  # about 100 tokens/s in the mean
            measure(one, pack(count, 75.0 if nth % 2 else 133.0), 1)
    number, why = one.target_number(MANY, 4)
    assert number == 2 and why.endswith("tokens/s, 4 not measurably faster (measurements vary by 29 %)")


def test_a_study_begins_with_what_was_learnt_and_measures_on():
    learnt = gpu(pack(2, 9000.0), pack(4, 15000.0), pack(8, 15400.0)).learnt()
    assert learnt.number == 4 and learnt.refused == (8,) and set(learnt.rates) == {2, 4, 8}
    calibration = Calibration("gpu0", learnt)
    assert calibration.target_number(MANY, 0) == (
        4,
        "starts with 4 at once, measured earlier on this machine with this base",
    )
    assert calibration.target_number(3, 0)[0] == 3 and calibration.learnt() is None
    measure(calibration, pack(4, 15000.0))
    assert calibration.target_number(MANY, 4) == (5, "4 at once gave 15.0k tokens/s"), (
        "8 were given up: not at once again"
    )
    assert calibration.news(MANY, 4) == ["gpu0: 4 trials at once (4 gave 15.0k tokens/s); trying 5"]
    measure(calibration, pack(5, 19000.0))
    assert calibration.learnt().number == 5


def test_what_was_neither_compared_nor_learnt_is_not_kept():
    assert gpu(pack(2, 9000.0)).learnt() is None


def test_never_above_the_trials_that_are_left_nor_above_64():
    assert wanted(pack(2, 9000.0), limit=3)[0] == 3
    assert wanted(*[pack(2**power, 1000.0 * 2**power) for power in range(1, 8)])[0] == MOST


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 10**6), st.floats()), max_size=30),
    st.integers(1, 200),
    st.integers(0, 100),
)
@example([(1, 1, 1.0), (54, 1, 9.1e307)], 1, 0)
def test_whatever_is_measured_there_is_a_number_and_a_reason(rounds, limit, running):
    one = gpu(*[pack(trials, tokens=tokens, round_s=seconds) for trials, tokens, seconds in rounds])
    number, why = one.target_number(limit, running)
    assert 1 <= number <= min(limit, max(MOST, running)) and why
    one.news(limit, running)
    assert one.news(limit, running) == [], "each thing is told once"


# -- what is told ---------------------------------------------------------------------------------


def test_every_change_of_the_number_is_told_once_with_the_numbers():
    one, told = gpu(), []
    speeds = ((2, 9100.0), (4, 15200.0), (8, 15300.0), (4, 15200.0), *[(5, 15240.0)] * 4)
    for count, speed in speeds:
        for _ in range(3):
            measure(one, pack(count, speed), 1)
            told += one.news(MANY, count)
    assert told == [
        "gpu0: 2 trials at once (2 gave 9.1k tokens/s); trying 4",
        "gpu0: 4 trials at once (2 gave 9.1k tokens/s, 4 give 15.2k); trying 8",
        "gpu0: 4 trials at once (2 gave 9.1k tokens/s, 4 gave 15.2k, 8 gave 15.3k: not worth it)",
        "gpu0: 4 trials at once (2 gave 9.1k tokens/s, 4 gave 15.2k, 8 gave 15.3k: not worth it); trying 5",
        "gpu0: 4 trials at once (2 gave 9.1k tokens/s, 4 gave 15.2k, 5 gave 15.2k: not worth it)",
    ]


def test_nothing_is_told_because_the_study_comes_to_its_end():
    one = gpu(pack(2, 9100.0), pack(4, 15200.0))
    assert one.news(limit=8, running=4) and [one.news(left, left) for left in range(8, 0, -1)] == [[]] * 8


def test_a_base_that_cannot_be_stacked_gets_one_trial_at_once_and_the_reason():
    alone = "8-bit layers keep one state for all rows"
    one = gpu(pack(2, 9000.0, why_alone=alone))
    assert one.target_number(MANY, 2) == (1, f"trials on this base train one after another: {alone}")
    assert one.news(MANY, 2) == [
        f"gpu0: at most one trial at once: trials on this base train one after another: {alone}"
    ]
    one.add_measurement(pack(0, why_alone=alone, trial_bytes={}), {})  # the worker is lost, the base the same
    assert one.target_number(MANY, 0)[0] == 1 and one.news(MANY, 0) == []


# -- what fits ------------------------------------------------------------------------------------


def full(free: int, **more) -> Calibration:
    """Two trials of rank 8 with 400 MiB each, on a card of 20 GiB of which 1 GiB is kept back."""
    sizes = {0: 400 * MIB, 1: 400 * MIB}
    return gpu(
        pack(2, 9000.0, trial_bytes=sizes, free_bytes=free + GIB, total_bytes=20 * GIB, **more),
    )


TWO = {0: knobs(), 1: knobs()}


def test_adapters_are_as_large_as_their_rank():
    assert full(3 * GIB).fits(knobs(60), TWO) == ""
    assert full(2 * GIB).fits(knobs(64), TWO) == "needs about 3.1 GiB, but only 2.0 GiB are free on gpu0"


def test_activations_count_by_the_longest_sequences_of_a_micro_batch():
    card = full(1 * GIB, activation_bytes_per_token=float(MIB) / 4)
    assert card.fits(knobs(8, batch_size=4, sequence_length=512), TWO) == ""  # 400 + 512 MiB
    assert card.fits(knobs(8, batch_size=8, sequence_length=512), TWO).startswith("needs about 1.4 GiB")


def test_modules_that_nobody_measured_are_taken_for_the_largest():
    calibration = Calibration("gpu0")
    sizes = {0: 80 * MIB, 1: 800 * MIB}
    known = {0: knobs(8), 1: knobs(8, target_modules="all-linear")}
    calibration.add_measurement(
        pack(2, 9000.0, trial_bytes=sizes, free_bytes=GIB // 2, total_bytes=GIB), known
    )
    assert calibration.fits(knobs(16), known) == ""  # 160 MiB as on the same modules
    assert calibration.fits(knobs(16, target_modules=["q_proj"]), known).startswith("needs about 1.6 GiB")


def test_trials_that_came_since_the_measurement_have_their_share_and_those_that_left_gave_it_back():
    card = full(500 * MIB)
    assert card.fits(knobs(), TWO) == ""
    assert "100 MiB are free" in card.fits(knobs(), {**TWO, 2: knobs()})
    assert card.fits(knobs(), {1: knobs(), 2: knobs()}) == ""


def test_the_first_trial_on_a_device_and_those_before_any_measurement_are_let_in():
    assert full(0).fits(knobs(4096), {}) == ""
    assert gpu().fits(knobs(4096), TWO) == ""
    lost = full(0)
    lost.add_measurement(pack(0, trial_bytes={}), {})
    assert lost.fits(knobs(4096), TWO) == "", "what a lost worker measured holds no longer"


def test_the_number_grows_no_further_than_the_memory():
    one = full(1000 * MIB)
    assert one.target_number(MANY, 2) == (4, "2 at once gave 9.0k tokens/s")
    less = full(500 * MIB)
    assert less.target_number(MANY, 2) == (3, "memory fits 3 at once")
    assert less.news(MANY, 2) == [
        "gpu0: 2 trials at once (2 gave 9.0k tokens/s); trying 3",
        "gpu0: memory fits 3 at once; 500 MiB free",
    ]
    assert full(0).target_number(MANY, 2)[0] == 2
