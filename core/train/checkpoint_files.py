"""Checkpoints of a trial: safetensors and JSON with a manifest of SHA-256 sums; put in place whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from core.errors import TrimtabError
from core.train import checkpoint_position
from core.train.checkpoint_position import Position

KEPT = 2  # older ones are removed, but for the best
TENSORS = ("adapter", "optimizer")


@dataclass
class Snapshot:
    """All that a trial needs to go on as if it had not stopped. ``numbers`` is plain JSON."""

    adapter: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    numbers: dict[str, Any]


def copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies in host memory that own their bytes, as safetensors wants them."""
    return {
        key: torch.empty_like(value, device="cpu", memory_format=torch.contiguous_format).copy_(value)
        for key, value in tensors.items()
    }


def write(trial_folder: Path, at: Position, snapshot: Snapshot, spare: Position | None = None) -> Path:
    """Write the checkpoint ``at`` a position into the trial's folder; the newest two stay, and ``spare``.

    Written aside, synced, renamed: a half-written one is never in place. One that is there already stays.
    Raises OSError.
    """
    target = trial_folder / at.name
    if target.is_dir():
        return target
    aside = trial_folder / f"{at.name}.new"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _fill(aside, at, snapshot)
    except (OSError, SafetensorError) as error:  # safetensors has its own word for a full disk
        shutil.rmtree(aside, ignore_errors=True)
        raise OSError(str(error)) from error
    aside.rename(target)
    sync(trial_folder)
    _forget_old(trial_folder, spare)
    return target


def _fill(aside: Path, at: Position, snapshot: Snapshot) -> None:
    aside.mkdir(parents=True, mode=0o700)
    for name in TENSORS:
        save_file(getattr(snapshot, name), aside / f"{name}.safetensors")
    (aside / "numbers.json").write_text(json.dumps(snapshot.numbers), "utf-8")
    sums = {path.name: _sum(path) for path in sorted(aside.iterdir())}
    (aside / "manifest.json").write_text(json.dumps({"step": at.step, "sha256": sums}, indent=1), "utf-8")
    for path in (*aside.iterdir(), aside):
        sync(path)


def read(folder: Path) -> Snapshot:
    """Read a checkpoint back. Raises TrimtabError when it is not whole."""
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
            "the one before is taken, else the beginning",
        ) from error
    return Snapshot(numbers=numbers, **parts)


def known(trial_folder: Path) -> list[Path]:
    """The checkpoints in place, newest first."""
    found = [path for path in trial_folder.glob("step-*") if path.is_dir() and not path.is_symlink()]
    places = {path: place for path in found if (place := checkpoint_position.read(path.name))}
    return sorted(places, key=places.__getitem__, reverse=True)


def retire(folder: Path) -> None:
    """Take a checkpoint that is not whole out of the way: what is trained again is written in its place."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rename(aside)


def forget(folder: Path) -> None:
    """Remove a checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)


def _forget_old(trial_folder: Path, spare: Position | None) -> None:
    for path in known(trial_folder)[KEPT:]:
        if spare is None or path.name != spare.name:
            forget(path)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
