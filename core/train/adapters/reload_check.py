"""Checks that PEFT loads a saved adapter exactly as it was trained, before its trial counts as completed.

PEFT gets a copy of the base model's modules that shares all tensors, so that it needs no memory and does not
touch the model that other trials train on. Both models compute one short row.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from core.contract.text.sanitize import sanitize
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.adapters.multi_lora_linear import find_kind
from core.train.base.base_model import Base, load_rest
from core.train.device_errors import is_out_of_memory

TOKENS = 16  # length of the row
CLOSE, ROUGH = 1e-3, 5e-2  # relative to the base model's logits, in fp32 and in half precisions
ROUNDED = ("Linear8bitLt",)  # layers that round activations by the entire batch, but not in a pack


class Expected(NamedTuple):
    """The expected logits of the row, and the modules that PEFT loads the adapter into."""

    bare: torch.Tensor  # logits of the base model
    tuned: torch.Tensor  # logits with the adapter
    modules: Any


class ReloadMismatch(Exception):
    """The adapter that PEFT loads differs from the one that was trained; the text says why."""


class ReloadCheck:
    """The check. ``expect`` runs in the training thread, ``check`` in the thread that writes files."""

    def __init__(self, base: Base, stack: Stack, ids: Sequence[int]) -> None:
        self._base, self._stack, self._ids = base, stack, list(ids[:TOKENS])
        self._bare: torch.Tensor | None = None

    @torch.no_grad()
    def expect(self, factors: Factors) -> Expected | None:
        """The row's logits without and with a trial's factors, which must be in the stack.

        The logits stay on the device and are not waited for. None if there is no memory for them. The modules
        are copied here and not in the checking thread, because introspection in this thread puts hooks and
        another attention into the base model.
        """
        try:
            if self._bare is None:
                self._bare = self._compute_logits([], 1)
            return Expected(
                self._bare, self._compute_logits([(factors, [0])], 0), copy_modules(self._base.model)
            )
        except Exception as error:
            if is_out_of_memory(error):
                return None
            raise

    def _compute_logits(self, rows: Sequence[tuple[Factors, Sequence[int]]], bare: int) -> torch.Tensor:
        ids = torch.tensor([self._ids], device=self._base.device)
        self._stack.begin(self._stack.plan_pass(rows, trains=False, bare=bare))
        try:
            return self._base.model(input_ids=ids, use_cache=False).logits[0]
        finally:
            self._stack.end()

    @torch.no_grad()
    def check(self, folder: Path, expected: Expected) -> None:
        """Load the adapter in ``folder`` and compare. Raises ReloadMismatch."""
        from peft import PeftModel

        try:
            tuned = PeftModel.from_pretrained(
                expected.modules, str(folder), torch_device=str(self._base.device), low_cpu_mem_usage=True
            )
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
            if is_out_of_memory(error):
                raise
            raise ReloadMismatch(f"PEFT cannot load it: {sanitize(str(error), 300)}") from error
        load_rest(tuned)
        _compare_tensors(tuned, folder, self._base.model.dtype)
        ids = torch.tensor([self._ids], device=self._base.device)
        bare, expected_logits = expected.bare.float(), expected.tuned.float()
        allowed = (CLOSE if expected.bare.dtype == torch.float32 else ROUGH) * float(bare.norm())
        with tuned.disable_adapter():
            plain_bare = tuned(input_ids=ids, use_cache=False).logits[0].float()
        if float((plain_bare - bare).norm()) > allowed:
            return  # the copy is not equivalent: this model accesses its modules in other ways
        loaded = tuned(input_ids=ids, use_cache=False).logits[0].float()
        off = float((loaded - expected_logits).norm())
        if not off <= allowed:
            moved = float((expected_logits - bare).norm())
            raise ReloadMismatch(
                f"its logits differ from the trial's by {off:.3g}; training changed them by {moved:.3g}"
            )


def _compare_tensors(tuned: Any, folder: Path, dtype: torch.dtype) -> None:
    """Raise ReloadMismatch unless the model has exactly the tensors of the file, compared in the base model's
    ``dtype``, in which they are used."""
    from peft import get_peft_model_state_dict

    saved, loaded = load_file(folder / "adapter_model.safetensors"), get_peft_model_state_dict(tuned)
    different = sorted({*saved} ^ {*loaded})
    if different:
        raise ReloadMismatch(f"PEFT puts adapters on other layers: {sanitize(different[0], 120)}")
    for name, tensor in saved.items():
        if not torch.equal(loaded[name].cpu().to(dtype), tensor.to(dtype)):
            raise ReloadMismatch(f"PEFT loads other values into {sanitize(name, 120)}")


def copy_modules(model: Any) -> Any:
    """Copy a model's modules, sharing its tensors, with separate configurations: layers can be put into the
    copy without changing the model."""
    copies: dict[int, Any] = {}
    memo: dict[int, Any] = {}  # deepcopy's: a configuration that several modules share is shared again

    def copy(module: Any) -> Any:
        if id(module) not in copies:
            twin = copies[id(module)] = object.__new__(type(module))
            for name, value in module.__dict__.items():
                twin.__dict__[name] = _copy_own(value, memo)
            twin.__dict__.pop("forward", None)  # removes the pack's gate
            twin.__dict__["_modules"] = {
                name: child if child is None else copy(child) for name, child in module._modules.items()
            }
            if type(module).__name__ in ROUNDED:
                kind = find_kind(module)
                twin.__dict__["forward"] = lambda x: kind.forward(x)[0]
        return copies[id(module)]

    return copy(model)


def _copy_own(value: Any, memo: dict[int, Any]) -> Any:
    if hasattr(value, "_attn_implementation") and not isinstance(value, torch.nn.Module):  # a configuration
        return deepcopy(value, memo)
    return value.copy() if type(value).__name__ in ("dict", "OrderedDict") else value
