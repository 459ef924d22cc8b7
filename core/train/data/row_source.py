"""Where rows come from: the demo, a file, a folder or a hub data set; split into training and validation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from core import paths
from core.contract.spec.study_spec import DataSection, Spec
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.train.data import local_files
from core.train.load_progress import Progress

DEMO = "demo:stdlib"
COUNTED = 1000  # rows between two words on how many were read
Raw = dict[str, Any]
Opened = Callable[[], Iterable[Raw]]  # gives the rows again at each call


def load(spec: Spec, progress: Progress, notes: list[str] | None = None) -> tuple[list[Raw], list[Raw]]:
    """Training and validation rows as their source has them; ``notes`` learn what a person should know.

    With ``data.rows`` no more rows than are used are held in memory. Raises TrimtabError.
    """
    data, seed = spec.data, spec.study.seed
    opened = _opened(data, data.source, data.split, "data.source", progress)
    rows = _Rows(opened, keeps=data.rows is None, label=Path(data.source).name, progress=progress)
    _refuse_wrapped(rows, data, "data.source", data.source)
    held: list[Raw] | None = None
    if isinstance(data.validation, str):
        held = list(_validation(data, progress)())
        chosen, others = list(range(rows.count)), list[int]()
    else:
        chosen, others = _split(rows, data.validation, seed, [] if notes is None else notes)
    if data.rows is not None and len(chosen) > data.rows:
        chosen = random.Random(seed + 1).sample(chosen, data.rows)
    train, validation = rows.at(chosen, others)
    validation = validation if held is None else held
    for name, part in (("train on", train), ("validate on", validation)):
        if not part:
            raise TrimtabError.of(
                f"no rows are left to {name}: the source has {rows.count}",
                f"data.source = {data.source!r}",
                "give more rows, or set data.validation to another share or file",
            )
    return train, validation


class _Rows:
    """The rows of a source, counted; kept where ``keeps`` says so, else read again when they are chosen."""

    def __init__(self, opened: Opened, keeps: bool, label: str, progress: Progress) -> None:
        self._opened, self._kept = opened, list[Raw]()
        self._keeps = keeps or isinstance(opened(), list)
        self.count, self.first = 0, dict[str, Any]()
        self.groups: list[Any] = []  # of each row, where the first one has a group
        for row in opened():
            if self.count % COUNTED == 0:
                progress(f"reading {label}", self.count, 0, "rows")
                self.first = self.first or row
            if "group" in self.first:
                self.groups.append(row.get("group"))
            if self._keeps:
                self._kept.append(row)
            self.count += 1

    def at(self, *places: list[int]) -> tuple[list[Raw], ...]:
        """The rows at these places, in the order of each list."""
        if self._keeps:
            return tuple([self._kept[place] for place in some] for some in places)
        wanted = {place for some in places for place in some}
        found = {place: row for place, row in enumerate(self._opened()) if place in wanted}
        return tuple([found[place] for place in some] for some in places)


def _split(rows: _Rows, share: float, seed: int, notes: list[str]) -> tuple[list[int], list[int]]:
    """A random share for validation. Rows of one ``group`` stay together, so that no near-copy of a
    training row is judged on."""
    draw = random.Random(seed)
    if rows.groups and not (fault := _groups_fault(rows.groups)):
        groups = sorted(set(rows.groups))
        draw.shuffle(groups)
        held = set(groups[: max(1, round(share * len(groups)))])
        notes.append(f"rows of one group stay together: {len(held)} of {len(groups)} groups are validated on")
        return [at for at, group in enumerate(rows.groups) if group not in held], [
            at for at, group in enumerate(rows.groups) if group in held
        ]
    if rows.groups:
        notes.append(f"the column 'group' is not used to split the rows: {fault}")
    order = list(range(rows.count))
    draw.shuffle(order)
    count = min(rows.count, max(1, round(share * rows.count))) if rows.count else 0
    held_rows = set(order[:count])
    return [at for at in range(rows.count) if at not in held_rows], sorted(held_rows)


def _groups_fault(groups: list[Any]) -> str:
    """Why these are no groups to split by; "" where they are: texts or whole numbers, of one kind."""
    kinds = {type(one) for one in groups}
    if type(None) in kinds:
        return f"{sum(one is None for one in groups)} rows have none"
    if kinds not in ({str}, {int}):
        return "its values are neither all texts nor all whole numbers"
    return "all rows have the same" if len(set(groups)) == 1 else ""


def _refuse_wrapped(rows: _Rows, data: DataSection, key: str, source: str) -> None:
    """One object that holds the rows under one of its keys is no row."""
    known = {data.messages_key, data.prompt_key, data.completion_key, data.text_key}
    for name, value in rows.first.items() if rows.count == 1 and not known & set(rows.first) else ():
        if isinstance(value, list) and value and isinstance(value[0], dict) and known & set(value[0]):
            path = f".{name}" if name.isidentifier() else f".[{json.dumps(name)}]"
            raise TrimtabError.of(
                f"the rows are wrapped: the file is one object, which holds {len(value)} rows in {name!r}",
                f"{key} = {source!r}",
                f"take them out: jq -c '{plain(path, 80)}[]' FILE > rows.jsonl",
            )


def _validation(data: DataSection, progress: Progress) -> Opened:
    """The rows of ``data.validation``: a file or folder of its own, else a split of the source."""
    value = str(data.validation)
    if _looks_local(value) or paths.expanded(value).exists():
        opened = _opened(data, value, "train", "data.validation", progress)
        rows = _Rows(opened, True, Path(value).name, progress)
        _refuse_wrapped(rows, data, "data.validation", value)
        return lambda: rows.at(list(range(rows.count)))[0]
    if local_files.kind(data.source) is not None:
        raise TrimtabError.of(
            "there is no such file, and a single file has no splits",
            f"data.validation = {value!r}",
            "give a share such as 0.1, or the path of a file",
        )
    return _opened(data, data.source, value, "data.validation", progress)


def _looks_local(source: str) -> bool:
    return source.startswith(("/", ".", "~")) or local_files.kind(source) is not None


def _opened(data: DataSection, source: str, split: str, key: str, progress: Progress) -> Opened:
    """What gives the rows of ``source``. Raises TrimtabError, blamed on ``key``."""
    where = f"{key} = {source!r}"
    if source == DEMO:
        from core.train.data import stdlib_pairs

        found = stdlib_pairs.known(progress)
        return lambda: found
    if source.startswith("demo:"):
        raise TrimtabError.of(f"there is no demo data {source!r}", key, f"write {DEMO!r}")
    path = paths.expanded(source)
    if _looks_local(source) and not path.exists():
        raise TrimtabError.of("there is no such file", where, "check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise TrimtabError.of("the file is empty", where, "give a file with rows")
    if path.is_file() and local_files.kind(source) is None:
        known = ", ".join(local_files.READERS)
        raise TrimtabError.of("this kind of file is not read", where, f"known: {known}")
    if path.is_file():
        return lambda: local_files.rows(path, key)
    from core.train.data import hub_datasets

    progress(f"reading {Path(source).name}", 0, 0, "")
    several = hub_datasets.read(data, source, split, key)
    return lambda: several
