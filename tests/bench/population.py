"""``python -m tests.bench.population``: a population against random search on the tiny base, with the same
first trials and the same number of steps at once, by the best trial's validation loss at the end."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from core.contract.state import engine_state as s
from core.contract.state.best_and_counts import find_best
from core.contract.wire import console_api
from core.daemon.population.population_rules import find_start_step
from tests.daemon.conftest import Engine, raw_study
from tests.tiny import tiny_base, tiny_rows

TRIALS, LONGEST_S = 8, 900.0
SPACE = {
    "learning_rate": {"low": 1e-5, "high": 3e-2, "log": True},
    "weight_decay": {"low": 0.0, "high": 0.1},
    "lora_dropout": {"low": 0.0, "high": 0.2},
}
RIVALS = {"random": None, "population": {"every": 1}}


def study(base: Path, name: str, seed: int, steps: int, population: dict[str, Any] | None) -> dict[str, Any]:
    """Of one rival; a constant rate, so that a clone's is the one that it was given."""
    more = {"population": population} if population else {}
    raw = raw_study(
        study={"name": name, "trials": TRIALS, "seed": seed, **more},
        model={"base": str(base), "precision": "fp32"},
        data={"source": str(base / "rows.jsonl")},
        train={"steps": steps, "sequence_length": 32, "scheduler": "constant"},
        space={"lora_rank": [4], **SPACE},
        evaluate={"every": steps // 8, "rows": 12},
        resources={"pack": TRIALS, "threads": 1},
    )
    return raw


def ended(engine: Engine, name: str) -> s.Study:
    """The study once it is complete."""
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        now = engine.study(name)
        if now.state not in s.LIVE_STUDY:
            return now
        time.sleep(0.2)
    raise TimeoutError(f"{name} takes longer than {LONGEST_S:.0f} s")


def trained(one: s.Study) -> int:
    """Steps in all: those that a clone took over are its parent's."""
    return sum(trial.step - find_start_step(trial) for trial in one.trials.values())


def main() -> None:
    """Print each seed's figures, and the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=160)
    options = parser.parse_args()
    losses: dict[str, list[float]] = {rival: [] for rival in RIVALS}
    with tempfile.TemporaryDirectory() as folder:
        base = tiny_base(Path(folder) / "base")
        tiny_rows(base / "rows.jsonl")
        engine = Engine(Path(folder) / "home", worker="core.train.commands.worker").start()
        try:
            for seed in range(options.seeds):
                for rival, population in RIVALS.items():
                    name = f"{rival}-{seed}"
                    engine.ask(console_api.StartStudy(study(base, name, seed, options.steps, population)))
                    one = ended(engine, name)
                    winner = find_best(one)
                    assert winner is not None, one.why
                    losses[rival].append(winner.values[0])
                    told = f"{len(one.trials) - TRIALS} clones, {trained(one)} steps"
                    print(f"seed {seed} {rival}: {winner.values[0]:.4f} ({told})", flush=True)
        finally:
            engine.end()
    pairs = list(zip(losses["random"], losses["population"], strict=True))
    won = sum(mine < its for its, mine in pairs)
    for rival, values in losses.items():
        print(f"{rival}: median {statistics.median(values):.4f}")
    print(f"the population is better in {won} of {len(pairs)}")


if __name__ == "__main__":
    main()
