"""Reads and writes a trial's checkpoints: safetensors and JSON with SHA-256 sums, put in place atomically."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from core import paths
from core.errors import TrimtabError
from core.train import checkpoint_tensor_copies, training_position
from core.train.training_position import Position

KEPT = 2  # older checkpoints are removed, except the best
TENSORS = ("adapter", "optimizer")


@dataclass
class Snapshot:
    """All that a trial needs to resume as if it had not stopped. ``numbers`` is plain JSON. The tensors may
    be views of one another's memory; they have their values after ``wait``."""

    adapter: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    numbers: dict[str, Any]
    wait: Callable[[], None] = lambda: None


def write(trial_folder: Path, at: Position, snapshot: Snapshot, spare: Position | None = None) -> Path:
    """Write the checkpoint ``at`` a position into the trial's folder; keep the newest two, and ``spare``.

    It is written to a temporary folder, synced and renamed, so that a half-written checkpoint is never in
    place. An existing checkpoint at this position is kept. Raises OSError.
    """
    target = trial_folder / at.name
    if target.is_dir():
        return target
    aside = trial_folder / f"{at.name}.new"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _fill(aside, at, snapshot)
    except (OSError, SafetensorError) as error:  # safetensors raises its own error for a full disk
        shutil.rmtree(aside, ignore_errors=True)
        raise OSError(str(error)) from error
    aside.rename(target)
    paths.sync_to_disk(trial_folder)
    _forget_old(trial_folder, spare)
    return target


def _fill(aside: Path, at: Position, snapshot: Snapshot) -> None:
    aside.mkdir(parents=True, mode=0o700)
    snapshot.wait()
    for name in TENSORS:
        save_file(checkpoint_tensor_copies.separate(getattr(snapshot, name)), aside / f"{name}.safetensors")
    (aside / "numbers.json").write_text(json.dumps(snapshot.numbers), "utf-8")
    sums = {path.name: _sum(path) for path in sorted(aside.iterdir())}
    (aside / "manifest.json").write_text(json.dumps({"step": at.step, "sha256": sums}, indent=1), "utf-8")
    for path in (*aside.iterdir(), aside):
        paths.sync_to_disk(path)


def read(folder: Path) -> Snapshot:
    """Read a checkpoint. Raises TrimtabError when it is incomplete or damaged."""
    try:
        sums = json.loads((folder / "manifest.json").read_text("utf-8"))["sha256"]
        wrong = [name for name, expected in sums.items() if _sum(folder / name) != expected]
        if wrong or set(sums) < {f"{name}.safetensors" for name in TENSORS} | {"numbers.json"}:
            raise ValueError(f"{', '.join(wrong) or 'a file'} is damaged or missing")
        parts = {name: load_file(folder / f"{name}.safetensors") for name in TENSORS}
        numbers = json.loads((folder / "numbers.json").read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TrimtabError.of(
            f"the checkpoint cannot be used: {error}",
            str(folder),
            "the trial resumes from the previous checkpoint, or from the start if there is none",
        ) from error
    return Snapshot(numbers=numbers, **parts)


def list_checkpoints(trial_folder: Path) -> list[Path]:
    """List the trial's checkpoints, newest first."""
    folders = [path for path in trial_folder.glob("step-*") if path.is_dir() and not path.is_symlink()]
    positions = {path: at for path in folders if (at := training_position.read(path.name))}
    return sorted(positions, key=positions.__getitem__, reverse=True)


def set_aside(folder: Path) -> None:
    """Move a damaged checkpoint aside, so that retraining can write its position again."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rename(aside)


def remove(folder: Path) -> None:
    """Remove a checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)


def _forget_old(trial_folder: Path, spare: Position | None) -> None:
    for path in list_checkpoints(trial_folder)[KEPT:]:
        if spare is None or path.name != spare.name:
            remove(path)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
