"""Dropout by counting: masks are as random as they must be, and depend on nothing but where they stand."""

import pytest
import torch

from core.train.kernels.counter_dropout import Rows, compute_threshold, make_row_key, mask


def masks(keys, p, place=3, length=64, channels=96):
    words = torch.tensor(keys, dtype=torch.int32)
    limits = torch.tensor([compute_threshold(p)] * len(keys), dtype=torch.int32)
    return mask(words, limits, place, length, channels, torch.float32)


BITS = ["10100000", "00011110", "10000001", "10001110"]
KEYS = [make_row_key(7, micro, row) for micro in range(8) for row in range(4)]


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_p_and_the_mean_stays(p):
    found = masks(KEYS, p)
    deviation = (p * (1 - p) / found.numel()) ** 0.5
    assert float((found == 0).float().mean()) == pytest.approx(p, abs=5 * deviation)
    assert float(found.max()) == pytest.approx(1 / (1 - p))


def test_nothing_is_dropped_at_zero():
    assert torch.equal(masks(KEYS[:2], 0.0), torch.ones(2, 64, 96))


@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_neighbouring_rows_positions_and_channels_are_independent(dimension):
    kept = (masks(KEYS, 0.5) > 0).float()
    both = kept.narrow(dimension, 0, kept.shape[dimension] - 1) * kept.narrow(
        dimension, 1, kept.shape[dimension] - 1
    )
    assert float(both.mean()) == pytest.approx(0.25, abs=5 * (0.1875 / both.numel()) ** 0.5)


def test_no_four_corners_agree_more_often_than_chance():
    """Row and channel numbers are mixed apart and then joined: that must not show as a grid."""
    kept = (masks(KEYS, 0.5) > 0).float() * 2 - 1
    corners = kept[:, :-1, :-1] * kept[:, 1:, :-1] * kept[:, :-1, 1:] * kept[:, 1:, 1:]
    assert abs(float(corners.mean())) < 5 * corners.numel() ** -0.5


def test_seeds_micro_batches_rows_and_places_have_masks_of_their_own():
    same = [masks([make_row_key(*key)], 0.5, place)[0] for key, place in [
        ((1, 0, 0), 0), ((2, 0, 0), 0), ((1, 1, 0), 0), ((1, 0, 1), 0), ((1, 0, 0), 1)
    ]]  # fmt: skip
    for first in range(5):
        for second in range(first):
            agree = float(((same[first] > 0) == (same[second] > 0)).float().mean())
            assert agree == pytest.approx(0.5, abs=5 * (0.25 / same[0].numel()) ** 0.5)


def test_padding_and_neighbours_change_nothing():
    alone = masks(KEYS[5:6], 0.3, length=20)
    company = masks(KEYS[3:9], 0.3, length=50)
    assert torch.equal(alone[0], company[2, :20])


def test_places_mixed_together_have_the_masks_that_they_have_alone():
    words, limits = (
        torch.tensor(KEYS[:6], dtype=torch.int32),
        torch.tensor([compute_threshold(0.2)] * 6, dtype=torch.int32),
    )
    rows = Rows(words, limits)
    for place, length in ((0, 9), (15, 9), (16, 9), (2, 9), (2, 31), (40, 31)):
        alone = mask(words, limits, place, length, 24, torch.bfloat16)
        assert torch.equal(rows.mask(place, length, 24, torch.bfloat16), alone)


def test_the_bits_of_a_mask_stay_as_they_were():
    """A trial that goes on under another release has the masks that it would have had."""
    found = masks([make_row_key(3, 5, 1)], 0.5, place=7, length=4, channels=8)
    kept = ["".join(str(int(one > 0)) for one in row) for row in found[0]]
    assert kept == BITS
