"""Checks before training that the base model knows the tokens of all rows and can compute their length."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.spec.searched_knob_extremes import find_extent
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.train.base.base_model import Base
from core.train.base.context_length import read_configured_length
from core.train.data.dataset import Data, Row


def check(spec: StudySpec, base: Base, data: Data) -> list[str]:
    """Return warnings about rows that are longer than the model's context length.

    Raises TrimtabError for rows with tokens outside the model's vocabulary, and for rows that are longer in
    every trial than the model has positions.
    """
    rows = [*data.train, *(data.anonymised or ()), *data.validation]
    _check_tokens(spec, base, rows)
    shortest, longest = find_extent(spec, "sequence_length")
    limit, size = base.positions, read_configured_length(base.model)
    over = [len(row.ids) for row in rows if size and len(row.ids) > size]
    if limit is not None and over and min(shortest, max(over)) > limit:
        raise TrimtabError.of(
            f"{len(over)} rows have more tokens than the {limit} positions of the model",
            f"sequence_length = {longest:g}",
            f"set sequence_length to {limit} or less, which truncates these rows",
        )
    if not over or limit is not None:
        return []
    return [
        f"{len(over)} rows are longer than the model's context length of {size} tokens "
        f"(sequence_length = {longest:g}): its output may be worse beyond it"
    ]


def _check_tokens(spec: StudySpec, base: Base, rows: Sequence[Row]) -> None:
    vocabulary = base.vocabulary
    if len(base.tokenizer) <= vocabulary:
        return
    wrong = [row for row in rows if row.ids.max() >= vocabulary]
    if wrong:
        token = next(token for token in wrong[0].ids.tolist() if token >= vocabulary)
        refuse(base, token, f"{len(wrong)} rows of data.source")


def refuse(base: Base, token: int, location: str) -> None:
    """Raise TrimtabError for a token that the base model's embedding does not have."""
    text = sanitize(str(base.tokenizer.convert_ids_to_tokens(token)), 60)
    raise TrimtabError.of(
        f"the token {text!r} has id {token}, but the model's embedding has {base.vocabulary} rows: the "
        "tokenizer is larger than the embedding",
        location,
        "use the model's own tokenizer, or call resize_token_embeddings(len(tokenizer)) on the model and "
        "save both",
    )
