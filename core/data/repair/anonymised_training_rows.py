"""Rows with placeholders for personal data, as the knob ``anonymise`` trains on them."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from core.data.checks.person_name_rows import FindNames
from core.data.copies.row_keys import READ
from core.data.readers.row_shape import Canonical
from core.data.readers.row_values import list_texts
from core.data.repair.pii_placeholders import Placeholders
from core.data.repair.row_text_repair import map_texts

BATCH = 32  # rows in which names are looked for at once, and between two progress reports
PURPOSE = b"trimtab anonymise"  # the salt is no hash of the file that a report or a bundle shows
Progress = Callable[[str, int, int, str], None]


def anonymise(
    rows: Sequence[Canonical], salt: str, find_names: FindNames | None, progress: Progress
) -> tuple[list[Canonical], str]:
    """Return the rows with placeholders, and a note that counts them. Raises TrimtabError if names cannot be
    looked for."""
    placeholders, kinds = Placeholders(salt, find_names), Counter[str]()
    anonymised, changed = list[Canonical](), 0
    for at, row in enumerate(rows):
        if at % BATCH == 0:
            progress("anonymising training rows", at, len(rows), "rows")
            placeholders.prepare(list_texts([_take_read(row) for row in rows[at : at + BATCH]]))
        before = kinds.total()
        anonymised.append(_anonymise(row, placeholders, kinds))
        changed += kinds.total() > before
    kinds_text = (
        ", ".join(f"{kind}: {count}" for kind, count in kinds.most_common()) or "no personal data found"
    )
    names = "" if find_names else "; names of people are looked for only with evaluate.names"
    return (
        anonymised,
        f"anonymise: {changed} of {len(rows)} training rows have placeholders ({kinds_text}{names})",
    )


def _anonymise(row: Canonical, placeholders: Placeholders, kinds: Counter[str]) -> Canonical:
    replaced: Canonical = map_texts(_take_read(row), lambda text: placeholders.replace(text, kinds))
    return row | replaced


def _take_read(row: Canonical) -> Canonical:
    return {key: row[key] for key in (*READ, "tools") if key in row}


def find_salt(parts: Iterable[Iterable[Canonical]]) -> str:
    """Return the salt of a study whose sources have these rows: in all of them a value gets the same
    placeholder.

    The same rows get the same placeholders on every machine, and who does not have the rows cannot compute
    the placeholder of a guessed value.
    """
    total = hashlib.blake2b(key=PURPOSE)
    for row in itertools.chain.from_iterable(parts):
        read = [row[key] for key in READ if key in row]
        total.update(json.dumps(read, default=str).encode())
    return total.hexdigest()
