"""A tiny real base model, made once, and studies about it."""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from core.contract.events import event_types as e
from core.contract.spec import knob_table, spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.worker_api import Assign, SamplePiece
from core.train.adapters import adaptable_layers
from core.train.adapters.reload_check import ReloadCheck
from core.train.base.base_model import Base, load_base
from core.train.base.factor_matrix_layout import Place
from core.train.data.dataset import Data, load_data
from core.train.introspection.trial_introspection import InspectionSchedule
from core.train.pack.trial_pack import Pack
from core.train.progress_callback import report_nothing
from core.train.quiet_libraries import load_peft
from tests.tiny import tiny_base, tiny_rows

load_peft()  # some tests import PEFT themselves, which would load torch's compiler
# Modules about what a model's layers do to each other; the others' tests take a third less on one layer.
DEEP = (
    "bases", "beginning", "direction", "edits", "equal", "fast_path", "generate", "generation", "insides",
    "merge", "model", "padding_free", "progress", "refused", "reload", "together",
)  # fmt: skip
SHARED = ("tiny-base", "shallow-base")  # folders that no test changes
RELOADING = ("reload", "out_of_memory", "bases", "equal")  # modules whose adapters PEFT loads back


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The model, with its rows beside it."""
    place = tiny_base(tmp_path_factory.mktemp(SHARED[0]))
    tiny_rows(place / "rows.jsonl")
    return place


@pytest.fixture(scope="session")
def shallow(tmp_path_factory) -> Path:
    """A model of one layer with the same rows: for tests that ask a model much and are about no model."""
    place = tiny_base(tmp_path_factory.mktemp(SHARED[1]), layers=1)
    tiny_rows(place / "rows.jsonl")
    return place


_frozen = [0]


def freeze() -> None:
    """As a worker does: a pack collects at each pause and end, over the trials and not over the libraries.
    Again only where libraries were loaded since."""
    if len(sys.modules) > _frozen[0] + 20:
        gc.collect()
        gc.freeze()
        _frozen[0] = len(sys.modules)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def only_where_it_is_tested(request, monkeypatch):
    """The look inside a model and PEFT's loading of what was saved change nothing of the training, by test,
    and take a fifth and a tenth of short ones."""
    if not request.module.__name__.endswith("insides"):
        monkeypatch.setattr(InspectionSchedule, "due", lambda *told: False)
    if not request.module.__name__.endswith(RELOADING):
        monkeypatch.setattr(ReloadCheck, "check", lambda *told: None)
        monkeypatch.setattr(adaptable_layers, "_explain_refusal", explain_refusal_once)


_explain_refusal = adaptable_layers._explain_refusal
_refusals: dict[object, str] = {}


def explain_refusal_once(base: Base, places: Sequence[Place]) -> str:
    """PEFT is asked once about models of one configuration: two thirds of a pack's start."""
    kinds = [(place.name, type(base.model.get_submodule(place.name))) for place in places]
    key = (str(base.model.config), base.precision, *kinds)
    if key not in _refusals:
        _refusals[key] = _explain_refusal(base, places)
    return _refusals[key]


_bases: dict[object, Base] = {}


def load_once(spec: StudySpec) -> Base:
    """A copy of a base that was loaded before, which takes a sixth of the time."""
    key = msgspec.json.encode(spec.model)
    if key not in _bases:
        _bases[key] = load_base(spec, torch.device("cpu"), report_nothing)
    return copy.deepcopy(_bases[key])


@pytest.fixture
def study(request, folder, shallow) -> Callable[..., StudySpec]:
    """A study about the tiny model; sections as keywords overlay the plain one. A few rows that are copies or
    bad keep it from nothing."""
    base = folder if request.module.__name__.endswith(DEEP) else shallow

    def make(**sections: dict[str, Any]) -> StudySpec:
        raw: dict[str, dict[str, Any]] = {
            "study": {"name": "s"},
            "model": {"base": str(base)},
            "data": {"source": str(base / "rows.jsonl"), "allow": ["leakage", "masked", "template"]},
            "train": {"steps": 8, "sequence_length": 32, "lora_rank": 4},
            "evaluate": {"every": 4, "rows": 8},
            "resources": {"report_every_s": 1e-9},
        }
        for name, section in sections.items():
            raw[name] = {**raw.get(name, {}), **section}
        return spec_file.parse(raw)

    return make


class Bench:
    """A base with a pack on it, and all that the pack told."""

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        is_shared = Path(str(spec.model.base)).name.startswith(SHARED)
        self.base: Base = (
            load_once(spec) if is_shared else load_base(spec, torch.device("cpu"), report_nothing)
        )
        self.data: Data = load_data(spec, self.base.tokenizer, report_nothing)
        self.told: list[e.Event] = []
        self.pieces: list[SamplePiece] = []  # of answers to people's prompts
        self.listeners: list[Callable[[e.Event], object]] = []  # called at each event
        freeze()
        self.pack = Pack(spec, self.base, self.data, self._hear, self.pieces.append)

    def _hear(self, event: e.Event) -> None:
        self.told.append(event)
        for listener in self.listeners:
            listener(event)

    def assign(self, folder: Path, trial: int = 0, checkpoint: str = "", **changed: knob_table.Value) -> None:
        """Have a trial join, with the study's knobs but for ``changed``."""
        place = folder / str(trial)
        place.mkdir(exist_ok=True)
        self.pack.do(Assign(trial, {**self.spec.train, **changed}, str(place), checkpoint))

    def turn(self) -> None:
        """One turn, on a disk that keeps up: what it had to write is written."""
        self.pack.turn()
        self.pack.settle()

    def finish(self) -> None:
        """Turn after turn until nobody is active."""
        while self.pack.busy:
            self.turn()
        freeze()

    def of(self, kind: type, trial: int = 0) -> list[Any]:
        """What was told of one kind about one trial."""
        return [one for one in self.told if isinstance(one, kind) and getattr(one, "trial", trial) == trial]

    def losses(self, trial: int = 0) -> list[float]:
        """The training loss of each step."""
        return [one.metrics["train/loss"] for one in self.of(e.TrialReported, trial)]


@pytest.fixture
def bench(study) -> Callable[..., Bench]:
    return lambda **sections: Bench(study(**sections))
