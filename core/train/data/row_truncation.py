"""Truncates a trial's rows to its sequence_length, and notes once per length what is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.contract.spec.knob_table import Value
from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.errors import TrimtabError, join_in_line
from core.train.adapters.peft_config import InfeasibleError
from core.train.base.base_model import Base
from core.train.data.dataset import Data, Row


def cut_rows(
    spec: StudySpec, base: Base, data: Data, knobs: Mapping[str, Value], note: Callable[[str], None]
) -> list[Row]:
    """The trial's training rows. Raises InfeasibleError if none are left, or a row exceeds the positions."""
    length = int(knobs["sequence_length"])  # type: ignore[arg-type]
    try:
        kept_rows, limit = data.shorten(length, knobs.get("anonymise"))[0], base.positions
    except TrimtabError as error:
        raise InfeasibleError(join_in_line(error)) from None
    if not kept_rows:
        raise InfeasibleError(f"sequence_length = {length}: no row has a target token within it")
    if limit is not None and any(len(row.ids) > limit for row in kept_rows):
        raise InfeasibleError(
            f"sequence_length = {length}: the model has positions for {limit} tokens, and some rows have more"
        )
    for text in list_notes(spec, data, length):
        note(text)
    return kept_rows


def list_notes(spec: StudySpec, data: Data, length: int) -> list[str]:
    """Note what a trial with this sequence_length does not train on. Rows that are cut for all trials are
    noted when the data is loaded."""
    longest = find_longest_sequence(spec)
    if length in data.noted_lengths or length >= longest:
        return []
    data.noted_lengths.add(length)
    long = sum(len(row.ids) > length for row in data.train)
    lost_count = len(data.train) - len(data.shorten(length)[0])
    if not long:
        return []
    lost_text = f", and {lost_count} without a target within it are skipped" if lost_count else ""
    return [
        f"sequence_length = {length}: {long} of {len(data.train)} training rows are longer and are "
        f"truncated{lost_text}; validation uses up to {longest} tokens, as for all trials of the study"
    ]
