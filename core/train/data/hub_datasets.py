"""Reads the rows of a hub data set, or of a folder that declares its splits; ``datasets`` resolves which
files a split has.

Files of known formats are then read like local ones, as a stream and so that no value changes its type; all
others are read by ``datasets``, from its memory-mapped cache.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core import paths
from core.contract.spec.study_spec import DataOptions
from core.contract.text import error_reports
from core.contract.text.sanitize import sanitize
from core.data.formats.arrow_rows import drop_nulls
from core.data.formats.numbers_as_written import ClassNumber
from core.data.readers import local_file_reader
from core.errors import TrimtabError

Raw = dict[str, Any]
Opened = Callable[[], Iterable[Raw]]  # yields the rows again at each call
FORMATS = ("json", "csv", "text", "parquet", "arrow")  # readers of datasets for formats that are known here
PATTERN = "*?[]{}"  # characters that make a path a glob pattern for datasets
FIX = "use JSONL, JSON, CSV, Parquet or a hub data set; check the name, the split and the network"


def open_rows(data: DataOptions, source: str, split: str, key: str) -> Opened:
    """Find the rows of one split. Raises TrimtabError that names ``key``; so does reading them."""
    import datasets

    datasets.disable_progress_bars()
    try:
        with _escape_patterns(source) as place:
            opened = _open(data, place, split, key)
    except TrimtabError:
        raise
    except Exception as error:  # datasets raises its own, pyarrow's, the hub's and built-in errors
        cause = error.__cause__ or error
        own = source == (data.source if key == "data.source" else data.validation)
        location = (
            f"{key} = {source!r}, split {split!r}" if own else f"{key} = {split!r}, a split of {source!r}"
        )
        variable = "TRIMTAB_CACHE" if paths.expand_home(source).is_dir() else "HF_HOME"  # as in _open
        fix = error_reports.give_advice(error, FIX, variable)
        raise TrimtabError.of(
            f"the data cannot be read: {sanitize(str(cause), 400)}", location, fix
        ) from error
    return opened


@contextmanager
def _escape_patterns(source: str) -> Iterator[str]:
    """A path of the folder without glob characters, which datasets would expand. If the path has some, a
    temporary folder of links to its files is used (datasets resolves a link to a folder)."""
    path = paths.expand_home(source)
    if not path.is_dir():
        yield source
    elif not set(PATTERN) & set(str(path.absolute())):
        yield str(path)
    else:
        with tempfile.TemporaryDirectory(prefix="trimtab-") as scratch:
            for folder, _, names in os.walk(path.absolute(), followlinks=True):
                inside = Path(scratch) / Path(folder).relative_to(path.absolute())
                inside.mkdir(exist_ok=True)
                for name in names:
                    (inside / name).symlink_to(Path(folder) / name)
            yield scratch


def _open(data: DataOptions, place: str, split: str, key: str) -> Opened:
    import datasets

    cache = str(paths.cache() / "datasets") if Path(place).is_dir() else None
    builder = datasets.load_dataset_builder(place, data.subset, cache_dir=cache)
    named = (builder.config.data_files or {}).get(split)
    if (
        builder.name in FORMATS
        and named
        and all(local_file_reader.find_kind(str(file).split("?")[0]) for file in named)
    ):
        manager = datasets.DownloadManager(download_config=datasets.DownloadConfig(token=builder.token))
        files = [
            (Path(path).resolve(), str(name))
            for path, name in zip(manager.download(list(named)), named, strict=True)
        ]
        names = _list_class_names(builder.info.features)
        return lambda: _read_files(files, key, names, str(getattr(builder.config, "sep", None) or ""))
    typed: dict[str, Any] = {"dtype": str, "keep_default_na": False} if builder.name == "csv" else {}
    rows = datasets.load_dataset(place, data.subset, split=split, cache_dir=cache, **typed)
    return lambda: _read_table(rows, _list_class_names(rows.features))


def _list_class_names(features: Any) -> dict[str, list[str]]:
    """Return the names of the classes in each column of class labels."""
    named = {name: getattr(feature, "names", None) for name, feature in (features or {}).items()}
    return {name: list(names) for name, names in named.items() if names}


def _read_files(
    files: list[tuple[Path, str]], key: str, names: dict[str, list[str]], delimiter: str
) -> Iterator[Raw]:
    for path, name in files:
        for row in local_file_reader.read_rows(
            path, key, _name_file(name), "" if delimiter == "," else delimiter
        ):
            yield _add_class_names(row, names) if names else row


def _read_table(rows: Any, names: dict[str, list[str]]) -> Iterator[Raw]:
    for row in rows:
        yield _add_class_names({name: drop_nulls(value) for name, value in row.items()}, names)


def _add_class_names(row: Raw, names: dict[str, list[str]]) -> Raw:
    classes = {name: ClassNumber(row[name], names[name]) for name in names if type(row.get(name)) is int}
    return row | classes


def _name_file(address: str) -> str:
    """A file's path or URL without a query string."""
    return address.split("::")[-1].split("?")[0] if "://" in address else address
