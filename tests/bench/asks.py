"""How long a sampler thinks before it proposes, with 100, 1,000 and 10,000 finished trials in the storage.

Each line is a study of its own in SQLite, as the search process has it: the first ask after opening makes
what a sampler keeps (imports torch, replays generations); those after it are what a running study waits
for. A fifth of the trials was pruned, and each has a constraint. The goal is 0.5 s at 10,000. All samplers,
each in a process of its own: ``python -m tests.bench.asks``; one alone: ``python -m tests.bench.asks gp``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState

from core.contract.spec.study_spec import COUNTED, SAMPLERS
from core.search.optuna_space import make_distributions, make_grid
from core.search.study.optuna_study import OptunaStudy
from tests.search import studies

SIZES = (100, 1_000, 10_000)
ASKS = 5
CELLS = {  # 24,000 points
    "seed": {"low": 1, "high": 50},
    "batch_size": {"low": 1, "high": 60},
    "lora_rank": {"low": 2, "high": 16, "step": 2},
}
GENERATION = 10  # trials of one, 8 of them complete, for the samplers that have them
FINITE = models.TrialValueModel.TrialValueType.FINITE


def rows(oracle: OptunaStudy, count: int) -> dict[Any, list[dict[str, Any]]]:
    """``count`` ended trials as rows of Optuna's tables, with what each sampler notes of its own."""
    space = make_distributions(oracle.spec.space)
    cells, rng = (
        make_grid(oracle.spec.space) if oracle.spec.study.sampler in COUNTED else {},
        np.random.default_rng(0),
    )
    places = rng.permutation(24_000)
    found: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for number in range(count):
        own, whole = {"trial_id": number + 1}, number % 5 != 0
        state = TrialState.COMPLETE if whole else TrialState.PRUNED
        found[models.TrialModel].append({**own, "number": number, "study_id": 1, "state": state})
        cell = _cell(cells, int(places[number]))
        for name, one in space.items():
            value = _drawn(one, rng) if name not in cell else cell[name]
            told = {"param_name": name, "param_value": value, "distribution_json": distribution_to_json(one)}
            found[models.TrialParamModel].append({**own, **told})
        if whole:
            told = {"objective": 0, "value": rng.normal(), "value_type": FINITE}
            found[models.TrialValueModel].append({**own, **told})
        for key, noted in _noted(number, int(places[number]), cells).items():
            found[models.TrialSystemAttributeModel].append(
                {**own, "key": key, "value_json": json.dumps(noted)}
            )
    for turn in range(1, count // GENERATION + 1):
        for sampler in ("NSGAIISampler", "NSGAIIISampler"):
            parents = json.dumps([(turn - 1) * GENERATION + 2 + index for index in range(8)])
            told = {"study_id": 1, "key": f"{sampler}:parent:{turn}", "value_json": parents}
            found[models.StudySystemAttributeModel].append(told)
    return found


def _cell(cells: dict[str, Any], place: int) -> dict[str, Any]:
    """One point of a grid."""
    found = {}
    for name, values in cells.items():
        place, index = divmod(place, len(values))
        found[name] = values[index]
    return found


def _drawn(one: Any, rng: Any) -> float:
    if isinstance(one, CategoricalDistribution):
        return float(rng.integers(len(one.choices)))
    if one.step:
        return float(one.low + one.step * rng.integers(int((one.high - one.low) / one.step) + 1))
    return float(
        np.exp(rng.uniform(np.log(one.low), np.log(one.high))) if one.log else rng.uniform(one.low, one.high)
    )


def _noted(number: int, place: int, cells: dict[str, Any]) -> dict[str, Any]:
    turn = number // GENERATION
    noted: dict[str, Any] = {
        "cma:generation": turn,
        "NSGAIISampler:generation": turn,
        "NSGAIIISampler:generation": turn,
    }
    noted["constraints:memory"] = place / 48_000 - 0.9  # the engine tells it of every trial
    return {"grid_id": place, "search_space": cells} if cells else noted


def measured(name: str, count: int) -> tuple[float, float, str]:
    """Seconds of the first ask and of those after it (median), and what the last proposal said."""
    with tempfile.TemporaryDirectory() as folder:
        raw = studies.raw(name, CELLS if name in COUNTED else studies.SPACE, startup_trials=5)
        oracle = OptunaStudy(raw, folder)
        with (
            oracle.study._storage._backend.engine.begin() as connection
        ):  # past Optuna: its door takes minutes
            for model, values in rows(oracle, count).items():
                connection.execute(sqlalchemy.insert(model), values)
        oracle = OptunaStudy(raw, folder)
        taken, why = [], ""
        for number in range(count, count + 1 + ASKS):
            begun = time.perf_counter()
            proposal = oracle.ask(number)
            taken.append(time.perf_counter() - begun)
            oracle.tell(number, "complete", [0.1 * number % 1])
            why = proposal.why if proposal else "the space is used up"
        return taken[0], statistics.median(taken[1:]), why


def lines(name: str) -> None:
    """Print a line for each size."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for count in SIZES:
        first, ask, why = measured(name, count)
        print(f"{name:<11} {count:>8,} {first:>8.2f} s {ask:>6.3f} s   {why}", flush=True)


def main() -> None:
    """Every sampler, with one thread as the search process has it."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    print(f"{'sampler':<11} {'finished':>8} {'first ask':>10} {'ask':>8}   says", flush=True)
    for name in SAMPLERS:
        command = [sys.executable, "-m", "tests.bench.asks", name]
        subprocess.run(command, env={**os.environ, **threads}, check=False)


if __name__ == "__main__":
    lines(sys.argv[1]) if len(sys.argv) > 1 else main()
