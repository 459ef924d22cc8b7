"""``python -m core.train.tracing.derive_formulas``: derives memory formulas of known families from traces.

The same step of models of several sizes creates the same tensors in the same order; only sizes differ. So
each tensor's size is solved as a product of model and batch widths, and the live memory at each moment is a
sum of them. Moments are kept that are the peak for some realistic model and batch. The result is used by
``core.memory.estimate``, which the engine reads without torch; a test derives a part of it again.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from core.memory.base.step_formulas import FILE, FUSED, list_symbols
from core.train.base import fused_layers
from core.train.tracing import tiny_models, traced_step
from core.train.tracing.tensor_storage_trace import Allocated, Event, Freed, Mark

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, f"bf16{FUSED}": torch.bfloat16}
TARGETS = ("all-linear", "attention", "mlp")
SEEDS = range(7)
SAMPLES = 4000  # realistic models and batches, drawn at random
ATTENTION_BACK = "aten._scaled_dot_product_flash_attention_for_cpu_backward.default"
# What the CUDA flash kernel allocates internally in its backward pass: dq in float32 and the softmax's sums.
FLASH = {"G*N*q": 4.0, "G*N*a": 4.0}
Form = dict[str, float]
Solved = list[tuple[Event, Form]]


class Underivable(Exception):
    """A tensor's size is not a product of known widths."""


def derive_forms(
    family: str, dtype: str, checkpointing: bool, targets: str, grad: bool = True
) -> dict[str, Any]:
    """Derive the formulas: ``layer``, the bytes that each further layer keeps for the backward pass, and
    ``moments``, the remaining live bytes at the peaks. Raises Underivable."""
    two_layers, three_layers = (
        _solve(family, dtype, checkpointing, targets, layers, grad) for layers in (2, 3)
    )
    layer = subtract(select_last_layer(three_layers), select_last_layer(two_layers)) if grad else {}
    rest = (
        [subtract(form, layer) for form in list_moments(two_layers)]
        if grad
        else list(list_moments(two_layers))
    )
    return {"layer": layer, "moments": list_peak_moments(rest)}


# -- sizes as products ----------------------------------------------------------------------------


def _solve(family: str, dtype: str, checkpointing: bool, targets: str, layers: int, grad: bool) -> Solved:
    """The events of one step, each with its size as a formula."""
    runs = []
    for seed in SEEDS:
        sizes = tiny_models.draw(family, seed)
        base = tiny_models.build_model(family, sizes, layers, DTYPES[dtype], checkpointing)
        batch = traced_step.draw(seed)
        sizes_of_symbols = list_symbols(traced_step.compute_widths(sizes, batch, parts=traced_step.PARTS))
        with fuse_layers(base.model) if dtype.endswith(FUSED) else nullcontext():
            events = traced_step.trace_step(base, batch, targets, grad)
        end = events.index(Mark(traced_step.OVER)) if grad else len(events)
        runs.append((sizes_of_symbols, events[:end]))
    return match_runs(runs, _solve_form)


@contextmanager
def fuse_layers(model: Any) -> Iterator[None]:
    """Let layers compute as on a GPU, where their kernels store less; PyTorch's operations stand in."""
    fused_layers.fuse(model)
    try:
        yield
    finally:
        fused_layers.restore(model)


def match_runs(runs: Sequence[tuple[dict[str, float], Sequence[Event]]], form: Callable[..., Form]) -> Solved:
    """Match the events of runs of the same step; ``form`` solves each event's size from all runs."""
    usual = Counter(len(events) for _, events in runs).most_common(1)[0][0]
    runs = [run for run in runs if len(run[1]) == usual]  # some sizes are contiguous by chance
    sides = [sides_of_run for sides_of_run, _ in runs]
    return [(same[0], form(same, sides)) for same in zip(*(events for _, events in runs), strict=True)]


def _solve_form(same: Sequence[Event], sides: Sequence[Mapping[str, float]]) -> Form:
    if not isinstance(same[0], Allocated):
        return {}
    sizes = [event.size_bytes for event in same if isinstance(event, Allocated)]
    for name, first in ((name, width) for name, width in sides[0].items() if width):
        per_unit = sizes[0] / first
        if math.log2(per_unit) % 1:  # element sizes are powers of two; other quotients fit by chance
            continue
        if all(
            abs(size - per_unit * side[name]) < 1e-6 * max(1, size)
            for size, side in zip(sizes, sides, strict=True)
        ):
            return {name: per_unit}
    if all(size <= max(256, 16 * side["N"]) for size, side in zip(sizes, sides, strict=True)):
        return {
            "N": max(size / side["N"] for size, side in zip(sizes, sides, strict=True))
        }  # small: an upper bound
    shapes = [event.shape for event in same[:3] if isinstance(event, Allocated)]
    raise Underivable(f"{same[0].operation} creates tensors of the shapes {shapes}")


# -- moments --------------------------------------------------------------------------------------


def list_live_bytes(solved: Sequence[tuple[Event, Form]]) -> Iterator[tuple[Event, Form]]:
    """Yield each event with the live bytes after it."""
    live: Form = {}
    for event, form in solved:
        if isinstance(event, Freed):
            form = {name: -value for name, value in solved[event.of][1].items()}
        for name, value in form.items():
            live[name] = live.get(name, 0.0) + value
        yield event, live


def select_last_layer(solved: Sequence[tuple[Event, Form]]) -> Form:
    """The live bytes when the last layer begins."""
    for event, live in list_live_bytes(solved):
        if event == Mark(traced_step.LAST):
            return dict(live)
    raise Underivable("the last layer was never called")


def select_per_layer(solved: Sequence[tuple[Event, Form]]) -> Form:
    """The live bytes that the layer before the last adds, as each further layer does. It must not be the
    first, whose input needs no gradient."""
    before: Form | None = None
    for event, live in list_live_bytes(solved):
        if event == Mark(traced_step.EARLIER):
            before = dict(live)
        elif event == Mark(traced_step.LAST) and before is not None:
            return subtract(live, before)
    raise Underivable("the last two layers were never called")


def list_moments(solved: Sequence[tuple[Event, Form]]) -> Iterator[Form]:
    """Yield the live bytes while the earlier layers' share is complete: from the start of the last layer to
    the end of its backward pass, or during an entire pass without gradients."""
    inside = not any(event == Mark(traced_step.LAST) for event, _ in solved)
    for event, live in list_live_bytes(solved):
        if isinstance(event, Mark):
            inside = event.name == traced_step.LAST
        elif inside and isinstance(event, Allocated):
            back = event.operation == ATTENTION_BACK
            yield {name: value for name, value in {**live, **(FLASH if back else {})}.items() if value}


def subtract(form: Form, other: Form) -> Form:
    """Subtract a form from another, without terms that vanish."""
    terms = {name: form.get(name, 0.0) - other.get(name, 0.0) for name in {**form, **other}}
    return {name: round(value, 6) for name, value in sorted(terms.items()) if abs(value) > 1e-9}


def list_peak_moments(moments: Sequence[Form]) -> list[Form]:
    """The moments that are the largest for some model and batch."""
    names = sorted({name for form in moments for name in form})
    matrix = np.array([[form.get(name, 0.0) for name in names] for form in moments])
    matrix, at = np.unique(matrix, axis=0, return_index=True)
    sides = [list_symbols(widths) for widths in draw_realistic()]
    values = np.array([[side[name] for name in names] for side in sides])
    best = np.unique(np.argmax(values @ matrix.T, axis=1))
    return [dict(sorted(moments[at[index]].items())) for index in best]


def draw_realistic(count: int = SAMPLES) -> Iterator[dict[str, float]]:
    """Yield widths of realistic models and batches, drawn at random."""
    dice = random.Random(0)
    for _ in range(count):
        width = dice.choice([64, 80, 96, 128, 256])
        groups = dice.choice([1, 2, 4, 8])
        heads = groups * dice.choice([1, 2, 3, 4, 7, 8])
        hidden = heads * width if dice.random() < 0.8 else dice.choice([576, 896, 2048, 4096, 8192])
        tokens = 2 ** dice.uniform(4, 17)
        dropped = dice.choice([0.0, tokens, tokens * dice.random()])
        kept_tokens = tokens * dice.choice([1.0, dice.uniform(0.05, 1.0)])
        vocabulary = dice.choice([32000, 49152, 128256, 152064, 262144])
        rank = 2 ** dice.uniform(0, 8)
        yield {
            "h": hidden, "i": hidden * dice.uniform(2, 8), "q": heads * width, "k": groups * width,
            "d": width, "a": heads, "v": vocabulary, "N": tokens, "D": dropped, "K": kept_tokens,
            "C": min(kept_tokens, dice.choice([48, 512]) * 2**20 / 4 / vocabulary),
            "T": min(tokens, 2 ** dice.uniform(4, 13)),
            "B": dice.uniform(1, 64), "RD": dropped * rank, "RP": (tokens - dropped) * rank,
            "W": dice.choice([0.0, 0.0, 1.03, 2.0]), "G": dice.choice([0.0, 1.0]),
        }  # fmt: skip


# -- the file -------------------------------------------------------------------------------------


def derive(family: str) -> dict[str, Any]:
    """Derive all formulas of a family, by "dtype/plain|checkpointed/targets" and "dtype/judge"."""
    formulas: dict[str, Any] = {}
    for dtype in DTYPES:
        for checkpointing in (False, True):
            for targets in TARGETS:
                key = f"{dtype}/{'checkpointed' if checkpointing else 'plain'}/{targets}"
                formulas[key] = derive_forms(family, dtype, checkpointing, targets)
        formulas[f"{dtype}/judge"] = derive_forms(family, dtype, False, "all-linear", grad=False)
    return formulas


def main() -> int:
    """Derive the formulas of the given families, or of all, and write the file."""
    families = sys.argv[1:] or list(tiny_models.CONFIGS)
    formulas = json.loads(FILE.read_text()) if FILE.exists() else {}
    for family in families:
        formulas[family] = derive(family)
        print(f"{family}: {len(json.dumps(formulas[family]))} bytes", flush=True)
        lines = [
            f'"{name}": {json.dumps(formulas[name], separators=(",", ":"))}' for name in sorted(formulas)
        ]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
