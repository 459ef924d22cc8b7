"""A trained adapter is loaded back by PEFT before its trial counts: people must load what was trained.

PEFT gets a copy of the base's modules that shares every tensor with it, so that neither memory nor the base
that others train on takes any part. One short row goes through both.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from core.contract.text.sanitize import plain
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.adapters.multi_lora_linear import kind_of
from core.train.base.base_model import Base, rest

TOKENS = 16  # of the row
CLOSE, ROUGH = 1e-3, 5e-2  # of the base's logits, in fp32 and in half precisions
ROUNDED = ("Linear8bitLt",)  # round activations by the whole batch when called, and not in a pack


class Expected(NamedTuple):
    """What a row gives, and the modules that PEFT is to load the adapter into."""

    bare: torch.Tensor  # logits of the base
    tuned: torch.Tensor  # and with the adapter
    modules: Any


class Unlike(Exception):
    """The adapter as PEFT loads it is not what was trained; the text says why."""


class Reload:
    """``expect`` belongs to the thread that trains, ``check`` to the one that writes files."""

    def __init__(self, base: Base, stack: Stack, ids: Sequence[int]) -> None:
        self._base, self._stack, self._ids = base, stack, list(ids[:TOKENS])
        self._bare: torch.Tensor | None = None

    @torch.no_grad()
    def expect(self, mine: Factors) -> Expected | None:
        """What the row gives without and with a trial's factors, which are in the stack; on the device, and
        not waited for. None where there is no memory for it. The modules are copied here and not by the
        thread that checks: this one puts hooks and another attention into the base while it looks inside."""
        try:
            if self._bare is None:
                self._bare = self._logits([], 1)
            return Expected(self._bare, self._logits([(mine, [0])], 0), shadow(self._base.model))
        except torch.OutOfMemoryError:
            return None

    def _logits(self, rows: Sequence[tuple[Factors, Sequence[int]]], bare: int) -> torch.Tensor:
        ids = torch.tensor([self._ids], device=self._base.device)
        self._stack.begin(self._stack.lay(rows, False, bare))
        try:
            return self._base.model(input_ids=ids, use_cache=False).logits[0]
        finally:
            self._stack.end()

    @torch.no_grad()
    def check(self, folder: Path, expected: Expected) -> None:
        """Load the adapter in ``folder`` and compare. Raises Unlike."""
        from peft import PeftModel

        try:
            tuned = PeftModel.from_pretrained(
                expected.modules, str(folder), torch_device=str(self._base.device), low_cpu_mem_usage=True
            )
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
            raise Unlike(f"PEFT cannot load it: {plain(str(error), 300)}") from error
        rest(tuned)
        _compare_tensors(tuned, folder, self._base.model.dtype)
        ids = torch.tensor([self._ids], device=self._base.device)
        bare, wanted = expected.bare.float(), expected.tuned.float()
        allowed = (CLOSE if expected.bare.dtype == torch.float32 else ROUGH) * float(bare.norm())
        with tuned.disable_adapter():
            plain_bare = tuned(input_ids=ids, use_cache=False).logits[0].float()
        if float((plain_bare - bare).norm()) > allowed:
            return  # the copy is none: this model finds its modules in other ways
        found = tuned(input_ids=ids, use_cache=False).logits[0].float()
        off = float((found - wanted).norm())
        if not off <= allowed:
            moved = float((wanted - bare).norm())
            raise Unlike(
                f"its logits differ from those of the trial by {off:.3g}, of {moved:.3g} that training "
                "has moved them"
            )


def _compare_tensors(tuned: Any, folder: Path, dtype: torch.dtype) -> None:
    """Every tensor of the file must stand in the model, and none besides; as it is in the base's ``dtype``,
    in which it is computed with."""
    from peft import get_peft_model_state_dict

    held, found = load_file(folder / "adapter_model.safetensors"), get_peft_model_state_dict(tuned)
    stray = sorted({*held} ^ {*found})
    if stray:
        raise Unlike(f"PEFT puts adapters on other layers: {plain(stray[0], 120)}")
    for name, tensor in held.items():
        if not torch.equal(found[name].cpu().to(dtype), tensor.to(dtype)):
            raise Unlike(f"PEFT loads other numbers into {plain(name, 120)}")


def shadow(model: Any) -> Any:
    """A copy of a model's modules with the same tensors and configurations of its own: layers may be put into
    it, and the model stays."""
    made: dict[int, Any] = {}
    seen: dict[int, Any] = {}  # deepcopy's: a configuration that several modules share is shared again

    def copy(module: Any) -> Any:
        if id(module) not in made:
            twin = made[id(module)] = object.__new__(type(module))
            for name, value in module.__dict__.items():
                twin.__dict__[name] = _own(value, seen)
            twin.__dict__.pop("forward", None)  # the gate of the pack
            twin.__dict__["_modules"] = {
                name: one if one is None else copy(one) for name, one in module._modules.items()
            }
            if type(module).__name__ in ROUNDED:
                kind = kind_of(module)
                twin.__dict__["forward"] = lambda x: kind.forward(x)[0]
        return made[id(module)]

    return copy(model)


def _own(value: Any, seen: dict[int, Any]) -> Any:
    if hasattr(value, "_attn_implementation") and not isinstance(value, torch.nn.Module):  # a configuration
        return deepcopy(value, seen)
    return value.copy() if type(value).__name__ in ("dict", "OrderedDict") else value
