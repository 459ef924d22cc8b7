"""Checks that a base model is causal: a later token must not change the outputs before it."""

from __future__ import annotations

from typing import Any

import torch

from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.train.base.base_model import Base

LENGTH, KEPT = 7, 4  # tokens of the row, and how many of them are the same in both rows
CLOSE = {torch.float32: 1e-5}  # relative, where no gradient can be computed; half precisions get ROUGH
ROUGH = 2e-2


def check(base: Base, location: str) -> None:
    """Raise TrimtabError for a base model that is not causal, and for one whose activations are not finite.

    A causal model normally computes the same bits before the changed token, which ends the check. Where
    kernels round differently, the gradient decides: for a causal model it is exactly zero.
    """
    ids, changed_ids = _make_ids(base, 5), _make_ids(base, 3)
    changed_ids[:, :KEPT] = ids[:, :KEPT]
    with torch.no_grad():
        before, after = (_compute_hidden(base, row)[:, :KEPT] for row in (ids, changed_ids))
    if not before.isfinite().all():
        _refuse_infinite(base, location)
    if not torch.equal(before, after) and _is_affected(base, ids, before, after):
        raise TrimtabError.of(
            f"{sanitize(type(base.model).__name__, 80)} is not causal: a token changes the outputs "
            "before it, "
            "so it would be predicted from itself",
            location,
            "use a causal language model",
        )


def _make_ids(base: Base, apart: int) -> torch.Tensor:
    top = max(2, min(base.vocabulary, 1000))
    return ((torch.arange(LENGTH) * apart + 3) % top).unsqueeze(0).to(base.device)


def _compute_hidden(base: Base, ids: torch.Tensor) -> torch.Tensor:
    return base.model.base_model(input_ids=ids, use_cache=False)[0]


def _is_affected(base: Base, ids: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether early outputs have a gradient at later tokens; without one, differ by more than rounding."""
    captured: list[torch.Tensor] = []

    def catch(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        captured.append(output.detach().requires_grad_())
        return captured[-1]

    handle = base.model.get_input_embeddings().register_forward_hook(catch)
    try:
        with torch.enable_grad():
            _compute_hidden(base, ids)[:, :KEPT].float().square().sum().backward()
        grad = captured[0].grad
    except (RuntimeError, NotImplementedError, IndexError):
        grad = None
    finally:
        handle.remove()
    if grad is not None:
        return bool(grad[:, KEPT:].count_nonzero())
    allowed = CLOSE.get(before.dtype, ROUGH)
    return bool((before - after).float().norm() > allowed * before.float().norm())


def _refuse_infinite(base: Base, location: str) -> None:
    half = base.precision == "fp16"
    raise TrimtabError.of(
        f"the base model outputs NaN or infinity for {LENGTH} ordinary tokens in {base.precision}, so no "
        "trial could train on it",
        location,
        "set model.precision to 'bf16' or 'fp32': fp16 overflows beyond 65504"
        if half
        else "test the model outside of trimtab; download or save it again",
    )
