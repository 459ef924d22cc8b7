"""One sweep of LoRA trials by trimtab's pack and by its rivals: ``python -m tests.bench.sweep [options]``.

a: transformers' Trainer with PEFT, one trial after another under Optuna; b: several processes of that at
once; c: trimtab's pack; d: trials taking turns on chunks of data, as RapidFire AI does. ``--quick`` only
compares the speed of equal trials, packed and one after another."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import sweep_plan
from tests.bench.sweep_plan import Plan
from tests.bench.sweep_rivals import LETTERS, apart
from tests.bench.sweep_table import table

SHAPES = ("tiny", "135m", "0.5b", "1.5b", "7b")
PROCESSES = {"cpu": 2, "cuda:0": 4}


def read_options() -> argparse.Namespace:
    """From the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.sweep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--shape", choices=SHAPES, default="tiny", help="the base: random weights of this shape")
    add("--precision", choices=("auto", "fp32", "bf16", "nf4"), default="auto")
    add("--trials", type=int, default=16)
    add("--steps", type=int, default=32, help="of each trial")
    add("--every", type=int, default=0, help="steps between evaluations; an eighth of the steps if not given")
    add("--batch", type=int, help="of every trial; drawn from 1, 2, 4, 8 if not given")
    add("--rank", type=int, help="of every trial; drawn from 4, 8, 16, 32, 64 if not given")
    add("--length", type=int, default=64, help="tokens of every row")
    add("--targets", type=float, default=0.5, help="share of a row's tokens that is learnt")
    add("--train-rows", type=int, default=512)
    add("--validation-rows", type=int, default=16)
    add("--rivals", default="a,b,c,d", help="letters, in the order of the runs")
    add("--stopping", choices=("both", "none", "asha"), default="both")
    add("--factor", type=int, default=2, help="of successive halving: one in so many goes on")
    add("--pack", default="", help='places for trials on the base, or "auto"; all trials if not given')
    add("--processes", type=int, default=0, help="of rival b; 2 on a CPU and 4 on a card if not given")
    add("--chunks", type=int, default=4, help="of rival d")
    add(
        "--threads",
        type=int,
        help="of torch; of b all together. On a busy CPU: 1, or OMP_WAIT_POLICY=PASSIVE",
    )
    add("--seed", type=int, default=0, help="of the drawn trials and of the rows")
    add("--json", type=Path, help="write all results into this file")
    add("--quick", action="store_true", help="trimtab's speed against the Trainer's, --trials times 1 row")
    options = parser.parse_args()
    options.every = options.every or max(1, options.steps // 8)
    _refuse(parser, options)
    return options


def _refuse(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    letters = options.rivals.split(",")
    if unknown := [letter for letter in letters if letter not in LETTERS]:
        parser.error(f"--rivals: {', '.join(map(repr, unknown))}; write letters of {', '.join(LETTERS)}")
    if options.steps % options.every:
        parser.error(f"--every {options.every} does not divide --steps {options.steps}")
    if options.pack not in ("", "auto") and not options.pack.isdigit():
        parser.error(f'--pack {options.pack}: give a number or "auto"')
    if not 0 < options.targets <= 1 or options.length < 2 or options.factor < 2:
        parser.error("--targets lies between 0 and 1, --length and --factor are at least 2")


def planned(options: argparse.Namespace, folder: str) -> Plan:
    """The plan as far as the device does not matter."""
    batch = options.batch or (1 if options.quick else None)
    rank = options.rank or (16 if options.quick else None)
    pack = None if options.pack == "auto" else int(options.pack or options.trials)
    return Plan(
        shape=options.shape, base=folder, precision=options.precision, device="", length=options.length,
        targets=options.targets, steps=options.steps,
        every=10**6 if options.quick else options.every,
        trials=sweep_plan.draw(options.trials, options.seed, rank, batch), stopping=False,
        factor=options.factor, pack=pack, processes=options.processes, chunks=options.chunks,
        threads=options.threads, train_rows=options.train_rows,
        validation_rows=1 if options.quick else options.validation_rows, seed=options.seed,
    )  # fmt: skip


def placed(plan: Plan) -> tuple[Plan, dict[str, Any]]:
    """The plan with its base written and its device known; and what is known of that device."""
    known = apart("prepare", plan)
    found = {name: known[name] for name in ("precision", "device", "threads", "flop")}
    processes = plan.processes or PROCESSES[known["device"]]
    return dataclasses.replace(plan, processes=processes, **found), known


def headline(plan: Plan, known: dict[str, Any]) -> str:
    """What runs where."""
    return (
        f"{plan.shape} in {plan.precision} on {plan.device} ({known['device_name']}), "
        f"{known['matrix_flop_per_s'] / 1e9:.1f} GFLOP/s in a large product; {len(plan.trials)} trials of "
        f"{plan.steps} steps, rows of {plan.length} tokens, {plan.targets:.0%} of them learnt"
    )


def quick(plan: Plan) -> dict[str, Any]:
    """Print the one ratio."""
    result = apart("quick", plan)
    speeds = f"{result['trimtab_tokens_per_s']:.0f} against {result['trainer_tokens_per_s']:.0f} tokens/s"
    print(f"packed against one after another by the Trainer: {result['ratio']:.2f} times ({speeds})")
    if plan.device == "cpu" and plan.threads == 1:  # more of them spin while they wait: no measure
        print(f"  by processor time: {result['cpu_ratio']:.2f} times")
    print(f"  others used {result['others']:.0%} of the machine's cores meanwhile")
    return result


def sweep(plan: Plan, known: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every rival with and without stopping, in the order that is printed; then the table."""
    stopping = {"both": (False, True), "none": (False,), "asha": (True,)}[options.stopping]
    runs = [(LETTERS[letter], stops) for stops in stopping for letter in options.rivals.split(",")]
    print("in this order: " + ", ".join(name + (" +ASHA" if stops else "") for name, stops in runs))
    for trial in plan.trials:
        print(
            "  trial {number}: rank {lora_rank}, batch {batch_size}, rate {learning_rate:.2e}".format(**trial)
        )
    rows = []
    for name, stops in runs:
        title = f"  {name}{' +ASHA' if stops else ''}"
        try:
            rows.append(apart(name, dataclasses.replace(plan, stopping=stops)))
            print(f"{title}: {rows[-1]['makespan_s']:.1f} s", flush=True)
        except subprocess.CalledProcessError as error:
            print(f"{title}: ended with {error.returncode}; its words stand above", flush=True)
    print()
    print(table(rows, plan.flop, known["matrix_flop_per_s"]))
    return rows


def main() -> None:
    """Write the base, run what was asked for, print it."""
    options = read_options()
    with tempfile.TemporaryDirectory() as folder:
        plan, known = placed(planned(options, folder))
        print(headline(plan, known), flush=True)
        results = quick(plan) if options.quick else sweep(plan, known, options)
    if options.json:
        whole = {"plan": dataclasses.asdict(plan), "device": known, "results": results}
        options.json.write_text(json.dumps(whole, indent=1), "utf-8")


if __name__ == "__main__":
    main()
