"""On a noisy machine whose load comes and goes the number of trials found is right, and stays."""

import math
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from core.daemon.placement.pack_size_search import RETRY_S, Growth, Start
from core.daemon.placement.throughput_windows import NEAR_S, Window, Windows, cut_at_jump
from tests.matrix import rest_slow

SEEDS = 20
WINDOW_S = 2.0


def load(kind: str, draw: random.Random) -> Iterator[float]:
    """The part of its speed that the machine has, window by window: halved for minutes, at once or slowly."""
    begin, slow, left = draw.uniform(0, 600), False, draw.expovariate(1 / 300)
    for nth in range(10**9):
        left -= WINDOW_S
        if left < 0:
            slow, left = not slow, draw.expovariate(1 / 240)
        wave = 2 ** (-0.5 - 0.5 * math.sin(2 * math.pi * (begin + nth * WINDOW_S) / 600))
        yield {"steady": 1.0, "halves": 0.5 if slow else 1.0, "drifts": wave}[kind]


def study(seed: int, most: int, noise: float, kind: str, windows: int = 1200) -> list[int]:
    """The number by windows, on a machine that is no faster with more than ``most`` trials at once. Trials
    take some minutes; places are filled at once and given up when a trial ends."""
    draw, growth, ends, found = random.Random(seed), Growth(), [], []
    for nth, speed in zip(range(windows), load(kind, draw), strict=False):
        now = nth * WINDOW_S
        ends = [end for end in ends if end > now]
        ends += [now + draw.uniform(150, 450) for _ in range(growth.goal.number - len(ends))]
        trials = len(ends)
        rate = 100 * min(trials, most) * speed * math.exp(draw.gauss(0, noise))
        growth.add(trials, 100 * trials, 100 * trials / rate, now + WINDOW_S)
        found.append(growth.goal.base or growth.goal.number)
    return found


def studies(most: int, noise: float, kind: str) -> tuple[int, int]:
    """How many of ``SEEDS`` studies end with ``most``, and how often one went to a smaller number at most."""
    each = [study(seed, most, noise, kind) for seed in range(SEEDS)]
    falls = max(sum(after < before for before, after in pairwise(one)) for one in each)
    return sum(one[-1] == most for one in each), falls


@pytest.mark.parametrize("kind", rest_slow(["halves", "steady", "drifts"]))
def test_noise_is_no_gain_in_19_of_20_studies_and_nothing_goes_up_and_down(kind):
    right, falls = studies(2, 0.5, kind)
    assert right >= 0.95 * SEEDS and falls == 0


@pytest.mark.parametrize(
    ("noise", "kind", "least"),
    rest_slow([(0.3, "drifts", 0.85), (0.3, "steady", 0.95), (0.5, "steady", 0.95), (0.5, "halves", 0.75)]),
)
def test_a_gain_up_to_eight_is_found_and_kept(noise, kind, least):
    """Within 40 minutes; where the load changes in the middle of a comparison it takes one more."""
    right, falls = studies(8, noise, kind)
    assert right >= least * SEEDS and falls == 0


def fed(growth: Growth, trials: int, rate: float, count: int, at: float) -> float:
    for _ in range(count):
        at += WINDOW_S
        growth.add(trials, 100 * trials, 100 * trials / rate, at)
    return at


def test_a_number_that_was_given_up_is_tried_again_after_a_time():
    growth, draw = Growth(), random.Random(1)
    noisy = lambda trials, count, at: [  # noqa: E731
        at := fed(growth, trials, 200 * math.exp(draw.gauss(0, 0.4)), 1, at) for _ in range(count)
    ][-1]
    at = noisy(4, 96, noisy(2, 30, 0.0))
    assert growth.goal.number == 2 and growth.goal.refused == 4
    at = noisy(2, 30, at)
    assert growth.goal.number == 2, "not at once"
    noisy(2, 30, at + RETRY_S)
    assert growth.goal.number == 4


def test_it_begins_with_what_was_learnt_and_tries_what_was_given_up_later():
    growth = Growth(Start(4, refused=(5, 8)))
    assert growth.goal.number == 4
    at = fed(growth, 4, 100, 3, 0.0)
    assert growth.goal.number == 4
    fed(growth, 4, 100, 3, at + RETRY_S)
    assert growth.goal.number == 8


def test_windows_far_from_each_other_in_time_are_not_compared():
    known = Windows()
    for at in range(3):
        known.add(Window(at, 2, 200, 1.0))
    for at in range(3):
        known.add(Window(NEAR_S + 10 + at, 4, 400, 1.0))
    assert known.gain(2, 4) is None and known.comparable_numbers == {2, 4}


def test_windows_beyond_a_jump_of_the_load_do_not_count():
    draw = random.Random(0)
    near = [draw.gauss(5.0, 0.1) for _ in range(10)]
    assert cut_at_jump(near) == near
    assert cut_at_jump([*near, *(draw.gauss(4.3, 0.1) for _ in range(10))]) == near


def test_trials_with_larger_batches_do_not_look_like_a_gain():
    """A part of a round does not depend on its tokens; the trials that came had ten times larger batches."""
    known, seconds = Windows(), lambda tokens: 0.05 + tokens / 20_000
    for trials, each in ((4, 50), (8, 500)):
        for _ in range(3):
            known.add(Window(1.0, trials, each * trials, seconds(each * trials)))
    mean = (4 * 50 + 8 * 500) / 12
    assert known.gain(4, 8).mean == pytest.approx(math.log(2 * seconds(4 * mean) / seconds(8 * mean)))


def test_a_card_that_is_full_with_twenty_trials_gets_about_as_many():
    """Trials of 50 to 150 tokens; readings waver by a per cent."""
    draw, growth = random.Random(3), Growth()
    for nth in range(400):
        trials = growth.goal.number
        tokens = sum(draw.randint(50, 150) for _ in range(trials))
        growth.add(trials, tokens, max(1.0, tokens / 2000) * draw.uniform(1.0, 1.01), nth * WINDOW_S)
    assert 16 <= growth.goal.base <= 40
