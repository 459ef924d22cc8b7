"""The time of a step on GPUs that are not here, *projected*: ``python -m tests.bench.roofline [NAME…]``.

The kernels, bytes and FLOPs of real steps are counted on fake CUDA tensors (tests/cuda), with real widths.
One layer and two are counted, and each other layer adds what the second did; ``--whole`` counts all layers,
which takes ten times as long and matters where something is shared by several layers. A kernel takes the
longest of its FLOPs at RATE of the card's peak, its bytes at the card's bandwidth, and FLOOR_S; the host
takes LAUNCH_S for each. The step takes the longer of both. Nothing stays in a cache, which is too slow for
one or two trials. cuBLAS reaches RATE everywhere, which is too fast for small products: in the column "tiles"
a product uses only the multiprocessors that its output fills.

All fused kernels are taken to work. Where the kernels for uneven trials are left out, mixed trials take more;
most on an A100 and an RTX 4090, which have no grouped products.

The rival is PEFT, one trial after another, with adapters in bf16 and no autocast: PEFT at its fastest.
Whether a step fits in the card's memory is not checked.
"""

from __future__ import annotations

import argparse
import functools
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.cuda import count_step

if TYPE_CHECKING:
    from tests.cuda.op_counter import Kernel
    from tests.cuda.step_cases import Case

RATE = 0.8  # share of the peak FLOP/s that large products reach
FLOOR_S = 2e-6  # of the shortest kernel
LAUNCH_S = (4e-6, 6e-6)  # of the host for a kernel: a fast one, and an ordinary one


@dataclass(frozen=True)
class Card:
    """A GPU: peak dense FLOP/s in bf16 and in float32 without TF32, bytes/s, and multiprocessors."""

    name: str
    bf16: float
    fp32: float
    bandwidth: float
    multiprocessors: int

    def device_s(self, kernels: Sequence[Kernel], tiles: bool = False) -> float:
        """Seconds that the kernels take one after another."""
        return sum(self._kernel_s(kernel, tiles) for kernel in kernels)

    def _kernel_s(self, kernel: Kernel, tiles: bool) -> float:
        rate = RATE * (self.fp32 if kernel.single else self.bf16)
        if tiles and kernel.tiles:
            waves = -(-kernel.tiles // self.multiprocessors)
            rate *= kernel.tiles / (waves * self.multiprocessors)
        return max(FLOOR_S * kernel.launches, kernel.flops / rate, kernel.bytes / self.bandwidth)


# the makers' data sheets: SXM5, SXM5, SXM4 80 GB, and Ada with float32 accumulation
CARDS = (
    Card("H100", 989e12, 67e12, 3.35e12, 132),
    Card("H200", 989e12, 67e12, 4.8e12, 132),
    Card("A100", 312e12, 19.5e12, 2.04e12, 108),
    Card("RTX 4090", 165e12, 82.6e12, 1.01e12, 128),
)


@dataclass(frozen=True)
class Counted:
    """The kernels of a step with one layer, those with two, and the number of ``further`` layers."""

    one: list[Kernel]
    two: list[Kernel]
    further: int

    def total(self, amount: Callable[[list[Kernel]], float]) -> float:
        """An amount of the step with all its layers."""
        return amount(self.two) + self.further * (amount(self.two) - amount(self.one))

    def step_s(self, card: Card, launch_s: float) -> float:
        """Seconds that the step takes: of the host or the device, whichever is slower."""
        return max(launch_s * self.total(_launches), self.total(card.device_s))


def _launches(kernels: list[Kernel]) -> int:
    return sum(kernel.launches for kernel in kernels)


@dataclass(frozen=True)
class Step:
    """A step of a pack, and PEFT's steps for the same trials."""

    name: str
    tokens: int
    counted: Counted
    rivals: list[Counted]

    def row(self, card: Card) -> str:
        """Its line in the table of a card."""
        mine = [self.counted.step_s(card, each) for each in LAUNCH_S]
        theirs = [sum(rival.step_s(card, each) for rival in self.rivals) for each in LAUNCH_S]
        ratio = _range([their / my for their, my in zip(theirs, mine, strict=True)]) if self.rivals else "–"
        total = self.counted.total
        launches = total(_launches)
        cells = (
            self.name, f"{self.tokens:,}", f"{launches:,.0f}",
            f"{total(lambda kernels: sum(kernel.flops for kernel in kernels)) / 1e12:.1f}",
            f"{total(lambda kernels: sum(kernel.bytes for kernel in kernels)) / 1e9:.1f}",
            _range([1e3 * launches * each for each in LAUNCH_S]),
            *(f"{1e3 * total(lambda kernels, t=t: card.device_s(kernels, t)):.1f}" for t in (False, True)),
            _range([1e3 * each for each in mine]), f"{self.tokens / mine[0] / 1e3:.1f}", ratio,
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


HEADER = (
    "step", "tokens", "kernels", "TFLOP", "GB", "host ms", "device ms", "tiles ms", "step ms", "1000 tok/s",
    "× PEFT in sequence",
)  # fmt: skip


def main() -> None:
    """Count, and print a table for each card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="steps, such as '7B mixed 4'; default: all")
    parser.add_argument("--whole", action="store_true", help="count all layers")
    options = parser.parse_args()
    count_step.begin()
    steps = measure(options.names, options.whole)
    for card in CARDS:
        launch_us = _range([1e6 * each for each in LAUNCH_S], 0)
        print(f"\n{card.name}, *projected* (the host takes {launch_us} µs a kernel)\n")
        print(f"| {' | '.join(HEADER)} |\n|{' --- |' * len(HEADER)}")
        for step in steps:
            print(step.row(card))


def measure(names: Sequence[str], whole: bool) -> list[Step]:
    """Count the steps with these names, or all; with ``whole`` with all layers."""
    count = functools.cache(functools.partial(_count, whole=whole))
    chosen = {name: step for name, step in cases().items() if not names or name in names}
    return [
        Step(name, case.tokens, count(model, case), [count(model, rival) for rival in _rivals(case)])
        for name, (model, case) in chosen.items()
    ]


def _count(model: str, case: Case, whole: bool) -> Counted:
    from tests.cuda.step_cases import SHAPES, count

    shape = SHAPES[model]
    layers = (shape.layers, shape.layers) if whole else (1, 2)
    counted = {each: count(case, shape._replace(layers=each)).kernels for each in sorted({*layers})}
    gc.collect()  # ``begin`` stopped collections
    return Counted(counted[layers[0]], counted[layers[1]], shape.layers - layers[1])


def cases() -> dict[str, tuple[str, Case]]:
    """The steps of the table: the model and the trials."""
    from tests.cuda.step_cases import CASES, DROPOUT, MIXED, Case, Part

    chosen = {f"0.5B {name}": ("0.5B", case) for name, case in CASES.items() if case.kind == "learn"}
    four = (Part(16, 1),) * 4
    return chosen | {
        "7B uniform 1": ("7B", Case(four[:1])),
        "7B uniform 4": ("7B", Case(four)),
        "7B dropout 4": ("7B", Case((Part(16, 1, DROPOUT),) * 4)),
        "7B mixed 4": ("7B", Case((*MIXED[:2], *MIXED[-2:]))),
        "7B nf4 4": ("7B", Case(four, precision="nf4")),
    }


def _rivals(case: Case) -> list[Case]:
    """A step of PEFT for each trial. None for rows of other lengths, which PEFT's step does not have, and
    for quantised bases, whose layers in PEFT need a real GPU."""
    from tests.cuda.step_cases import Case

    if case.precision != "bf16" or case.longer:
        return []
    return [Case((part,), "peft", checkpointing=case.checkpointing) for part in case.parts]


def _range(values: Sequence[float], digits: int = 1) -> str:
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low}–{high}"


if __name__ == "__main__":
    main()
