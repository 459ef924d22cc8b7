"""Names the token cache of a study's rows: a hash of all that the tokens follow from.

That is the content of the files, how they are read, split and formatted, the tokenizer with its chat
template, the versions of the libraries, and trimtab's own code that reads and tokenises. Where one of these
cannot be known, such as the files of a hub data set, there is no name, and the rows are not cached.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.spec.study_spec import StudySpec
from core.data.cache import file_sums
from core.data.readers import folder_splits
from core.store import input_change_check
from core.store.input_change_check import read_state
from core.store.input_fingerprints import fingerprint_model

FORMAT = 1  # of the files of the cache
CODE = ("data", "train/data", "evaluate/metrics/validation_slices.py", "evaluate/prompts/prompt_schema.py")
ANONYMISING = (
    *(f"evaluate/text/{name}.py" for name in ("pii_detector", "pii_patterns", "id_checksums")),
    "evaluate/text/leaked_names.py", "train/evaluation/person_name_classifier.py",
    "train/commands/find_names.py",
)  # fmt: skip
LIBRARIES = ("tokenizers", "transformers", "jinja2", "datasets", "pyarrow")
CLOCK = re.compile(r"%-?[HIMSfpcXTRrsz]")  # parts of a time that change within a day
ELSEWHERE = re.compile(r"""(?:^|[\s"'\[,-])(?:/|~|\w+://)|\.\./""", re.MULTILINE)  # paths out of a folder
MOST_FILES = 10_000  # of a folder
Progress = input_change_check.Progress


@dataclass(frozen=True)
class CacheKey:
    """The ``name`` of the cache of a study's rows, and the stamp of each file or folder when its content was
    read."""

    name: str
    spec: StudySpec
    stamps: dict[Path, str | None]

    def holds(self) -> bool:
        """Whether no file has changed or been added since: rows that were read meanwhile belong to this
        name."""
        return stamp_places(self.spec) == self.stamps


def find_key(
    spec: StudySpec, tokenizer: Any, demo: str, progress: Progress, salted: Sequence[str] = ()
) -> CacheKey | None:
    """The key of a study's rows, or of those with placeholders whose salt follows from the rows of the keys
    ``salted``; ``demo`` identifies the demo's rows. None if they cannot be cached.

    Raises TrimtabError for a file that cannot be read.
    """
    tokenizer_hash = describe_tokenizer(tokenizer)
    places = _find_places(spec)
    has_source = any(key.split(" ")[0] == "data.source" for key in places)  # " (PATH)" follows for a pattern
    if tokenizer_hash is None or not (has_source or spec.data.source.startswith("demo:")):
        return None
    stamps = {path: _stamp(path) for path in places.values()}
    sums = {str(path): _sum(key, path, progress) for key, path in places.items()}
    if None in stamps.values() or None in sums.values() or any(map(_reads_elsewhere, places.values())):
        return None
    options = {
        name: sums.get(value, value) if isinstance(value, str) else value
        for name, value in msgspec.to_builtins(spec.data).items()
    }
    whole = [
        FORMAT, options, [[key.split(" ")[0], sums[str(path)]] for key, path in places.items()],
        spec.study.seed, spec.evaluate.rows, demo, tokenizer_hash,
        list_versions(), hash_code(),
        *([hash_code(ANONYMISING), *salted] if salted else []),
    ]  # fmt: skip
    name = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    return CacheKey(name, spec, stamps)


def describe_tokenizer(tokenizer: Any) -> list[Any] | None:
    """All that decides how the tokenizer renders and encodes; None if that includes code of its own, or the
    time of day."""
    kind, backend = type(tokenizer), getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not kind.__module__.startswith("transformers."):
        return None
    backend.no_truncation()  # a state of the last call, which is set anew at each
    backend.no_padding()
    template = json.dumps(tokenizer.chat_template, sort_keys=True, default=str)
    dated = "strftime_now" in template
    if dated and CLOCK.search(template):
        return None
    return [
        kind.__qualname__, hashlib.sha256(backend.to_str().encode()).hexdigest(), template,
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        bool(tokenizer.split_special_tokens), str(datetime.date.today()) if dated else "",
    ]  # fmt: skip


def describe_model(key: str, name: str) -> str | None:
    """Return what identifies the content of the model that ``key`` names: the names, sizes and times of its
    files, or its Hub commit; None if that is not known. Raises TrimtabError."""
    path = paths.expand_home(name)
    return read_state(key, path).stamp if path.is_dir() else fingerprint_model(name, None).revision


@functools.cache
def hash_code(parts: tuple[str, ...] = CODE) -> str:
    """The SHA-256 of the code in ``parts``, by default all that reads, renders and tokenises rows."""
    code, total = paths.find_root() / "core", hashlib.sha256()
    for part in parts:
        place = code / part
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            total.update(file.read_bytes())
    return total.hexdigest()


@functools.cache
def find_version(name: str) -> str:
    """The version of an installed library; "" if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def list_versions() -> dict[str, str]:
    """The versions of the libraries that decide which tokens rows have."""
    return {name: find_version(name) for name in LIBRARIES}


def stamp_places(spec: StudySpec) -> dict[Path, str | None]:
    """The names, sizes and times of the files of the rows, by file or folder."""
    return {path: _stamp(path) for path in _find_places(spec).values()}


def _find_places(spec: StudySpec) -> dict[str, Path]:
    """The files and folders of the rows, by key in the study file."""
    return {
        key: path for key, path in input_change_check.list_places(spec).items() if key.startswith("data.")
    }


def _reads_elsewhere(path: Path) -> bool:
    """Whether rows of a folder may be in files that are not below it: its README.md may name any, and
    ``datasets`` reads linked folders, too."""
    if not path.is_dir() or not folder_splits.has_declared_files(path):
        return False
    readme = path / "README.md"
    note = readme.read_text(errors="replace").split("\n---", 1)[0] if readme.is_file() else ""
    linked = (Path(place, name) for place, names, _ in os.walk(path) for name in names)
    return bool(ELSEWHERE.search(note)) or any(map(Path.is_symlink, linked))


def _stamp(path: Path) -> str | None:
    """The names, sizes and times of a file or of all files of a folder; None for one with too many."""
    total = hashlib.sha256()
    for count, file in enumerate(_list_files(path)):
        if count == MOST_FILES:
            return None
        status = file.stat()
        stamp = (str(file), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        total.update(repr(stamp).encode())
    return total.hexdigest()


def _sum(key: str, path: Path, progress: Progress) -> str | None:
    """The content of a file with its extension, which decides how it is read, or of all files of a folder."""
    total = hashlib.sha256()

    def tell(done: int) -> None:
        progress(f"comparing {path.name} with the token cache", done, 0, "MiB")

    for count, file in enumerate(_list_files(path)):
        if count == MOST_FILES:
            return None
        name = "".join(path.suffixes[-2:]) if path.is_file() else file.relative_to(path).as_posix()
        total.update(f"{name}\0{file_sums.hash_file(key, file, tell)}\n".encode(errors="replace"))
    return total.hexdigest()


def _list_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from sorted(filter(Path.is_file, paths.walk_files(path)))
