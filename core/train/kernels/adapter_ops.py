"""Products of each trial's tokens with its own factors, one CUDA kernel each, with dropout inside.

``trimtab::shrink`` goes from channels to ranks, ``trimtab::expand`` back and adds, ``trimtab::learn`` is the
gradient of factors. They read the tokens once, where dropout and a product of its own would write and read
them again, and take trials with any number of rows. On a CPU they run PyTorch's operations, for tests.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from core.train.kernels import counter_dropout

MOST = 256  # of a rank: a kernel holds a tile of all ranks

_LIBRARY = torch.library.Library("trimtab", "FRAGMENT")
_ROWS = "Tensor slots, Tensor ends, Tensor keys, Tensor thresholds, Tensor scales, Tensor starts"
_WHERE = f"{_ROWS}, int place, int length, bool drops"
_LIBRARY.define(f"shrink(Tensor x, Tensor factors, {_WHERE}) -> Tensor")
_LIBRARY.define(f"expand(Tensor(a!) total, Tensor down, Tensor factors, {_WHERE}) -> ()")
_LIBRARY.define(f"learn(Tensor(a!) grad, Tensor down, Tensor x, {_WHERE}, bool add) -> ()")

shrink: Any = torch.ops.trimtab.shrink.default
expand: Any = torch.ops.trimtab.expand.default
learn: Any = torch.ops.trimtab.learn.default

ROWS = 6  # tensors of Spots; place, length and drops follow them


class Spots(NamedTuple):
    """The rows of a run: each row's ``slots`` index, the row after each slot's last in ``ends``, both int32,
    and the dropout words of the rows."""

    slots: torch.Tensor
    ends: torch.Tensor
    keys: torch.Tensor
    thresholds: torch.Tensor
    scales: torch.Tensor
    starts: torch.Tensor

    @property
    def first(self) -> Spots:
        """As if all tokens were one row."""
        return self._replace(**{name: getattr(self, name)[:1] for name in self._fields if name != "ends"})


def _cuda_shrink(x: torch.Tensor, factors: torch.Tensor, *dropout_arguments: Any) -> torch.Tensor:
    """(x ∘ mask) factorsᵀ: (tokens, rank), of ``x`` (tokens, channels), contiguous, and ``factors``
    (slots, rank, channels), whose channels are neighbours."""
    from core.train.kernels import adapter_kernels

    out = _meta_shrink(x, factors)
    adapter_kernels.shrink(x, factors, out, Spots(*dropout_arguments[:ROWS]), *dropout_arguments[ROWS:])
    return out


def _cuda_expand(
    total: torch.Tensor, down: torch.Tensor, factors: torch.Tensor, *dropout_arguments: Any
) -> None:
    """Add (down factors) ∘ mask to ``total`` (tokens, channels), contiguous."""
    from core.train.kernels import adapter_kernels

    adapter_kernels.expand(total, down, factors, Spots(*dropout_arguments[:ROWS]), *dropout_arguments[ROWS:])


def _cuda_learn(grad: torch.Tensor, down: torch.Tensor, x: torch.Tensor, *dropout_arguments: Any) -> None:
    """Write downᵀ (x ∘ mask) of each slot's tokens to ``grad`` (slots, rank, channels), or add it."""
    from core.train.kernels import adapter_kernels

    adapter_kernels.learn(grad, down, x, Spots(*dropout_arguments[:ROWS]), *dropout_arguments[ROWS:])


def _dropped(x: torch.Tensor, dropout_arguments: tuple[Any, ...]) -> torch.Tensor:
    """``x`` after dropout, as (rows, length, channels)."""
    spots, (place, length, drops) = Spots(*dropout_arguments[:ROWS]), dropout_arguments[ROWS : ROWS + 3]
    x = x.view(len(spots.slots), length, -1)
    if not drops:
        return x
    keys, channels = spots.keys, x.shape[-1]
    return x * counter_dropout.mask(keys, spots.thresholds, place, length, channels, x.dtype, spots.starts)


def _cpu_shrink(x: torch.Tensor, factors: torch.Tensor, *dropout_arguments: Any) -> torch.Tensor:
    turned = factors.index_select(0, dropout_arguments[0]).transpose(1, 2)
    return torch.bmm(_dropped(x, dropout_arguments), turned).flatten(0, 1)


def _cpu_expand(
    total: torch.Tensor, down: torch.Tensor, factors: torch.Tensor, *dropout_arguments: Any
) -> None:
    rows = down.view(len(dropout_arguments[0]), dropout_arguments[ROWS + 1], -1)
    total.add_(
        _dropped(torch.bmm(rows, factors.index_select(0, dropout_arguments[0])), dropout_arguments).view(
            total.shape
        )
    )


def _cpu_learn(grad: torch.Tensor, down: torch.Tensor, x: torch.Tensor, *dropout_arguments: Any) -> None:
    rows = down.view(len(dropout_arguments[0]), dropout_arguments[ROWS + 1], -1).transpose(1, 2)
    product = torch.bmm(rows, _dropped(x, dropout_arguments)).to(grad.dtype)
    (grad if dropout_arguments[ROWS + 3] else grad.zero_()).index_add_(0, dropout_arguments[0], product)


def _meta_shrink(x: torch.Tensor, factors: torch.Tensor, *dropout_arguments: Any) -> torch.Tensor:
    return x.new_empty(x.shape[0], factors.shape[1])


for _name, _cuda, _cpu, _meta in (
    ("shrink", _cuda_shrink, _cpu_shrink, _meta_shrink),
    ("expand", _cuda_expand, _cpu_expand, lambda *given: None),
    ("learn", _cuda_learn, _cpu_learn, lambda *given: None),
):
    _LIBRARY.impl(_name, _cuda, "CUDA")
    _LIBRARY.impl(_name, _cpu, "CPU")
    _LIBRARY.impl(_name, _meta, "Meta")
