"""Finds which files of a local folder belong to a split, by the rules of ``datasets`` (its data_files.py)."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from core import paths
from core.data.readers import local_file_reader
from core.errors import TrimtabError

MOST_FILES = 10_000  # of a folder
LARGEST_NOTE = 1 << 20  # bytes read of README.md, state.json and dataset_dict.json
IGNORED = (
    "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json",
)  # fmt: skip
KEYWORDS = {
    "train": "train|training", "validation": "validation|valid|dev|val",
    "test": "test|testing|eval|evaluation",
}  # fmt: skip
SHARD = re.compile(r"([\w.]+?)-\d{5}-of-\d{5}.*\..*")  # in a folder called data
DECLARED = re.compile(r"^(configs|dataset_info)\s*:", re.MULTILINE)
Splits = dict[str, tuple[Path, ...]]


def has_declared_files(folder: Path) -> bool:
    """Tell whether the folder's README.md or a script declares its splits: ``datasets`` reads these."""
    try:
        with (folder / "README.md").open("rb") as file:
            declared = DECLARED.search(file.read(LARGEST_NOTE).decode(errors="replace"))
    except OSError:
        declared = None
    return declared is not None or (folder / f"{folder.name}.py").is_file()


def find_splits(folder: Path) -> Splits:
    """Return the files of rows by split; {} if there are none. Raises OSError, TrimtabError."""
    saved = _read_saved_splits(folder)
    if saved:
        return saved
    files = _list_files(folder)
    by_shard = {file: SHARD.fullmatch(file.name) for file in files if file.parent == folder / "data"}
    splits = _group({file: match[1] for file, match in by_shard.items() if match})
    splits = splits or _group({file: _split_of(file.relative_to(folder).parts[:-1]) for file in files})
    splits = splits or _group({file: _split_of((file.name,)) for file in files})
    return splits or ({"train": tuple(files)} if files else {})


def _list_files(folder: Path) -> list[Path]:
    """Return the files of the most frequent format; those of others, such as LICENSE.txt, hold no rows."""
    files = list[Path]()
    for file in paths.walk_files(folder):
        inside = file.relative_to(folder).parts
        is_hidden = any(part.startswith((".", "__")) for part in inside)
        if (
            not is_hidden
            and file.name not in IGNORED
            and local_file_reader.find_kind(file.name)
            and file.is_file()
        ):
            files.append(file)
        if len(files) >= MOST_FILES:
            break
    kinds = Counter(
        local_file_reader.find_kind(file.name)
        for file in files
        if local_file_reader.find_kind(file.name) != ".txt"
    )
    most = kinds.most_common(1)[0][0] if kinds else ".txt"
    return sorted(file for file in files if local_file_reader.find_kind(file.name) == most)


def _split_of(names: tuple[str, ...]) -> str:
    """Return the split that one of these names has as a word; "" if there is none."""
    for split, words in KEYWORDS.items():
        if any(re.search(rf"(?:^|[-._ 0-9])(?:{words})(?:$|[-._ 0-9])", name) for name in names):
            return split
    return ""


def _group(split_by_file: dict[Path, str]) -> Splits:
    files: dict[str, list[Path]] = {}
    for file, split in split_by_file.items():
        if split:
            files.setdefault(split, []).append(file)
    return {split: tuple(group) for split, group in files.items()}


def _read_saved_splits(folder: Path) -> Splits:
    """Return the Arrow files of a data set that ``save_to_disk`` wrote; {} for any other folder."""
    if (folder / "state.json").is_file():
        return {"train": _read_saved_files(folder)}
    if not (folder / "dataset_dict.json").is_file():
        return {}
    names = _read_note(folder / "dataset_dict.json").get("splits")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _make_damage_error(folder / "dataset_dict.json", "it has no list of splits")
    return {name: _read_saved_files(folder / name) for name in names}


def _read_saved_files(folder: Path) -> tuple[Path, ...]:
    note = _read_note(folder / "state.json")
    if note.get("_indices_data_files"):
        raise _make_damage_error(
            folder / "state.json", "its rows are selected by indices: save it with flatten_indices()"
        )
    try:
        files = tuple(folder / entry["filename"] for entry in note["_data_files"])
    except (KeyError, TypeError):
        raise _make_damage_error(folder / "state.json", "it has no list of data files") from None
    missing = next((file for file in files if not file.is_file() or file.parent != folder), None)
    if missing is not None:
        raise _make_damage_error(folder / "state.json", f"the file {missing.name!r} is missing")
    return files


def _read_note(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            note = json.loads(opened.read(LARGEST_NOTE))
    except (OSError, ValueError, RecursionError) as error:
        raise _make_damage_error(file, f"it cannot be read: {error}") from None
    if not isinstance(note, dict):
        raise _make_damage_error(file, "it is no JSON object")
    return note


def _make_damage_error(file: Path, why: str) -> TrimtabError:
    message = f"the data set that save_to_disk wrote cannot be used: {why}"
    return TrimtabError.of(message, str(file), "save the data set again")
