"""Whether a base sees the future: a later token must not change what stands before it."""

from __future__ import annotations

from typing import Any

import torch

from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.train.base.base_model import Base

LENGTH, KEPT = 7, 4  # tokens of the row, and how many stay as they are
CLOSE = {torch.float32: 1e-5}  # relative, where no gradient can be had; half precisions get
ROUGH = 2e-2


def check(base: Base, where: str) -> None:
    """Raises TrimtabError for a base that is not causal, and for one whose activations are not finite.

    A causal base computes the same bits before the token that is changed, and the check ends with that.
    Where kernels round by what else is in the batch, the gradient decides: it is exactly zero.
    """
    ids, other = _ids(base, 5), _ids(base, 3)
    other[:, :KEPT] = ids[:, :KEPT]
    with torch.no_grad():
        before, after = (_hidden(base, one)[:, :KEPT] for one in (ids, other))
    if not before.isfinite().all():
        _refuse_infinite(base, where)
    if not torch.equal(before, after) and _sees(base, ids, before, after):
        raise TrimtabError.of(
            f"{plain(type(base.model).__name__, 80)} is not causal: a token changes what stands before it, "
            "so that each would be predicted from itself",
            where,
            "take a causal language model",
        )


def _ids(base: Base, apart: int) -> torch.Tensor:
    top = max(2, min(base.vocabulary, 1000))
    return ((torch.arange(LENGTH) * apart + 3) % top).unsqueeze(0).to(base.device)


def _hidden(base: Base, ids: torch.Tensor) -> torch.Tensor:
    return base.model.base_model(input_ids=ids, use_cache=False)[0]


def _sees(base: Base, ids: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> bool:
    """Does the gradient of early places reach later tokens? Without a gradient, is the change no rounding?"""
    kept: list[torch.Tensor] = []

    def catch(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    handle = base.model.get_input_embeddings().register_forward_hook(catch)
    try:
        with torch.enable_grad():
            _hidden(base, ids)[:, :KEPT].float().square().sum().backward()
        found = kept[0].grad
    except (RuntimeError, NotImplementedError, IndexError):
        found = None
    finally:
        handle.remove()
    if found is not None:
        return bool(found[:, KEPT:].count_nonzero())
    allowed = CLOSE.get(before.dtype, ROUGH)
    return bool((before - after).float().norm() > allowed * before.float().norm())


def _refuse_infinite(base: Base, where: str) -> None:
    half = base.precision == "fp16"
    raise TrimtabError.of(
        f"the base itself gives NaN or infinity for {LENGTH} plain tokens in {base.precision}: no trial "
        "could train on it",
        where,
        "take model.precision = 'bf16' or 'fp32': fp16 ends at 65504"
        if half
        else "load the model elsewhere and look at what it writes; download or save it again",
    )
