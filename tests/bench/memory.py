"""``python -m tests.bench.memory``: foretold against measured, on a grid of shapes, precisions and packs.

On a GPU the measure is ``torch.cuda.max_memory_allocated``; on a CPU what lives before a step, and the most
that torch's profiler sees allocated on top of it during a step and an evaluation. Goals: median error under
3 %, worst under 8 %, never more than 3 % too low.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.worker_api import Assign
from core.memory.base import config_json_lookup
from core.memory.estimate import pack_memory_estimate, trial_tensor_sizes
from core.memory.estimate.device_constants import Device
from core.memory.estimate.pack_memory_estimate import Setting
from core.train.adapters import optimizers
from core.train.base.base_model import Base, load_section
from core.train.data.dataset import Data, Row
from core.train.pack.trial_pack import Pack
from core.train.progress_callback import report_nothing
from tests.bench import sweep_shapes as shapes

GIB = 2**30
GRIDS = {
    "cpu": {
        "shape": ("tiny", "135m"), "precision": ("fp32", "bf16", "nf4", "int8"), "batch": (1, 4),
        "length": (64, 192), "rank": (4, 64), "checkpointing": (False, True), "pack": (1, 4),
    },
    "cuda": {
        "shape": ("0.5b", "1.5b", "7b"), "precision": ("bf16", "nf4"), "batch": (1, 4),
        "length": (512, 2048), "rank": (8, 64), "checkpointing": (False, True), "pack": (1, 4),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One point of the grid; every trial of its pack is alike."""

    shape: str
    precision: str
    checkpointing: bool
    batch: int
    length: int
    rank: int
    pack: int


def spec(case: Case, folder: Path) -> StudySpec:
    """The case as a study."""
    return spec_file.parse({
        "study": {"name": "memory"},
        "model": {
            "base": str(folder), "precision": case.precision, "gradient_checkpointing": case.checkpointing,
        },
        "data": {"source": str(folder / "rows.jsonl")},
        "train": {
            "steps": 4, "sequence_length": case.length, "batch_size": case.batch, "lora_rank": case.rank,
        },
        "evaluate": {"every": 2, "rows": 8, "batch_size": 2},
    })  # fmt: skip


def rows(case: Case) -> Data:
    """Rows as long as they may be; every token is a target."""
    ids = [1 + at % 200 for at in range(case.length)]
    return Data([Row(ids, ids)] * 16, [Row(ids, ids)] * 8)


def measured(case: Case, base: Base, folder: Path) -> int:
    """Bytes at the fullest moment of a step and an evaluation after the first step."""
    study = spec(case, folder)
    pack = Pack(study, base, rows(case), lambda event: None)
    for number in range(case.pack):
        place = folder / "trials" / f"{number}-{time.monotonic_ns()}"
        place.mkdir(parents=True)
        pack.do(Assign(number, study.train, str(place)))
    pack.parts.keeper.keep = lambda trial: None  # type: ignore[method-assign]  # on a CPU the copies would count
    pack.turn()
    try:
        return _on_card(base, pack) if base.device.type == "cuda" else _on_host(base, pack)
    finally:
        release(base)


def release(base: Base) -> None:
    """Take the gates off: another pack will stand on the base."""
    for module in base.model.modules():
        module.__dict__.pop("forward", None)


def _turns(pack: Pack) -> None:
    for _ in range(2 + 4):  # a step, the four batches of an evaluation, a step
        pack.turn()
    pack.settle()


def _on_card(base: Base, pack: Pack) -> int:
    torch.cuda.synchronize(base.device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(base.device)
    _turns(pack)
    return torch.cuda.max_memory_allocated(base.device)


def _on_host(base: Base, pack: Pack) -> int:
    from torch.profiler import ProfilerActivity, profile

    before = sum(one.numel() * one.element_size() for one in _held(base, pack))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        _turns(pack)
    live = most = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            most = max(most, live)
    return before + most


def _held(base: Base, pack: Pack) -> Iterator[torch.Tensor]:
    for one in [*base.model.parameters(), *base.model.buffers()]:
        yield one
        state = getattr(one, "quant_state", None)
        if state is not None:
            yield from (state.absmax, state.code)
            if state.nested:
                yield from (state.state2.absmax, state.state2.code)
    for module in base.model.modules():
        if type(module).__name__ == "Linear8bitLt" and module.weight.SCB is not None:
            yield module.weight.SCB
    for group in pack.parts.stack.groups:
        yield from (group.weights, group.grads)
    for member in pack.parts.members.values():
        yield member.trial.factors.matrix
        yield from optimizers.list_tensors(member.trial.optimizer)[0].values()


def foretold(case: Case, folder: Path, device: Device) -> int:
    """Bytes, from the configuration alone."""
    study = spec(case, folder)
    setting = Setting(case.precision, checkpointing=case.checkpointing, judged=2)
    needs = [trial_tensor_sizes.compute_need(study.train, number) for number in range(case.pack)]
    return pack_memory_estimate.estimate_memory(
        config_json_lookup.read_model(str(folder)), setting, needs, device
    ).peak_bytes


def device() -> Device:
    """Where this runs; of the constants only the allocator's count here."""
    if torch.cuda.is_available():
        major = torch.cuda.get_device_capability()[0]
        return Device("cuda", torch.cuda.get_device_name(), workspace_bytes=(32 if major >= 9 else 8) * 2**20)
    return Device("cpu", "cpu", workspace_bytes=0)


def run(grid: dict[str, tuple], say: Callable[[str], None]) -> list[float]:
    """The table; returns the errors as parts of what was measured."""
    where, errors = device(), []
    torch_device = shapes.device()
    for shape, precision, checkpointing in itertools.product(
        grid["shape"], grid["precision"], grid["checkpointing"]
    ):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            shapes.write_base(shape, "fp32" if precision == "fp32" else "bf16", folder)
            first = Case(shape, precision, checkpointing, 1, 64, 4, 1)
            base = load_section(spec(first, folder).model, torch_device, report_nothing)
            for batch, length, rank, pack in itertools.product(
                grid["batch"], grid["length"], grid["rank"], grid["pack"]
            ):
                case = Case(shape, precision, checkpointing, batch, length, rank, pack)
                found = _judged(case, base, folder, where, say)
                errors += [] if found is None else [found]
            del base
    return errors


def _judged(case: Case, base: Base, folder: Path, where: Device, say: Callable[[str], None]) -> float | None:
    label = (
        f"{case.shape:<5} {case.precision:<5} {'checkpointed' if case.checkpointing else 'plain':<13}"
        f"{case.pack} × {case.batch} × {case.length:<5} r {case.rank:<3}"
    )
    told = foretold(case, folder, where)
    try:
        seen = measured(case, base, folder)
    except torch.OutOfMemoryError:
        say(f"{label} foretold {told / GIB:8.3f} GiB   out of memory")
        return None
    error = told / seen - 1
    say(f"{label} foretold {told / GIB:8.3f} GiB   measured {seen / GIB:8.3f} GiB   {error:+7.2%}")
    return error


def main() -> None:
    """Print the table and what it comes to."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--shapes", help="instead of the grid's, with commas")
    options.add_argument("--precisions", help="likewise")
    options.add_argument("--quick", action="store_true", help="one batch, length and rank")
    chosen = options.parse_args()
    grid = dict(GRIDS["cuda" if torch.cuda.is_available() else "cpu"])
    for name, given in (("shape", chosen.shapes), ("precision", chosen.precisions)):
        if given:
            grid[name] = tuple(given.split(","))
    if chosen.quick:
        grid |= {name: grid[name][-1:] for name in ("batch", "length", "rank")}
    with nullcontext():
        errors = run(grid, lambda line: print(line, flush=True))
    sizes = sorted(map(abs, errors))
    print(
        f"\n{len(errors)} cases on {device().name}: median error {statistics.median(sizes):.2%}, worst "
        f"{sizes[-1]:.2%}, lowest {min(errors):+.2%}"
    )


if __name__ == "__main__":
    main()
