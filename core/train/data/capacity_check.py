"""What a base has room for, asked once before training: the tokens of all rows, and their number."""

from __future__ import annotations

from collections.abc import Sequence

from core.contract.spec.knob_range import extent
from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.train.base.base_model import Base
from core.train.base.context_length import made_for
from core.train.data.dataset import Data, Row


def check(spec: Spec, base: Base, data: Data) -> list[str]:
    """Words on rows that are longer than the model was made for. Raises TrimtabError for rows with tokens
    that the model does not know, or longer in every trial than it has places."""
    rows = [*data.train, *data.validation]
    _check_tokens(spec, base, rows)
    shortest, longest = extent(spec, "sequence_length")
    limit, size = base.positions, made_for(base.model)
    over = [len(row.ids) for row in rows if size and len(row.ids) > size]
    if limit is not None and over and min(shortest, max(over)) > limit:
        raise TrimtabError.of(
            f"{len(over)} rows have more than the {limit} tokens that the model has places for",
            f"sequence_length = {longest:g}",
            f"set sequence_length to {limit} or less; the rows' ends are cut then",
        )
    if not over or limit is not None:
        return []
    return [
        f"{len(over)} rows are longer than the {size} tokens that the model was made for "
        f"(sequence_length = {longest:g}): beyond them it may write worse"
    ]


def _check_tokens(spec: Spec, base: Base, rows: Sequence[Row]) -> None:
    known = base.vocabulary
    if len(base.tokenizer) <= known:
        return
    wrong = [row for row in rows if max(row.ids) >= known]
    if wrong:
        refuse(base, next(one for one in wrong[0].ids if one >= known), f"{len(wrong)} rows of data.source")


def refuse(base: Base, token: int, where: str) -> None:
    """Raises TrimtabError about a token that the base's embedding does not have."""
    text = plain(str(base.tokenizer.convert_ids_to_tokens(token)), 60)
    raise TrimtabError.of(
        f"the token {text!r} is number {token}, and the model knows {base.vocabulary} tokens, from 0 on: the "
        "tokenizer is larger than the model's embedding",
        where,
        "take the model's own tokenizer, or call resize_token_embeddings(len(tokenizer)) on the model and "
        "save both",
    )
