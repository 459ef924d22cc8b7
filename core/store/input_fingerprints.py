"""Fingerprints a study's inputs so that others can check that theirs are the same: files by SHA-256, Hub
repositories by revision."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
from pathlib import Path

import msgspec

from core import paths
from core.contract import garak_prompt_finder
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import SpecError

WHOLE_BYTES = 8 << 30  # weights in a larger folder are identified by names and sizes, not hashed
FILES = (
    ".jsonl",
    ".json",
    ".csv",
    ".tsv",
    ".parquet",
    ".arrow",
    ".feather",
    ".txt",
    ".gz",
    ".xz",
    ".bz2",
    ".zst",
)  # suffixes that no Hub id has
WEIGHTS = (".safetensors", ".bin", ".gguf")


class Print(msgspec.Struct, frozen=True):
    """The fingerprint of one input. ``kind`` is file, folder, hub, demo or missing. ``sha256`` covers a file,
    or names and hashes of a folder's files; if it is None, ``note`` says why. ``revision`` is a Hub
    commit."""

    kind: str
    name: str
    sha256: str | None = None
    bytes: int | None = None
    rows: int | None = None
    revision: str | None = None
    split: str | None = None
    modified_at: float | None = None
    note: str = ""


def fingerprint_inputs(spec: StudySpec) -> dict[str, Print]:
    """Return the fingerprints of base model, data and evaluation inputs, by key in the study file."""
    evaluate = spec.evaluate
    prints = {"model.base": fingerprint_model(spec.model.base, spec.model.revision)}
    for key, data in spec.data.inputs.items():
        prints[f"{key}.source"] = fingerprint_data(data.source, data.split)
        if isinstance(data.validation, str):
            apart = paths.expand_home(data.validation).exists()
            source, split = (data.validation, "train") if apart else (data.source, data.validation)
            prints[f"{key}.validation"] = fingerprint_data(source, split)
    prints |= {key: fingerprint_prompts(text, key) for key, text in evaluate.prompt_texts.items()}
    for name in ("reference", "classifier", "judge", "names"):
        if (value := getattr(evaluate, name)) is not None:
            model = name in ("classifier", "judge", "names")
            prints[f"evaluate.{name}"] = (
                fingerprint_model(value, None) if model else fingerprint_data(value, "")
            )
    return prints


def fingerprint_data(source: str, split: str) -> Print:
    """Return the fingerprint of a data set."""
    if source.startswith("demo:"):
        return Print("demo", source, note=f"made from Python {platform.python_version()}'s own docstrings")
    path = paths.expand_home(source)
    if path.is_file():
        return _fingerprint_file(path)
    if path.is_dir():
        return _fingerprint_folder(path, split)
    matched = paths.match_pattern(source)
    return (
        _fingerprint_files(path.name, path.parent, matched, "")
        if matched
        else _fingerprint_hub(source, "datasets", None, split)
    )


def fingerprint_prompts(text: str, key: str) -> Print:
    """Return the fingerprint of a user's own prompts, or of those of the installed garak."""
    if not text.startswith(garak_prompt_finder.PREFIX):
        return fingerprint_data(text, "")
    try:
        source = garak_prompt_finder.find(text, key)
    except SpecError as error:
        return Print("missing", text, note=error.problems[0].what)
    fingerprint = (
        _fingerprint_folder(source.path, "") if source.path.is_dir() else _fingerprint_file(source.path)
    )
    return msgspec.structs.replace(fingerprint, name=text, modified_at=None, note=str(source))


def fingerprint_model(base: str, revision: str | None) -> Print:
    """Return the fingerprint of a model: its folder, or its Hub commit."""
    if base.startswith("demo:"):
        return Print("demo", base, note="part of a package: see versions.json")
    path = paths.expand_home(base)
    return _fingerprint_folder(path, "") if path.is_dir() else _fingerprint_hub(base, "models", revision, "")


def _fingerprint_file(path: Path) -> Print:
    status = path.stat()
    rows, note = _count_rows(path)
    return Print(
        "file", path.name, hash_file(path), status.st_size, rows, modified_at=status.st_mtime, note=note
    )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint_folder(path: Path, split: str) -> Print:
    files = sorted(
        file for file in paths.walk_files(path) if file.is_file() and not file.name.startswith(".")
    )
    return _fingerprint_files(path.name, path, files, split)


def _fingerprint_files(name: str, path: Path, files: list[Path], split: str) -> Print:
    """The fingerprint of several files as a folder; their names are relative to ``path``."""
    sizes = {file: file.stat().st_size for file in files}
    total, newest = sum(sizes.values()), max((status.stat().st_mtime for status in files), default=None)
    hashes_all, digest = total <= WHOLE_BYTES, hashlib.sha256()
    for file in files:
        identity = hash_file(file) if hashes_all or file.suffix not in WEIGHTS else f"{sizes[file]} bytes"
        digest.update(f"{os.path.relpath(file, path)}\0{identity}\n".encode(errors="replace"))
    note = "" if hashes_all else "weights are identified by names and sizes: hashing them takes too long"
    return Print(
        "folder", name, digest.hexdigest(), total, split=split or None, modified_at=newest, note=note
    )


def _fingerprint_hub(name: str, kind: str, revision: str | None, split: str) -> Print:
    """Return the commit of ``name`` in huggingface_hub's cache."""
    if name.startswith(("/", ".", "~")) or Path(name).suffix in FILES:
        return Print("missing", Path(name).name, note="the file no longer exists")
    try:
        place = paths.hub_cache() / f"{kind}--{name.replace('/', '--')}" / "refs" / (revision or "main")
        commit: str | None = place.read_text("utf-8").strip()
    except (OSError, ValueError):
        commit = revision if revision and len(revision) == 40 else None
    note = "" if commit else "the commit is unknown: it is not in this machine's Hub cache"
    return Print("hub", sanitize(name, 200), revision=commit, split=split or None, note=note)


def _count_rows(path: Path) -> tuple[int | None, str]:
    """Return the number of rows of a file, or why it is unknown."""
    try:
        match path.suffix.lower():
            case ".jsonl" | ".txt":
                with path.open("rb") as file:
                    return sum(1 for line in file if line.strip()), ""
            case ".csv":
                with path.open(newline="", encoding="utf-8", errors="replace") as text:
                    return max(0, sum(1 for _ in csv.reader(text)) - 1), ""
            case ".json":
                content = json.loads(path.read_text("utf-8"))
                return (len(content), "") if isinstance(content, list) else (None, "rows are not counted")
            case ".parquet":
                from pyarrow import parquet

                return int(parquet.ParquetFile(path).metadata.num_rows), ""
    except Exception as error:  # errors of csv, json, pyarrow: the hash matters more
        return None, f"the rows cannot be counted: {sanitize(str(error), 200)}"
    return None, "rows are not counted for this file type"
