"""Where rows come from: the demo, a file, a folder or a hub data set; split into training and validation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import paths
from core.contract.plain import plain
from core.contract.spec import DataSection, Spec
from core.errors import TrimtabError
from core.train.progress import Progress

DEMO = "demo:stdlib"
READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "text"}
PACKED = (".gz", ".xz", ".bz2", ".zst")  # datasets unpacks these
Raw = dict[str, Any]


def load(spec: Spec, progress: Progress) -> tuple[list[Raw], list[Raw]]:
    """Training and validation rows as their source has them. Raises TrimtabError."""
    data = spec.data
    rows = _read(data, data.source, data.split, progress)
    held: list[Raw] | None = None
    if isinstance(data.validation, str):
        apart = _kind(data.validation) is not None or Path(data.validation).exists()
        place, split = (data.validation, "train") if apart else (data.source, data.validation)
        if not apart and _kind(place) is not None:
            raise TrimtabError.of(
                "there is no such file, and a single file has no splits",
                f"data.validation = {data.validation!r}",
                "give a share such as 0.1, or the path of a file",
            )
        held = _read(data, place, split, progress)
    train, validation = (
        (rows, held) if held is not None else _split(rows, float(data.validation), spec.study.seed)
    )
    if data.rows is not None and len(train) > data.rows:
        train = random.Random(spec.study.seed + 1).sample(train, data.rows)
    for name, part in (("train on", train), ("validate on", validation)):
        if not part:
            raise TrimtabError.of(
                f"no rows are left to {name}: the source has {len(rows)}",
                f"data.source = {data.source!r}",
                "give more rows, or set data.validation to another share or file",
            )
    return train, validation


def _split(rows: Sequence[Raw], share: float, seed: int) -> tuple[list[Raw], list[Raw]]:
    """A random share for validation. Rows of one ``group`` stay together, so that no near-copy of a
    training row is judged on."""
    draw = random.Random(seed)
    if rows and "group" in rows[0]:
        groups = sorted({row["group"] for row in rows})
        draw.shuffle(groups)
        held = set(groups[: max(1, round(share * len(groups)))])
        return [row for row in rows if row["group"] not in held], [
            row for row in rows if row["group"] in held
        ]
    order = list(range(len(rows)))
    draw.shuffle(order)
    count = min(len(rows), max(1, round(share * len(rows)))) if rows else 0
    held_rows = set(order[:count])
    return (
        [row for index, row in enumerate(rows) if index not in held_rows],
        [row for index, row in enumerate(rows) if index in held_rows],
    )


def _kind(source: str) -> str | None:
    """The reader for a file name, None for anything else."""
    ends = [end.lower() for end in Path(source).suffixes]
    while ends and ends[-1] in PACKED:
        ends.pop()
    return READERS.get(ends[-1]) if ends else None


def _read(data: DataSection, source: str, split: str, progress: Progress) -> list[Raw]:
    if source == DEMO:
        from core.train.stdlib_pairs import pairs

        return list(pairs(progress))
    if source.startswith("demo:"):
        raise TrimtabError.of(f"there is no demo data {source!r}", "data.source", f"write {DEMO!r}")
    progress(f"reading {Path(source).name}", 0, 0, "")
    path = Path(source).expanduser()
    looks_local = source.startswith(("/", ".", "~")) or _kind(source) is not None
    if looks_local and not path.exists():
        raise TrimtabError.of("there is no such file", f"data.source = {source!r}", "check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise TrimtabError.of("the file is empty", f"data.source = {source!r}", "give a file with rows")
    if path.is_file() and _kind(source) is None:
        known = ", ".join(READERS)
        raise TrimtabError.of("this kind of file is not read", f"data.source = {source!r}", f"known: {known}")
    return _load(data, source, split, path)


def _load(data: DataSection, source: str, split: str, path: Path) -> list[Raw]:
    import datasets

    datasets.disable_progress_bars()
    cache = str(paths.cache() / "datasets")
    try:
        if path.is_file():
            kind = _kind(source) or ""
            found = datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=cache)
        elif path.is_dir():
            found = datasets.load_dataset(str(path), data.subset, split=split, cache_dir=cache)
        else:
            found = datasets.load_dataset(source, data.subset, split=split)
        return list(found)
    except Exception as error:  # datasets raises its own, pyarrow's, the hub's and builtin errors
        cause = error.__cause__ or error
        raise TrimtabError.of(
            f"the data cannot be read: {plain(str(cause), 400)}",
            f"data.source = {source!r}, split {split!r}",
            "JSONL, JSON, CSV, Parquet and hub data sets are read; check the file, the name and the network",
        ) from error
