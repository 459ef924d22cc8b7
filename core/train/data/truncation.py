"""The rows that a trial's sequence_length leaves; and words on what it cuts, once for each length."""

from __future__ import annotations

from collections.abc import Callable

from core.contract.spec.knob_range import longest_sequence
from core.contract.spec.study_spec import Spec
from core.errors import TrimtabError, in_line
from core.train.adapters.peft_config import Unfit
from core.train.base.base_model import Base
from core.train.data.dataset import Data, Row


def rows(spec: Spec, base: Base, data: Data, length: int, note: Callable[[str], None]) -> list[Row]:
    """What a trial trains on. Raises Unfit for a length that leaves nothing, or too much for the base."""
    try:
        found, limit = data.shortened(length)[0], base.positions
    except TrimtabError as error:
        raise Unfit(in_line(error)) from None
    if not found:
        raise Unfit(f"sequence_length = {length}: no row has a target token within it")
    if limit is not None and any(len(row.ids) > limit for row in found):
        raise Unfit(
            f"sequence_length = {length}: the model has places for {limit} tokens, and rows have more"
        )
    for text in notes(spec, data, length):
        note(text)
    return found


def notes(spec: Spec, data: Data, length: int) -> list[str]:
    """What a trial with this sequence_length does not learn from. Rows that are cut for all trials are told
    with the data."""
    held = longest_sequence(spec)
    if length in data.told or length >= held:
        return []
    data.told.add(length)
    judged = f"it is judged on up to {held} tokens, as all trials of the study"
    long = sum(len(row.ids) > length for row in data.train)
    lost = len(data.train) - len(data.shortened(length)[0])
    if not long:
        return []
    more = f", and {lost} without a target within it are left out" if lost else ""
    told = f"{long} of {len(data.train)} training rows are longer and are cut{more}"
    return [f"sequence_length = {length}: {told}; {judged}"]
