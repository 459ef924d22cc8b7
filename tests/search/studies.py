"""Studies small enough to search in a test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.contract.spec import spec_file
from core.contract.spec.study_spec import COUNTED, StudySpec
from core.search.search_pipe_messages import Proposal

if TYPE_CHECKING:  # a test looks at who loads Optuna
    from core.search.study.optuna_study import OptunaStudy

SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "lora_dropout": {"low": 0.0, "high": 0.5},
    "lora_rank": {"low": 2, "high": 16, "step": 2},
    "target_modules": ["attention", ["q_proj", "v_proj"]],
}
GRID: dict[str, Any] = {"lora_rank": {"low": 2, "high": 8, "step": 2}, "lora_alpha": [16.0, 32.0]}


def raw(sampler: str = "random", space: dict[str, Any] | None = None, **study: Any) -> dict[str, Any]:
    """A study file's content; ``study`` goes into its [study]."""
    section = {"name": "small", "sampler": sampler, "pruner": "none", "startup_trials": 3, **study}
    if section["pruner"] == "threshold":
        section = {"threshold": {"upper": 8.0}, **section}
    chosen = space if space is not None else (GRID if sampler in COUNTED else SPACE)
    return {
        "study": section,
        "model": {"base": "nobody/nothing"},
        "data": {"source": "nothing.jsonl"},
        "space": chosen,
        "evaluate": {"every": 10},
    }


def spec(sampler: str = "random", space: dict[str, Any] | None = None, **study: Any) -> StudySpec:
    """The same, checked."""
    return spec_file.parse(raw(sampler, space, **study))


def journal(folder: Path) -> str:
    """A storage that costs a tenth of SQLite's time, for tests whose subject is no database: ``test_alike``
    shows that all samplers and pruners do the same on both."""
    return f"journal:{folder}/study.log"


def oracle(
    folder: Path, sampler: str = "random", space: dict[str, Any] | None = None, **study: Any
) -> OptunaStudy:
    """The search itself, in this process, on a journal file of ``folder``."""
    from core.search.study.optuna_study import OptunaStudy

    return OptunaStudy(raw(sampler, space, **{"storage": journal(folder), **study}), str(folder))


def quadratic(proposal: Proposal) -> float:
    """A smooth value with its minimum inside the space."""
    rate = math.log10(proposal.knobs["learning_rate"])
    return (rate + 3.5) ** 2 + (proposal.knobs["lora_rank"] - 8) ** 2 / 64
