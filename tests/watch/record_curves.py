"""Records curves of the real trainer for tests/watch/test_diagnosis.py.

``python -m tests.watch.record_curves OUT.jsonl [FAMILY or SPLIT …]``: about an hour on two cores for all;
curves/recorded.jsonl.gz is its output, packed. The labels are not made here: they are given by looking at the
curves, and kept in curves/labels.json.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.state.thinned_series import Series, add
from core.contract.wire import worker_api
from core.train.base.base_model import load_base
from core.train.data import stdlib_pairs
from core.train.data.dataset import load_data
from core.train.introspection.trial_introspection import InspectionSchedule
from core.train.pack.trial_pack import Pack
from core.train.progress_callback import report_nothing
from tests.tiny import WORDS, tiny_base, tiny_rows
from tests.watch.curve_settings import Setting, all_settings

KEPT = {"train/loss": "train", "train/grad_norm": "norm", "train/learning_rate": "rate", "eval/loss": "eval"}
AT_ONCE = 6  # trials in a pack
TAUGHT_STEPS = 500
EVERY = {"small-eval": 5, "join": 10, "random": 10, "few": 10}  # steps between evaluations; else 10


def main(out: Path, families: list[str]) -> None:
    """Record all settings, or those of ``families`` or splits, and write one line of JSON for each."""
    torch.set_num_threads(1)
    InspectionSchedule.due = lambda *told: False  # type: ignore[method-assign]
    chosen = [
        setting for setting in all_settings() if not families or {setting.family, setting.split} & {*families}
    ]
    chosen.sort(key=lambda setting: setting.data)
    with tempfile.TemporaryDirectory() as place, out.open("w") as file:
        for data, settings in groupby(chosen, key=lambda setting: setting.data):
            spec = _study(Path(place), data)
            for record in _record(spec, list(settings), Path(place)):
                file.write(json.dumps(record, separators=(",", ":")) + "\n")
                file.flush()
            print(data, "recorded", flush=True)


# -- bases and rows ---------------------------------------------------------------------------------


def _study(place: Path, data: str) -> StudySpec:
    base = _taught_base(place, wide=data == "stdlib-wide")
    rows, validation = _rows(place, data)
    return spec_file.parse({
        "study": {"name": "s"},
        "model": {"base": str(base), "precision": "bf16" if data.endswith("bf16") else "fp32"},
        "data": {"source": str(rows), "validation": str(validation)},
        "train": {"steps": 100, "sequence_length": 64},
        "evaluate": {"every": EVERY.get(data, 10), "rows": 2 if data == "small-eval" else 32},
        "resources": {"report_every_s": 1e-9, "pack": AT_ONCE},
    })  # fmt: skip


def _taught_base(place: Path, wide: bool) -> Path:
    """A base that knows some English: without it each fine-tune would first learn letters."""
    folder = place / ("wide" if wide else "base")
    if not folder.exists():
        tiny_base(folder, layers=3 if wide else 2, hidden=96 if wide else 64)
        _teach(folder, [f"{row['completion']} {row['prompt']}" for row in _pairs(1)])
    return folder


def _teach(folder: Path, texts: list[str]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    optimizer, dice = torch.optim.AdamW(model.parameters(), lr=3e-3), random.Random(0)
    torch.manual_seed(0)
    for _ in range(TAUGHT_STEPS):
        batch = tokenizer(
            dice.sample(texts, 16), return_tensors="pt", padding=True, truncation=True, max_length=64
        )
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        model(**batch, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(), optimizer.zero_grad()
    model.save_pretrained(folder)


def _pairs(part: int) -> list[dict[str, str]]:
    """One half of the pairs of the standard library: 0 to fine-tune, 1 for the base."""
    pairs = sorted(stdlib_pairs.load_pairs(report_nothing), key=lambda row: row["prompt"])
    random.Random(7).shuffle(pairs)
    return pairs[part::2]


def _rows(place: Path, data: str) -> tuple[Path, Path]:
    """The training rows and the validation rows of ``data``."""
    files = place / f"{data}.jsonl", place / f"{data}-validation.jsonl"
    if data == "join":
        return tiny_rows(files[0], 200), tiny_rows(files[1], 48, seed=1)
    pairs, dice = _pairs(0), random.Random(3)
    if data == "random":  # words drawn by lot: what is learned of them is learned by heart
        pairs = [{"prompt": row["prompt"], "completion": " ".join(dice.choices(WORDS, k=8))} for row in pairs]
    few = {"few": 24, "random": 40}.get(data, len(pairs) - 100)
    for path, rows in zip(files, (pairs[100 : 100 + few], pairs[:100]), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


# -- trials ---------------------------------------------------------------------------------------


def _record(spec: StudySpec, settings: list[Setting], place: Path) -> Iterable[dict[str, Any]]:
    base = load_base(spec, torch.device("cpu"), report_nothing)
    data = load_data(spec, base.tokenizer, report_nothing)
    for start in range(0, len(settings), AT_ONCE):
        part = settings[start : start + AT_ONCE]
        told: list[e.Event] = []
        pack = Pack(spec, base, data, told.append)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            _train(pack, spec, part, Path(folder), told)
        for number, setting in enumerate(part):
            yield _line(setting, {**spec.train, **setting.knobs}, [
                event for event in told if getattr(event, "trial", -1) == number
            ])  # fmt: skip


def _train(pack: Pack, spec: StudySpec, part: list[Setting], folder: Path, told: list[e.Event]) -> None:
    for number, setting in enumerate(part):
        own = folder / str(number)
        own.mkdir()
        pack.do(worker_api.Assign(number, {**spec.train, **setting.knobs}, str(own)))
    edits = [
        (number, step, knobs) for number, setting in enumerate(part) for step, knobs in setting.edits.items()
    ]
    steps, read = [0] * len(part), 0
    while pack.busy:
        pack.turn()
        pack.settle()
        for event in told[read:]:
            if isinstance(event, e.TrialReported):
                steps[event.trial] = event.step
        read = len(told)
        for edit in [edit for edit in edits if steps[edit[0]] >= edit[1]]:
            pack.do(worker_api.Edit(edit[0], edit[2], "me"))
            edits.remove(edit)


def _line(setting: Setting, knobs: dict[str, Any], told: list[e.Event]) -> dict[str, Any]:
    series: dict[str, Series] = {}
    failed = next((event.error for event in told if isinstance(event, e.TrialFailed)), "")
    for event in told:
        if isinstance(event, e.TrialReported | e.TrialEvaluated):
            for name, value in event.metrics.items():
                if name in KEPT:
                    series[KEPT[name]] = add(series.get(KEPT[name], Series()), event.step, value)
    names = ("learning_rate", "clip_norm", "scheduler", "warmup", "batch_size", "steps", "lora_alpha")
    line: dict[str, Any] = {
        "name": setting.name, "family": setting.family, "split": setting.split, "error": failed,
        "knobs": {name: knobs[name] for name in names},
        "edits": [[event.step, event.changes] for event in told if isinstance(event, e.TrialEdited)],
    }  # fmt: skip
    for name, curve in series.items():
        line[name] = _packed(curve, digits=2 if name == "norm" else 4, thin=name == "rate")
    return line


def _packed(curve: Series, digits: int, thin: bool) -> list[Any]:
    """[first step, steps between, values…], or [[step, value], …] where a straight line gives the rest."""
    values = [float(f"{value:.{digits}g}") for value in curve.values]
    if not thin:
        apart = curve.steps[1] - curve.steps[0] if len(curve.steps) > 1 else 1
        regular = all(step == curve.steps[0] + apart * at for at, step in enumerate(curve.steps))
        if regular:
            return [curve.steps[0], apart, *values]
        return [[step, value] for step, value in zip(curve.steps, values, strict=True)]
    points = list(zip(curve.steps, values, strict=True))
    return [[step, value] for step, value in _corners(points)]


def _corners(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Those points between which a straight line is within 2 % of the largest value."""
    if len(points) < 3:
        return points
    (first, low), (last, high) = points[0], points[-1]
    room = 0.02 * max(abs(value) for _, value in points)
    gaps = [abs(value - (low + (high - low) * (step - first) / (last - first))) for step, value in points]
    worst = max(range(len(points)), key=gaps.__getitem__)
    if gaps[worst] <= room:
        return [points[0], points[-1]]
    return _corners(points[: worst + 1])[:-1] + _corners(points[worst:])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
