"""Noise, dropped prompt tokens and smoothed labels: in training only, and each row by itself."""

from __future__ import annotations

import math

import pytest
import torch

from core.contract.events import event_types as e
from core.train.data.dataset import MASKED, Row
from core.train.step.augmentation import Augment, embed, find_augment

AUGMENTED = {"neftune_noise_alpha": 5.0, "prompt_dropout": 0.3, "label_smoothing": 0.1}


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


def make_row(length: int, prompt: int) -> Row:
    ids = list(range(10, 10 + length))
    return Row(ids, [*[MASKED] * prompt, *ids[prompt:]])


def changes(one, *rows) -> torch.Tensor:
    """What a pass over the rows adds to their embeddings."""
    table, width = one.base.model.get_input_embeddings(), max(len(row.ids) for row, *_ in rows)
    ids = torch.tensor([[*row.ids, *[0] * (width - len(row.ids))] for row, *_ in rows])
    plain = table(ids)
    with embed(one.base, rows):
        return table(ids) - plain


@pytest.mark.parametrize("name", AUGMENTED)
def test_a_validation_loss_knows_no_augmentation_and_a_training_loss_does(bench, tmp_path, name):
    one = bench(train={"steps": 1, "learning_rate": 1e-9})
    one.assign(tmp_path, 0)
    one.assign(tmp_path, 1, **{name: AUGMENTED[name]})
    one.finish()
    plain, augmented = (one.of(e.TrialEvaluated, trial)[-1].metrics for trial in (0, 1))
    assert augmented == pytest.approx(plain, rel=1e-6)
    assert one.losses(0)[0] != pytest.approx(one.losses(1)[0], rel=1e-5)


def test_noise_has_the_scale_of_the_rows_own_length(bench):
    one, noise = bench(), Augment(noise=5.0)
    short, long = (make_row(8, 4), 3, noise), (make_row(32, 4), 4, noise)
    alone, together = changes(one, short), changes(one, short, long)
    torch.testing.assert_close(together[0, :8], alone[0])
    assert not together[0, 8:].any(), "no noise on padding"
    assert not torch.allclose(changes(one, (make_row(8, 4), 5, noise)), alone), "another row, another noise"
    for line, length in ((alone[0], 8), (together[1], 32)):
        bound = 5.0 / math.sqrt(length * line.shape[-1])
        assert 0.95 * bound < line.abs().max() <= 1.001 * bound and abs(line.mean()) < 0.1 * bound
    assert not changes(one, (make_row(8, 4), 3, None), long)[0].any(), "a neighbour gets none"


def test_only_tokens_of_the_prompt_are_dropped_and_no_special_ones(bench):
    one, drop = bench(), Augment(drop=0.95)
    row = make_row(40, 30)
    row.ids[5] = special = one.base.tokenizer.all_special_ids[0]
    changed = changes(one, (row, 7, drop)).any(-1)[0]
    assert special == row.ids[5] and not changed[5] and not changed[0] and not changed[30:].any()
    assert changed[:30].sum() > 22
    share = sum(int(changes(one, (row, key, Augment(drop=0.3))).any(-1).sum()) for key in range(60))
    assert share / (60 * 28) == pytest.approx(0.3, abs=0.04)


def test_knobs_of_an_older_study_or_at_zero_augment_nothing():
    assert find_augment({}) is None and find_augment(dict.fromkeys(AUGMENTED, 0.0)) is None
    assert find_augment(AUGMENTED) == Augment(5.0, 0.3, 0.1)
