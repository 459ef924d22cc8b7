"""Trains the configurations of ``surface.csv`` for real: ``python -m tests.bench.surface_record``.

A tiny Llama is first taught to repeat words in several ways; each configuration is then an adapter on it that
has to learn a table of partners by heart, trained by trimtab's own pack on a CPU and judged on other rows
of the same task every 4 of 32 steps. The configurations are points of a scrambled Sobol sequence in the space
of ``tests.bench.surface``. Ten minutes on one core; another machine gives the same table but for rounding.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from scipy.stats import qmc

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.worker_api import Assign
from core.train.base.base_model import load_base
from core.train.data.dataset import collate, load_data
from core.train.pack.trial_pack import Pack
from core.train.progress_callback import report_nothing
from core.train.quiet_libraries import set_environment, silence_transformers
from tests.bench.surface import CURVE, KNOBS, SPACE, STEPS, TABLE, Point
from tests.tiny import WORDS, tiny_base

COUNT, SEED = 1024, 20_261_125
AT_ONCE = 64
TAUGHT_STEPS, TAUGHT_ROWS, TAUGHT_RATE = 400, 16, 3e-3
RANKS, BATCHES = (2, 4, 8, 16, 32), (1, 2, 4, 8)
PARTNERS = dict(zip(WORDS, random.Random(3).sample(WORDS, len(WORDS)), strict=True))
RULES = {  # what the base is taught
    "copy": "{first} {second}", "swap": "{second} {first}",
    "twice": "{first} {first} {second}", "echo": "{second} {second}",
}  # fmt: skip
HEAD = """\
# {count} LoRA configurations of a taught Llama of {parameters:,} parameters, each really trained once: the
# validation loss (nats a token) after {first}, {second}, ... {steps} steps; nan once a trial has diverged.
# Made by `python -m tests.bench.surface_record` (Sobol seed {seed}, torch {torch}, 1 thread).
"""


def points(count: int, seed: int) -> list[Point]:
    """Configurations spread over the space; rank and batch at powers of two, so that packs are regular."""
    drawn = qmc.Sobol(len(KNOBS), scramble=True, rng=seed).random(count)
    return [_point(dict(zip(KNOBS, map(float, row), strict=True))) for row in drawn]


def _point(unit: dict[str, float]) -> Point:
    def spread(name: str) -> float:
        low, high = SPACE[name]["low"], SPACE[name]["high"]
        return float(f"{low * (high / low) ** unit[name]:.4g}")

    def one_of(name: str, values: Any) -> Any:
        return values[int(unit[name] * len(values))]

    return {
        "learning_rate": spread("learning_rate"),
        "lora_rank": one_of("lora_rank", RANKS),
        "batch_size": one_of("batch_size", BATCHES),
        "lora_alpha": spread("lora_alpha"),
        "scheduler": one_of("scheduler", SPACE["scheduler"]),
    }


def write_rows(path: Path, task: bool, count: int) -> None:
    """The task's rows, or those of the rules that the base is taught."""
    dice = random.Random(int(task))
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            first, second, rule = dice.choice(WORDS), dice.choice(WORDS), dice.choice(sorted(RULES))
            said = RULES[rule].format(first=first, second=second)
            row = {"prompt": f"{rule} {first} and {second}", "completion": said}
            if task:
                partners = f"{PARTNERS[second]} {PARTNERS[first]}"
                row = {"prompt": f"match {first} and {second}", "completion": partners}
            file.write(json.dumps(row) + "\n")


def study(folder: Path, rows: str, validation: float) -> StudySpec:
    """The study that a configuration is a trial of."""
    return spec_file.parse(
        {
            "study": {"name": "surface", "sampler": "random", "pruner": "none"},
            "model": {"base": str(folder), "precision": "fp32"},
            "data": {"source": str(folder / rows), "validation": validation},
            "train": {"steps": STEPS, "sequence_length": 64},
            "evaluate": {"every": CURVE[0], "rows": 64, "batch_size": 64},
            "resources": {"report_every_s": 60.0},
        }
    )


def teach(folder: Path) -> int:
    """A base that has seen such rows, but not the task; returns its parameters."""
    from transformers import AutoModelForCausalLM

    tiny_base(folder)
    write_rows(folder / "taught.jsonl", task=False, count=2_000)
    spec = study(folder, "taught.jsonl", 0.01)
    base = load_base(spec, torch.device("cpu"), report_nothing)
    rows, dice = load_data(spec, base.tokenizer, report_nothing).train, random.Random(0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=TAUGHT_RATE)
    for _ in range(TAUGHT_STEPS):
        batch = collate(dice.sample(rows, TAUGHT_ROWS), base.tokenizer.pad_token_id, torch.device("cpu"))
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def train(spec: StudySpec, chosen: list[Point], folder: Path) -> list[list[float]]:
    """The curve of each configuration, many of them in one pack; nan where a loss is no number any more."""
    base = load_base(spec, torch.device("cpu"), report_nothing)
    data = load_data(spec, base.tokenizer, report_nothing)
    curves = [dict.fromkeys(CURVE, float("nan")) for _ in chosen]
    told: list[e.Event] = []
    pack, begun = Pack(spec, base, data, told.append), time.monotonic()
    order = sorted(range(len(chosen)), key=lambda one: (chosen[one]["lora_rank"], chosen[one]["batch_size"]))
    for first in range(0, len(order), AT_ONCE):
        for number in order[first : first + AT_ONCE]:
            pack.do(Assign(number, {**spec.train, **chosen[number]}, str(folder / str(number))))
        while pack.busy:
            pack.turn()
        pack.settle()
        for event in told:
            if isinstance(event, e.TrialEvaluated):
                curves[event.trial][event.step] = event.metrics.get("eval/loss", float("nan"))
            elif isinstance(event, e.TrialFailed | e.TrialInfeasible):
                print(event, file=sys.stderr)
        told.clear()
        done = min(first + AT_ONCE, len(order))
        print(f"{done:>4} of {len(order)} trained, {time.monotonic() - begun:.0f} s", flush=True)
    return [list(curve.values()) for curve in curves]


def main() -> None:
    """Record the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--to", type=Path, default=TABLE)
    options = parser.parse_args()
    set_environment()
    silence_transformers()
    torch.set_num_threads(1)
    chosen = points(options.count, SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parameters = teach(folder)
        write_rows(folder / "rows.jsonl", task=True, count=320)
        curves = train(study(folder, "rows.jsonl", 0.2), chosen, folder)
    head = HEAD.format(
        count=len(chosen), parameters=parameters, first=CURVE[0], second=CURVE[1], steps=STEPS, seed=SEED,
        torch=torch.__version__.split("+")[0],
    )  # fmt: skip
    with options.to.open("w", encoding="utf-8", newline="") as file:
        file.write(head)
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*KNOBS, *CURVE])
        for point, curve in zip(chosen, curves, strict=True):
            table.writerow([*point.values(), *(f"{loss:.5g}" for loss in curve)])


if __name__ == "__main__":
    main()
