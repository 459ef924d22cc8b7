"""Keys of rows that are equal: a hash of the texts, whatever their spaces and line ends."""

from __future__ import annotations

import hashlib
import unicodedata

from core.data.readers.row_values import list_texts
from core.data.stream.row_batches import ReadRow

KEY_BYTES = 8  # ten million rows have an accidental pair once in 400,000 files
SPACES = b" \t\n\r\f\v"
READ = ("messages", "prompt", "completion", "system", "text")  # of a row in the common form
NEXT_TEXT, NEXT_PART = "\x1e", "\x1f"


def make_row_key(row: ReadRow) -> int:
    """Return the key of a row with texts: in equal rows context and learnt text differ in spaces alone."""
    assert row.texts is not None, "a row that training skips is no copy"
    texts = row.texts
    learnt = texts.answers + texts.other if texts.other else texts.answers
    joined = NEXT_TEXT.join(texts.context) + NEXT_PART + NEXT_TEXT.join(learnt)
    return _hash(joined + NEXT_PART + NEXT_TEXT.join(list_whole_texts(row)) if texts.is_cut else joined)


def list_whole_texts(row: ReadRow) -> list[str]:
    """Return every text of a row that training reads, none of them cut."""
    if row.texts is None or not row.texts.is_cut:
        return list(row.texts.all) if row.texts is not None else []
    return list(list_texts([row.row[key] for key in READ if key in row.row]))


def _hash(joined: str) -> int:
    if not joined.isascii():
        joined = unicodedata.normalize("NFC", joined)
    content = joined.encode(errors="surrogatepass").translate(None, SPACES)
    return int.from_bytes(hashlib.blake2b(content, digest_size=KEY_BYTES).digest())
