"""What a study was made from, so that somebody else can tell whether they have the same: files by SHA-256,
things from the hub by their revision."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
from pathlib import Path

import msgspec

from core import paths
from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain

WHOLE_BYTES = 8 << 30  # a folder larger than this is not hashed whole, but by names and sizes
FILES = (".jsonl", ".json", ".csv", ".parquet", ".txt", ".gz", ".xz", ".bz2", ".zst")  # no id ends so
WEIGHTS = (".safetensors", ".bin", ".gguf")


class Print(msgspec.Struct, frozen=True):
    """One source. ``kind``: file, folder, hub, demo or missing. ``sha256`` covers a file, or names and sums
    of a folder's files; None where ``note`` says why. ``revision`` is a commit on the hub."""

    kind: str
    name: str
    sha256: str | None = None
    bytes: int | None = None
    rows: int | None = None
    revision: str | None = None
    split: str | None = None
    modified_at: float | None = None
    note: str = ""


def fingerprints(spec: Spec) -> dict[str, Print]:
    """Of the base model, the data, and what evaluations are given; by the key in the study file."""
    data, evaluate = spec.data, spec.evaluate
    found = {
        "model.base": of_model(spec.model.base, spec.model.revision),
        "data.source": of_data(data.source, data.split),
    }
    if isinstance(data.validation, str):
        apart = paths.expanded(data.validation).exists()
        source, split = (data.validation, "train") if apart else (data.source, data.validation)
        found["data.validation"] = of_data(source, split)
    for name in ("prompts", "reference", "classifier"):
        if (value := getattr(evaluate, name)) is not None:
            found[f"evaluate.{name}"] = of_model(value, None) if name == "classifier" else of_data(value, "")
    return found


def of_data(source: str, split: str) -> Print:
    """Rows to train or judge on."""
    if source.startswith("demo:"):
        return Print("demo", source, note=f"made from Python {platform.python_version()}'s own docstrings")
    path = paths.expanded(source)
    if path.is_file():
        return _file(path)
    if path.is_dir():
        return _folder(path, split)
    return _hub(source, "datasets", None, split)


def of_model(base: str, revision: str | None) -> Print:
    """A base model: its folder, or its commit on the hub."""
    if base.startswith("demo:"):
        return Print("demo", base, note="comes with a package: see versions.json")
    path = paths.expanded(base)
    return _folder(path, "") if path.is_dir() else _hub(base, "models", revision, "")


def _file(path: Path) -> Print:
    found = path.stat()
    rows, note = _rows(path)
    return Print(
        "file", path.name, file_sum(path), found.st_size, rows, modified_at=found.st_mtime, note=note
    )


def file_sum(path: Path) -> str:
    """The SHA-256 of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder(path: Path, split: str) -> Print:
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    sizes = {file: file.stat().st_size for file in files}
    total, newest = sum(sizes.values()), max((status.stat().st_mtime for status in files), default=None)
    whole, digest = total <= WHOLE_BYTES, hashlib.sha256()
    for file in files:
        known = file_sum(file) if whole or file.suffix not in WEIGHTS else f"{sizes[file]} bytes"
        digest.update(f"{file.relative_to(path).as_posix()}\0{known}\n".encode(errors="replace"))
    note = "" if whole else "weights by their names and sizes: hashing them takes long"
    return Print(
        "folder", path.name, digest.hexdigest(), total, split=split or None, modified_at=newest, note=note
    )


def _hub(name: str, kind: str, revision: str | None, split: str) -> Print:
    """The commit that the hub's cache has of it, as huggingface_hub lays it out."""
    if name.startswith(("/", ".", "~")) or Path(name).suffix in FILES:
        return Print("missing", Path(name).name, note="the file is not there any more")
    try:
        place = paths.hub_cache() / f"{kind}--{name.replace('/', '--')}" / "refs" / (revision or "main")
        commit: str | None = place.read_text("utf-8").strip()
    except (OSError, ValueError):
        commit = revision if revision and len(revision) == 40 else None
    note = "" if commit else "the commit is not known: it is not in the hub's cache on this machine"
    return Print("hub", plain(name, 200), revision=commit, split=split or None, note=note)


def _rows(path: Path) -> tuple[int | None, str]:
    """How many rows a file has, or why that is not known."""
    try:
        match path.suffix.lower():
            case ".jsonl" | ".txt":
                with path.open("rb") as file:
                    return sum(1 for line in file if line.strip()), ""
            case ".csv":
                with path.open(newline="", encoding="utf-8", errors="replace") as text:
                    return max(0, sum(1 for _ in csv.reader(text)) - 1), ""
            case ".json":
                found = json.loads(path.read_text("utf-8"))
                return (len(found), "") if isinstance(found, list) else (None, "rows are not counted")
            case ".parquet":
                from pyarrow import parquet

                return int(parquet.ParquetFile(path).metadata.num_rows), ""
    except Exception as error:  # csv's, json's, pyarrow's own: the sum is what counts
        return None, f"rows cannot be counted: {plain(str(error), 200)}"
    return None, "rows of this kind of file are not counted"
