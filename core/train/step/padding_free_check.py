"""Tries whether a base computes padding-free batches as it does padded rows, before trials rely on it."""

from __future__ import annotations

from typing import Any

import torch

from core.contract.text.sanitize import sanitize
from core.train.base.base_model import Base
from core.train.base.shared_pass_check import Survey, close
from core.train.data.dataset import Row
from core.train.kernels import pinned_transfer
from core.train.kernels.fast_path import FastPath
from core.train.kernels.row_attention import Bounds
from core.train.step import padding_free_batch
from core.train.step.forward_pass import pad_ids
from core.train.step.padding_free_batch import RowAttention

LENGTHS = (37, 5)  # tokens of the rows: more than a block, and less


def check_padding_free(base: Base, path: FastPath, survey: Survey) -> tuple[bool, str]:
    """Whether passes may be padding-free, and what to tell the user where only the base prevents it.

    Without the fused kernels trials with different numbers of rows share no product, and dropout of
    concatenated rows needs its kernel.
    """
    kernels = path.dropout and (path.adapters or path.grouped)
    if not kernels or survey.astray or survey.why_alone or base.model.dtype == torch.float32:
        return False, ""  # flash attention has no float32
    try:
        fault = "" if _do_outputs_agree(base) else "it computes something else"
    except torch.AcceleratorError:
        raise
    except Exception as error:
        fault = f"{type(error).__name__}: {sanitize(str(error), 160)}"
    note = f"rows are padded to the longest of their pass, training is slower: without padding {fault}"
    return not fault, note if fault else ""


def _do_outputs_agree(base: Base) -> bool:
    """Whether outputs and gradients of concatenated rows are those of padded rows, and a row's outputs have
    the same bits after another one."""
    top = max(2, min(base.vocabulary, 1000))
    texts = [[(7 * at + number) % top for at in range(length)] for number, length in enumerate(LENGTHS)]
    rows = [Row(ids, ids) for ids in texts]
    changed_rows = [Row([(ids + 1) % top for ids in texts[0]], texts[0]), rows[1]]
    joint, joint_grads = _compute_concatenated(base, rows)
    padded, padded_grads = _compute_padded(base, rows)
    agree = all(close(*pair) for pair in zip(joint + joint_grads, padded + padded_grads, strict=True))
    return agree and torch.equal(_compute_concatenated(base, changed_rows)[0][1], joint[1])


Parts = list[torch.Tensor]  # (tokens, H) of each row


def _compute_concatenated(base: Base, rows: list[Row]) -> tuple[Parts, Parts]:
    batch = padding_free_batch.concatenate(rows, base.pad_id)
    on_host = (batch.ids, batch.positions, batch.ends)
    ids, positions, ends = pinned_transfer.copy_to_device(base.device, *on_host)
    with RowAttention(base.model).within(Bounds(batch.lengths, ends)):
        begins = batch.ends.tolist()
        places = [slice(begin, begin + len(row.ids)) for begin, row in zip(begins, rows, strict=False)]
        return _compute(base, [(0, place) for place in places], input_ids=ids, position_ids=positions)


def _compute_padded(base: Base, rows: list[Row]) -> tuple[Parts, Parts]:
    (ids,) = pinned_transfer.copy_to_device(base.device, pad_ids(rows, base.pad_id))
    return _compute(base, [(at, slice(len(row.ids))) for at, row in enumerate(rows)], input_ids=ids)


def _compute(base: Base, places: list[tuple[int, slice]], **inputs: torch.Tensor) -> tuple[Parts, Parts]:
    """The hidden states at ``places``, and the gradient of their sum, with weights, by the embeddings there:
    sums of normalised numbers, or of their squares, have hardly any."""
    embedded: list[torch.Tensor] = []

    def catch(module: Any, given: Any, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    handle = base.model.get_input_embeddings().register_forward_hook(catch)
    try:
        with torch.enable_grad():
            hidden = base.model.base_model(**inputs, use_cache=False).last_hidden_state
            parts = [hidden[place] for place in places]
            weights = torch.arange(hidden.shape[-1], device=base.device).cos()
            torch.stack([(part.float() * weights).sum() for part in parts]).sum().backward()
    finally:
        handle.remove()
    grad = embedded[0].grad
    assert grad is not None
    return [part.detach() for part in parts], [grad[place] for place in places]
