"""Writes the rows that a plan keeps, and a report of each change, into a new folder."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec

from core import paths
from core.contract.text.sanitize import sanitize
from core.data.formats.numbers_as_written import Written
from core.data.repair.clean_plan import TOLD, TRAIN, VALIDATION, Drop, SourcePlan, Tell
from core.data.repair.row_text_repair import Change, RowRepair
from core.errors import TrimtabError

CHANGES = "changes.jsonl"
AHEAD = 32  # rows in which names are looked for at once


@dataclass
class Cleaned:
    """The number of rows in each file, and of each change."""

    rows: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)


class Record(msgspec.Struct, omit_defaults=True):
    """A line of the report: the row's number in its source, what was changed and why. It holds no text of
    the row."""

    source: str
    row: int
    change: str
    detail: str = ""
    file: str = ""  # that the row is written to
    copy_of: int = 0


def write(plans: Sequence[SourcePlan], repair: RowRepair, folder: Path | None, tell: Tell) -> Cleaned:
    """Repair and write the rows; without a ``folder`` only count.

    Raises TrimtabError; then nothing is left behind.
    """
    cleaned = Cleaned()
    with open_aside(folder, (TRAIN, VALIDATION, CHANGES), "cleaned") as files:
        for plan in plans:
            rows = plan.read()
            for number, raw in enumerate(_look_ahead(rows.read_raw(), repair)):
                assert rows.shape is not None, "a source with rows has a shape"
                if number % TOLD == 0:
                    tell(f"cleaning {sanitize(plan.source.name, 60)}, {number:,} rows")
                drop = plan.dropped.get(number)
                repaired = repair.repair(raw, rows.shape) if drop is None else (None, [_describe(drop)])
                _write_row(plan, number, *repaired, files, cleaned)
        if not cleaned.rows[TRAIN]:
            raise _make_nothing_left_error(cleaned, plans[0].source.key)
    return cleaned


def _look_ahead(raws: Iterable[dict[str, Any]], repair: RowRepair) -> Iterator[dict[str, Any]]:
    rows = iter(raws)
    while batch := list(itertools.islice(rows, AHEAD)):
        repair.prepare(batch)
        yield from batch


def _describe(drop: Drop) -> Change:
    return Change("dropped", drop.why)


def _make_nothing_left_error(cleaned: Cleaned, key: str) -> TrimtabError:
    counts = [f"{change}: {count:,}" for change, count in cleaned.changes.most_common()]
    counts += [f"for validation: {cleaned.rows[VALIDATION]:,}"] if cleaned.rows[VALIDATION] else []
    message = f"no training row is left ({sanitize('; '.join(counts) or 'the source has no rows', 400)})"
    return TrimtabError.of(message, key, "run `trimtab check` on the study")


def _write_row(
    plan: SourcePlan,
    at: int,
    row: dict[str, Any] | None,
    changes: Sequence[Change],
    files: dict[str, IO[bytes]],
    cleaned: Cleaned,
) -> None:
    drop = plan.dropped.get(at)
    part = plan.choose_file(at) if row is not None else ""
    if row is not None:
        cleaned.rows[part] += 1
        if part in files:
            files[part].write(encode(row) + b"\n")
    for change in changes:
        cleaned.changes[f"dropped: {change.detail}" if change.what == "dropped" else change.what] += 1
        copy_of = 1 + drop.of if drop is not None and drop.of is not None else 0
        if CHANGES in files:
            name = Path(plan.source.name).name
            record = Record(name, at + 1, change.what, change.detail, part, copy_of)
            files[CHANGES].write(msgspec.json.encode(record) + b"\n")


@contextmanager
def open_aside(folder: Path | None, names: Sequence[str], what: str) -> Iterator[dict[str, IO[bytes]]]:
    """Open the files in a folder of another name, which is renamed when all is written; those but the first
    that are left empty are removed. ``what`` the rows are, such as "cleaned"."""
    if folder is None:
        yield {}
        return
    aside = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        paths.make_private(aside)
        with contextlib.ExitStack() as stack:
            yield {
                name: stack.enter_context(open(aside / name, "wb", opener=paths.open_without_link))
                for name in names
            }
        for name in names[1:]:
            if not (aside / name).stat().st_size:
                (aside / name).unlink()
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()  # it is empty, or does not exist
        aside.rename(folder)
    except OSError as error:
        message = f"the {what} rows cannot be written: {error.strerror or error}"
        raise TrimtabError.of(message, str(folder), "free disk space, or choose another folder") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def encode(row: dict[str, Any]) -> bytes:
    """Return a row as one line of JSON; numbers keep the digits of the file."""
    try:
        return msgspec.json.encode(_keep_digits(row))
    except (
        UnicodeEncodeError,
        TypeError,
        OverflowError,
    ):  # half a character in another column, or a strange value
        return json.dumps(row, default=str).encode()


def _keep_digits(value: Any) -> Any:
    if isinstance(value, Written):
        return msgspec.Raw(str(value).encode())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _keep_digits(item) for key, item in value.items()}
    return [_keep_digits(item) for item in value] if isinstance(value, list) else value
