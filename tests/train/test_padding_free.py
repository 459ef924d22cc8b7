"""Padding-free batches give what padded rows give."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch

from core.memory.estimate import rows_per_pass
from core.train.base import shared_pass_check
from core.train.base.factor_matrix_layout import find
from core.train.kernels import counter_dropout, fast_path, row_attention
from core.train.kernels.fast_path import EAGER, FastPath
from core.train.kernels.row_attention import Bounds
from core.train.step import padding_free_batch, padding_free_check
from core.train.step.forward_pass import Item
from core.train.tracing import tiny_models
from tests.matrix import rest_slow
from tests.train.test_together import TRIALS

CPU = torch.device("cpu")
PATHS = [FastPath(dropout=True, grouped=True), FastPath(dropout=True, adapters=True)]
REFUSED = ("gemma2",)  # its scores are bounded, which flash attention does not do


@pytest.fixture
def padding_free(monkeypatch):
    """Concatenate rows wherever they may be, with blocks that are shorter than the tests' rows."""
    for module in (rows_per_pass, padding_free_batch):
        monkeypatch.setattr(module, "BLOCK", 4)
    monkeypatch.setattr(rows_per_pass, "GAIN", -9.0)
    yield
    fast_path.use(CPU, torch.float32, EAGER)


def test_a_trials_losses_without_padding_are_those_of_padded_rows(bench, tmp_path, padding_free, monkeypatch):
    attend = Mock(side_effect=row_attention.attend)
    monkeypatch.setattr(row_attention, "attend", attend)
    losses, calls = [], []
    for path in (EAGER, *PATHS):
        fast_path.use(CPU, torch.float32, path)
        one = bench()
        one.pack.parts.rounds.padding_free = path is not EAGER
        for number, knobs in enumerate(TRIALS[:3]):  # ranks, batches, dropout and accumulation differ
            one.assign(tmp_path, number, **{"steps": 4, "label_smoothing": number / 5, **knobs})
        one.finish()
        losses.append([loss for number in range(3) for loss in one.losses(number)])
        calls.append(attend.call_count)
    assert calls[0] == 0 < calls[1] < calls[2]
    for found in losses[1:]:
        assert found == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("path", PATHS)
def test_rows_of_trials_and_of_the_base_are_scored_without_padding_as_with_it(
    bench, tmp_path, padding_free, path
):
    fast_path.use(CPU, torch.float32, path)
    one = bench()
    for number in range(2):
        one.assign(tmp_path, number, lora_rank=4 + 4 * number)
    one.turn()
    owners = [*(trial.factors for trial in one.pack.parts.members.trials.values()), None]
    rows = one.data.validation[:3]
    assert len({len(row.ids) for row in rows}) > 1
    items = [Item(owner, row) for owner in owners for row in rows]
    scored = []
    for concatenates in (False, True):
        readings = one.pack.parts.rounds._forward.rate(items, padding_free=concatenates)
        scored.append({id(item): reading for item, reading in readings})
    for item in items:
        padded, concatenated = (each[id(item)] for each in scored)
        assert concatenated.losses == pytest.approx(padded.losses, rel=1e-5, abs=1e-6)
        assert concatenated.firsts == padded.firsts


@pytest.mark.parametrize("knob", ["neftune_noise_alpha", "prompt_dropout"])
def test_rows_whose_embeddings_are_augmented_are_padded_and_so_are_their_neighbours(
    bench, tmp_path, padding_free, monkeypatch, knob
):
    attend = Mock(side_effect=row_attention.attend)
    monkeypatch.setattr(row_attention, "attend", attend)
    fast_path.use(CPU, torch.float32, PATHS[0])
    one = bench(evaluate={"every": 9})
    one.pack.parts.rounds.padding_free = True
    one.assign(tmp_path, 0, batch_size=3, **{knob: 0.4})
    one.assign(tmp_path, 1, batch_size=2)
    one.turn()
    assert not attend.called and one.losses(0) and one.losses(1)


@pytest.mark.parametrize("family", rest_slow(tiny_models.CONFIGS, 4))
def test_a_base_is_tried_before_its_rows_are_concatenated(family):
    torch.manual_seed(1)
    base = tiny_models.build_model(family, tiny_models.draw(family, 1), 2, torch.bfloat16, False)
    padding_free, note = padding_free_check.check_padding_free(
        base, PATHS[0], shared_pass_check.survey(base, find(base.model))
    )
    assert padding_free == (family not in REFUSED)
    assert ("softcap" in note) == (family in REFUSED)


def test_a_window_that_slides_and_layers_that_are_computed_again_are_kept():
    """Beyond the window of the first row's tokens."""
    torch.manual_seed(1)
    for checkpointing in (False, True):
        base = tiny_models.build_model(
            "mistral", tiny_models.draw("mistral", 1), 2, torch.float32, checkpointing
        )
        base.model.config.sliding_window = 6
        for layer in base.model.base_model.layers:
            layer.self_attn.sliding_window = 6
        assert padding_free_check._do_outputs_agree(base)


def test_a_base_whose_rows_would_see_each_other_is_padded_and_says_so(monkeypatch):
    base = tiny_models.build_model("llama", tiny_models.draw("llama", 1), 1, torch.bfloat16, False)
    survey = shared_pass_check.survey(base, find(base.model))

    def see_all(q, k, v, bounds, scale, window):
        return own(q, k, v, Bounds((len(q),), bounds.ends), scale, window)

    def scale_wrongly(*told):  # each row by itself, so that neighbours change nothing
        return 2 * own(*told)

    own = row_attention.attend
    for wrong in (see_all, scale_wrongly):
        monkeypatch.setattr(row_attention, "attend", wrong)
        padding_free, note = padding_free_check.check_padding_free(base, PATHS[0], survey)
        assert not padding_free and note.endswith("without padding it computes something else")


def test_dropout_without_padding_falls_on_the_same_elements():
    keys = torch.tensor([counter_dropout.make_row_key(3, 1, row) for row in range(2)], dtype=torch.int32)
    limits = torch.full((2,), counter_dropout.compute_threshold(0.4), dtype=torch.int32)
    whole = counter_dropout.mask(keys, limits, 5, 12, 20, torch.float32)
    starts = torch.tensor([0, 4, 8] * 2, dtype=torch.int32)
    blocks = counter_dropout.mask(
        keys.repeat_interleave(3), limits.repeat_interleave(3), 5, 4, 20, torch.float32, starts
    )
    assert torch.equal(blocks.view(whole.shape), whole)
