"""Keys of rows that are equal: a hash of the texts, whatever their spaces and line ends."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

from core.data.readers.row_values import texts
from core.data.stream.row_batches import ReadRow

KEY_BYTES = 8  # ten million rows have an accidental pair once in 400,000 files
SPACES = b" \t\n\r\f\v"
READ = ("messages", "prompt", "completion", "system", "text")  # of a row in the common form
NEXT_TEXT, NEXT_PART = "\x1e", "\x1f"


def row_key(row: ReadRow) -> int:
    """Return the key of a row with texts: in equal rows context and learnt text differ in spaces alone."""
    assert row.texts is not None, "a row that training skips is no copy"
    parts = [row.texts.context, row.texts.learnt]
    return _hash([*parts, whole_texts(row)] if row.texts.is_cut else parts)


def whole_texts(row: ReadRow) -> list[str]:
    """Return every text of a row that training reads, none of them cut."""
    if row.texts is None or not row.texts.is_cut:
        return list(row.texts.all) if row.texts is not None else []
    return list(texts([row.row[key] for key in READ if key in row.row]))


def _hash(parts: Sequence[Sequence[str]]) -> int:
    joined = NEXT_PART.join(NEXT_TEXT.join(part) for part in parts)
    if not joined.isascii():
        joined = unicodedata.normalize("NFC", joined)
    content = joined.encode(errors="surrogatepass").translate(None, SPACES)
    return int.from_bytes(hashlib.blake2b(content, digest_size=KEY_BYTES).digest())
