"""Counts kernels, waits and bytes of real steps on fake CUDA tensors: ``python -m tests.cuda.count_step``.

Without names it counts all cases and prints JSON; ``--table`` prints a table, ``--ops`` also the kernels by
operation. ``--write`` makes today's counts the bounds of the tests, in counts.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.cuda import fake_device

BOUNDS = Path(__file__).with_name("counts.json")
LAYERS = 24  # of the model whose counts are extrapolated
COUNTED = (1, 2)  # layers that are computed: their difference is what a layer adds


def main() -> None:
    """Count, and print or write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--ops", action="store_true")
    options = parser.parse_args()
    begin()
    counts = {name: count(name, options.ops) for name in options.cases or names()}
    if options.write:
        write(counts)
    print(table(counts) if options.table or options.ops else json.dumps(counts))


def begin() -> None:
    """Load the fake device; it must be there before torch."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    fake_device.load()
    from core.train import quiet_libraries
    from tests.cuda import fake_card

    quiet_libraries.load_peft()  # else bitsandbytes loads torch's compiler
    fake_card.install()
    fake_card.use_fast_path()
    gc.disable()  # every operation makes some cycles, and a collection walks over all of transformers


def names() -> list[str]:
    """The names of all cases."""
    from tests.cuda.step_cases import CASES

    return list(CASES)


TESTED = (
    *("uniform 1", "uniform 16", "mixed 8", "padding-free 8", "qlora 8", "score 8", "trees 8", "inspect 1"),
    "generate 8",
)
"""What the tests count: the smallest pack and the largest; batches, ranks and dropout at once, as all of them
take the same products; rows without padding; both ways to save memory at once; and what is no training."""


def count(name: str, ops: bool = False) -> dict[str, Any]:
    """Count a case on models of few layers: ``kernels`` and ``bytes`` of a model of LAYERS layers, and what
    a layer adds to them; the ``waits`` of a step by kind."""
    from tests.cuda.step_cases import CASES, SHAPES
    from tests.cuda.step_cases import count as count_case

    began, case = time.process_time(), CASES[name]
    layers = (LAYERS - 1, LAYERS) if case.whole else COUNTED
    few, more = (count_case(case, SHAPES["0.5B"]._replace(layers=each)) for each in layers)

    def total(first: int, second: int) -> int:
        return first + (LAYERS - layers[0]) * (second - first)

    found: dict[str, Any] = {
        "kernels": total(few.launches, more.launches), "kernels_per_layer": more.launches - few.launches,
        "bytes": total(few.bytes, more.bytes), "bytes_per_layer": more.bytes - few.bytes,
    }  # fmt: skip
    waits = {kind: total(few.waits[kind], more.waits[kind]) for kind in sorted({*few.waits, *more.waits})}
    found |= {"waits": sum(waits.values()), "waits_by_kind": waits, "cpu_s": time.process_time() - began}
    if ops:
        fewer, names = few.names(), more.names()
        found["ops"] = {op: total(fewer[op], number) for op, number in names.most_common()}
    return found


def count_few(name: str) -> dict[str, Any]:
    """Count a case on a model of the most layers in COUNTED only, in a third of the time: all that a change
    adds to a layer or to a step adds to this, too."""
    from tests.cuda.step_cases import CASES, SHAPES
    from tests.cuda.step_cases import count as count_case

    found = count_case(CASES[name], SHAPES["0.5B"]._replace(layers=COUNTED[-1]))
    waits = {kind: number for kind, number in found.waits.items() if number}
    return {
        "kernels": found.launches, "bytes": found.bytes, "waits": sum(waits.values()), "waits_by_kind": waits,
    }  # fmt: skip


def bound_few(bound: dict[str, Any]) -> dict[str, Any]:
    """The bound of a case, in counts.json for LAYERS layers, for what ``count_few`` counts."""
    further = LAYERS - COUNTED[-1]
    few = {key: bound[key] - further * bound[f"{key}_per_layer"] for key in ("kernels", "bytes")}
    return {**bound, **few}


def versions() -> dict[str, str]:
    """The libraries that the counts depend on."""
    return {name: version(name).split("+")[0] for name in ("torch", "transformers", "peft")}


def write(counts: dict[str, Any]) -> None:
    """Make these counts the bounds; cases that were not counted keep theirs."""
    before = json.loads(BOUNDS.read_text("utf-8"))["cases"] if BOUNDS.exists() else {}
    kept = {
        name: {key: value for key, value in found.items() if key not in ("cpu_s", "ops")}
        for name, found in {**before, **counts}.items()
        if name in names()
    }
    BOUNDS.write_text(json.dumps({"versions": versions(), "cases": kept}, indent=1) + "\n", "utf-8")


def table(counts: dict[str, Any]) -> str:
    """The counts as a table."""
    lines = [f"{'case':16} {'kernels':>8} {'a layer':>8} {'GB':>7} {'waits':>6}  kinds of waits"]
    for name, found in counts.items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in found["waits_by_kind"].items() if count)
        lines.append(
            f"{name:16} {found['kernels']:8,} {found['kernels_per_layer']:8,} {found['bytes'] / 1e9:7.1f} "
            f"{found['waits']:6}  {kinds}"
        )
        lines += [f"    {count:8,} {op}" for op, count in found.get("ops", {}).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
