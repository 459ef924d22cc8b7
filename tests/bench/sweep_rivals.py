"""A process of the sweep's own for each run, so that nobody's memory or warm-up is another's:
``python -m tests.bench.sweep_rivals WHAT PLAN_FILE RESULT_FILE``; the sweep starts it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from core.train.quiet_libraries import set_environment, silence_transformers
from tests.bench.sweep_ledger import now
from tests.bench.sweep_plan import Plan

LETTERS = {"a": "sequential", "b": "processes", "c": "trimtab", "d": "chunks"}


def sequential(plan: Plan) -> dict[str, Any]:
    from tests.bench import sweep_trainer

    return sweep_trainer.sequential(plan)


def processes(plan: Plan) -> dict[str, Any]:
    from tests.bench import sweep_processes

    return sweep_processes.processes(plan)


def trimtab(plan: Plan) -> dict[str, Any]:
    from tests.bench import sweep_pack

    return sweep_pack.packed(plan)


def chunks(plan: Plan) -> dict[str, Any]:
    from tests.bench import sweep_chunks

    return sweep_chunks.chunked(plan)


def quick(plan: Plan) -> dict[str, Any]:
    from tests.bench import sweep_quick

    return sweep_quick.compared(plan)


def prepare(plan: Plan) -> dict[str, Any]:
    """Write the base (``plan.shape``) into ``plan.base``, and say what the device is and can do."""
    import torch

    from tests.bench import sweep_shapes as shapes

    where = shapes.device()
    precision = shapes.resolved(plan.precision, where)
    flop = shapes.write_base(plan.shape, precision, Path(plan.base))
    _limit_threads(plan)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else f"{torch.get_num_threads()} threads"
    return {
        "flop": flop, "precision": precision, "device": str(where), "device_name": name,
        "threads": torch.get_num_threads(), "matrix_flop_per_s": shapes.matrix_rate(precision, where),
    }  # fmt: skip


WORK: dict[str, Callable[[Plan], dict[str, Any]]] = {
    one.__name__: one for one in (sequential, processes, trimtab, chunks, quick, prepare)
}


def apart(what: str, plan: Plan) -> dict[str, Any]:
    """``what`` in a process of its own. Raises CalledProcessError with its complaint already printed."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        file = plan.write(Path(folder) / "plan.json")
        command = [sys.executable, "-m", "tests.bench.sweep_rivals", what, str(file), str(result)]
        before, began = _others_s(), now()
        subprocess.run(command, check=True, env=_one_card())
        others = (_others_s() - before) / (now() - began) / (os.cpu_count() or 1)
        return {**json.loads(result.read_text("utf-8")), "others": max(0.0, others)}


def _one_card() -> dict[str, str]:
    """The environment with the first card alone: the Trainer would take all of them."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    return {**os.environ, "CUDA_VISIBLE_DEVICES": seen.split(",")[0]}


def _others_s() -> float:
    """Seconds of the cores that neither this process nor its ended children have used: who disturbs?"""
    times = psutil.cpu_times()
    busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "steal"))
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return busy - sum(one.ru_utime + one.ru_stime for one in own)


def _limit_threads(plan: Plan) -> None:
    import torch

    if plan.threads:
        torch.set_num_threads(plan.threads)


def main() -> None:
    """Do one thing and write its result."""
    what, plan, result = sys.argv[1:]
    set_environment()
    silence_transformers()
    read = Plan.read(Path(plan))
    _limit_threads(read)
    Path(result).write_text(json.dumps(WORK[what](read)), "utf-8")


if __name__ == "__main__":
    main()
