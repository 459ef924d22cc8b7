"""Reads the rows of a folder or a hub data set; ``datasets`` resolves which files a split has.

Text files (JSONL, JSON, CSV, plain text) are then read like single files, so that no value changes its type;
other files, such as Parquet, hold their types and are read by ``datasets``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core import paths
from core.contract.spec.study_spec import DataOptions
from core.contract.text import error_reports
from core.contract.text.sanitize import plain
from core.data.readers import local_files
from core.errors import TrimtabError

Raw = dict[str, Any]
TEXTS = ("json", "csv", "text")  # readers of datasets that guess types
PATTERN = "*?[]{}"  # characters that make a path a glob pattern for datasets
FIX = "use JSONL, JSON, CSV, Parquet or a hub data set; check the name, the split and the network"


def read(data: DataOptions, source: str, split: str, key: str) -> list[Raw]:
    """Read the rows of one split. Raises TrimtabError that names ``key``."""
    import datasets

    datasets.disable_progress_bars()
    try:
        with _without_patterns(source) as place:
            return _read(data, place, split, key)
    except TrimtabError:
        raise
    except Exception as error:  # datasets raises its own, pyarrow's, the hub's and built-in errors
        cause = error.__cause__ or error
        own = source == (data.source if key == "data.source" else data.validation)
        where = f"{key} = {source!r}, split {split!r}" if own else f"{key} = {split!r}, a split of {source!r}"
        variable = "TRIMTAB_CACHE" if paths.expand_home(source).is_dir() else "HF_HOME"  # as in _read
        fix = error_reports.advice(error, FIX, variable)
        raise TrimtabError.of(f"the data cannot be read: {plain(str(cause), 400)}", where, fix) from error


@contextmanager
def _without_patterns(source: str) -> Iterator[str]:
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


def _read(data: DataOptions, place: str, split: str, key: str) -> list[Raw]:
    import datasets

    cache = str(paths.cache() / "datasets") if Path(place).is_dir() else None
    builder = datasets.load_dataset_builder(place, data.subset, cache_dir=cache)
    named = (builder.config.data_files or {}).get(split)
    if builder.name in TEXTS and named and all(local_files.kind(_name(file)) for file in named):
        manager = datasets.DownloadManager(download_config=datasets.DownloadConfig(token=builder.token))
        local = [str(path) for path in manager.download(list(named))]
        delimiter = str(getattr(builder.config, "sep", None) or ",")
        return [
            row
            for file, path in zip(named, local, strict=True)
            for row in local_files.rows(Path(path), key, _name(file), delimiter)
        ]
    typed: dict[str, Any] = {"dtype": str, "keep_default_na": False} if builder.name == "csv" else {}
    rows = datasets.load_dataset(place, data.subset, split=split, cache_dir=cache, **typed)
    return [{name: local_files.without_nulls(value) for name, value in row.items()} for row in rows]


def _name(address: str) -> str:
    """A file's path or URL without a query string; ``.tsv`` becomes ``.csv``: only the separator differs."""
    name = str(address).split("::")[-1].split("?")[0] if "://" in str(address) else str(address)
    return name[: -len(".tsv")] + ".csv" if name.lower().endswith(".tsv") else name
