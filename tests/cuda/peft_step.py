"""The rival: one step of one trial with PEFT's own layers, as transformers' Trainer makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from core.train.base.base_model import Base
from core.train.tracing.traced_step import Part
from tests.cuda.fake_card import CUDA, modules_in_place


def prepare(base: Base, part: Part, length: int) -> Callable[[], None]:
    """A step of PEFT's model with adapters in the base's dtype, without autocast: PEFT at its fastest."""
    with modules_in_place(base.model.dtype):
        model = _adapt(base.model, part)
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    adamw = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True)
    ids = [[1 + at % 7 for at in range(length)]] * part.rows
    total = torch.zeros((), device=CUDA)

    def step() -> None:
        batch = torch.tensor(ids).to(CUDA)
        mask, labels = torch.ones(part.rows, length, dtype=torch.int64).to(CUDA), torch.tensor(ids).to(CUDA)
        loss = model(input_ids=batch, attention_mask=mask, labels=labels).loss
        loss.backward()
        total.add_(loss.detach())
        loss.detach().isfinite().item()  # the Trainer's logging_nan_inf_filter
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        adamw.step()
        adamw.zero_grad(set_to_none=True)

    return step


def _adapt(model: Any, part: Part) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=part.rank, lora_alpha=2 * part.rank, lora_dropout=part.dropout, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    return get_peft_model(model, config, autocast_adapter_dtype=False).train()
