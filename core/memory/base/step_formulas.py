"""Memory of a step as sums of products of widths; see ``core.train.tracing.derive_formulas``.

Letters of the model: ``h`` hidden, ``i`` intermediate, ``q`` all query heads, ``k`` all key-value heads,
``d`` one head, ``a`` number of heads, ``g`` of key-value heads, ``v`` vocabulary.

Letters of a pass: ``N`` tokens with padding, ``B`` rows, ``T`` longest row, ``D`` tokens of trials with
dropout, ``P`` = N - D, ``RD`` and ``RP`` the same tokens times their trial's rank, ``K`` target tokens, ``C``
target tokens in one chunk of the loss. ``W`` is how many copies of a layer's weight a product makes (0 for a
dense base), ``G`` is 1 on a GPU.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("forms.json")
ROWS = ("N", "D", "P", "K", "C", "B", "T")
FUSED = " fused"  # behind a dtype: norms and feed-forward layers compute in fused kernels, which store less
MODEL = ("h", "i", "q", "k", "d", "a", "g", "v")
Form = Mapping[str, float]


def list_symbols(widths: Mapping[str, float]) -> dict[str, float]:
    """Every product of widths that a formula may name, by its name, the simplest first."""
    sizes_by_symbol = {**widths, "P": widths["N"] - widths["D"], "g": widths["k"] / widths["d"]}
    sizes_by_symbol |= {"q2k": widths["q"] + 2 * widths["k"], "2i": 2 * widths["i"]}
    products = {"1": 1.0, **{name: sizes_by_symbol[name] for name in ("RD", "RP")}}
    for row in ROWS:
        products[row] = sizes_by_symbol[row]
        products |= {
            f"{row}*{letter}": sizes_by_symbol[row] * sizes_by_symbol[letter] for letter in (*MODEL, "q2k")
        }
    products["T*T"], products["N*T"] = sizes_by_symbol["T"] ** 2, sizes_by_symbol["N"] * sizes_by_symbol["T"]
    products["N*T*a"] = (
        products["N*T"] * sizes_by_symbol["a"]
    )  # attention without SDPA, as with soft-capped scores
    for letter in ("i", "q", "k", "q2k", "2i"):
        products[f"W*h*{letter}"] = sizes_by_symbol["W"] * sizes_by_symbol["h"] * sizes_by_symbol[letter]
    products |= {letter: sizes_by_symbol[letter] for letter in ("W", *MODEL)}
    products |= {
        f"G*N*{letter}": sizes_by_symbol["G"] * sizes_by_symbol["N"] * sizes_by_symbol[letter]
        for letter in ("q", "a")
    }
    return products


def compute_value(form: Form, sides: Mapping[str, float]) -> float:
    """Bytes of ``form``; ``sides`` comes from ``list_symbols``."""
    return sum(coefficient * sides[name] for name, coefficient in form.items())


@functools.cache
def read_table() -> dict[str, Any]:
    """Formulas by family, then "dtype/plain|checkpointed/targets" or "dtype/judge": ``layer`` and
    ``list_moments``."""
    result: dict[str, Any] = json.loads(FILE.read_text())
    return result


def pick(family: str, own: Mapping[str, Any] | None, dtype: str, key: str) -> dict[str, Any]:
    """The formulas of a step (``key`` "plain/all-linear") or an evaluation ("judge") in fp32 or bf16: the
    model's ``own``, else its family's, else llama's. For fused layers without formulas those of the layers'
    own code, which stores more."""
    if own is not None:
        dtype = dtype.removesuffix(FUSED)
        formulas = own.get(f"{dtype}/{key}") or own.get(f"{dtype}/{key.split('/')[0]}/all-linear")
        if formulas is not None:
            result: dict[str, Any] = formulas
            return result
    table = read_table()
    formulas = table.get(family) or table["llama"]
    result = formulas.get(f"{dtype}/{key}") or formulas[f"{dtype.removesuffix(FUSED)}/{key}"]
    return result
