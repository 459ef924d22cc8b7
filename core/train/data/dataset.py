"""Tokenised training and validation rows, with the prompt masked from the loss."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from core.contract.spec.knob_table import ANONYMISED
from core.contract.spec.searched_knob_extremes import find_longest_sequence, may_anonymise
from core.contract.spec.study_spec import StudySpec
from core.data.cache.token_arrays import INDEX, MASKED, SLICES, Array, PartNotes, TokenizedPart
from core.data.mixture.mixture_shares import Mixture
from core.errors import TrimtabError
from core.evaluate.prompts import canary_rows
from core.evaluate.prompts.prompt_schema import Question
from core.train.data import mixture_rows, row_tokenizer
from core.train.data.row_tokenizer import StudyAnonymiser
from core.train.progress_callback import Progress

__all__ = ["MASKED", "Data", "Planted", "Row", "collate", "cut", "find_bos_tokens", "has_target", "load_data"]
BATCH = 256  # canaries between two progress reports
Tokens = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(slots=True, eq=False, init=False)
class Row:
    """One sequence: ``ids`` are its tokens, ``labels`` the same with ``MASKED`` where there is no target,
    both (T,) int32 and often views of a file: never change them. ``parts`` names the slices of the data that
    its columns assign it to. ``number`` is its index among the training rows (-1: none), whatever it is cut
    to; ``planted``: it is a canary, trained on early. A row equals only itself."""

    ids: Tokens
    labels: Tokens
    parts: tuple[str, ...]
    number: int
    planted: bool

    def __init__(
        self,
        ids: Tokens | Sequence[int],
        labels: Tokens | Sequence[int],
        parts: tuple[str, ...] = (),
        number: int = -1,
        planted: bool = False,
    ) -> None:
        self.ids, self.labels = np.asarray(ids, np.int32), np.asarray(labels, np.int32)
        self.parts, self.number, self.planted = parts, number, planted


class Planted(NamedTuple):
    """A canary, and the numbers of the training rows that hold it: as many as it is repeated."""

    canary: canary_rows.Canary
    rows: tuple[int, ...]


@dataclass
class Data:
    """Tokenised rows of at most ``most`` tokens each; ``notes`` are for the event list."""

    train: list[Row]
    validation: list[Row]
    notes: list[str] = field(default_factory=list)
    canaries: list[Planted] = field(default_factory=list)  # their rows are the last of ``train``
    system: str = ""  # the system prompt of most training rows
    kind: str = "text"  # format of the rows: chat, instruction or text
    questions: list[Question] = field(default_factory=list)  # validation rows with choices
    dropped: dict[str, Counter[str]] = field(default_factory=dict)  # rows skipped in each part, by reason
    most: int = 1 << 62  # tokens kept of a row
    cut_rows: int = 0  # rows with more tokens than that
    noted_lengths: set[int] = field(default_factory=set, repr=False)  # lengths that the event list notes
    mixture: Mixture | None = None
    anonymised: list[Row] | None = None  # ``train`` with placeholders for personal data, where a trial has it
    _cut: dict[tuple[int, str], tuple[list[Row], list[Row]]] = field(default_factory=dict, repr=False)

    def shorten(self, length: int, anonymise: object = None) -> tuple[list[Row], list[Row]]:
        """Training and validation rows cut to ``length`` tokens, without those that then have no target; of
        the training rows those of the knob ``anonymise``.

        Trials share them: do not change them. Raises TrimtabError for a length beyond ``most`` that some rows
        have, and for placeholders in a study that was loaded without.
        """
        train, kind = (self.train, "") if anonymise != ANONYMISED else (self.anonymised, ANONYMISED)
        if train is None:
            raise TrimtabError.of(
                "the rows were loaded without placeholders",
                f"anonymise = {ANONYMISED!r}",
                'start a study with anonymise = ["off", "on"] in [space]',
            )
        if length > self.most and self.cut_rows:
            raise TrimtabError.of(
                f"{self.cut_rows} rows were loaded only up to {self.most} tokens",
                f"sequence_length = {length}",
                f"use at most {self.most}, or start a study whose search space includes this length",
            )
        if (length, kind) not in self._cut:
            train, validation = (
                [row for row in (cut(row, length) for row in rows) if has_target(row)]
                for rows in (train, self.validation)
            )
            self._cut[length, kind] = train, validation
        return self._cut[length, kind]


def cut(row: Row, length: int) -> Row:
    """The row's first ``length`` tokens."""
    if len(row.ids) <= length:
        return row
    return replace(row, ids=row.ids[:length], labels=row.labels[:length])


def has_target(row: Row) -> bool:
    """Whether the row has a target token; the first token is never predicted."""
    return bool((row.labels[1:] != MASKED).any())


def collate(rows: Sequence[Row], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest: input_ids, attention_mask and labels, each (B, T) int64."""
    shape = len(rows), max(len(row.ids) for row in rows)
    ids, labels, mask = np.full(shape, pad_id), np.full(shape, MASKED), np.zeros(shape, np.int64)
    for at, row in enumerate(rows):
        length = len(row.ids)
        ids[at, :length], labels[at, :length], mask[at, :length] = row.ids, row.labels, 1
    named = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    return {name: torch.from_numpy(array).to(device) for name, array in named.items()}


def load_data(
    spec: StudySpec, tokenizer: Any, progress: Progress, anonymiser: StudyAnonymiser | None = None
) -> Data:
    """The rows of a study, read, split and tokenised, or from the cache. Raises TrimtabError if no training
    or validation rows are left. ``anonymiser``: of the study that this one is a source of."""
    if anonymiser is None:
        with StudyAnonymiser(spec) as anonymiser:
            return load_data(spec, tokenizer, progress, anonymiser)
    if spec.data.mixture:
        parts = mixture_rows.list_parts(spec)
        data = mixture_rows.join(
            spec, [(name, _load_part(part, name, tokenizer, progress, anonymiser)) for name, part in parts]
        )
        _plant(data, canary_rows.make_canaries(spec.evaluate.canaries, spec.study.seed), tokenizer, progress)
        return data
    found_rows = row_tokenizer.find_rows(spec, tokenizer, progress)
    facts = found_rows.facts
    data = Data([], [], most=find_longest_sequence(spec), system=facts.system, kind=facts.kind)
    data.questions = facts.questions
    data.train = _take(spec, data, found_rows.training, "training")
    if may_anonymise(spec):
        data.anonymised = _list_anonymised(spec, data, found_rows.training, tokenizer, progress, anonymiser)
    data.validation = _take(spec, data, found_rows.validation, "validation")
    data.notes += [facts.fault] if facts.fault else []
    _plant(data, canary_rows.make_canaries(spec.evaluate.canaries, spec.study.seed), tokenizer, progress)
    data.notes += facts.notes
    data.notes.append(
        f"{len(data.train)} training and {len(data.validation)} validation rows, read as {data.kind}"
    )
    return data


def _list_anonymised(
    spec: StudySpec,
    data: Data,
    plain: TokenizedPart,
    tokenizer: Any,
    progress: Progress,
    anonymiser: StudyAnonymiser,
) -> list[Row]:
    """The training rows with placeholders, each with the number of the row that it comes from."""
    found_rows = row_tokenizer.find_rows(spec, tokenizer, progress, anonymiser)
    part, data.notes = found_rows.training, [*data.notes, *found_rows.facts.notes]
    plain_rows = {
        int(index): number for number, index in enumerate(plain.rows[plain.find_learnable(data.most), INDEX])
    }
    kept_places = [
        at for at in part.find_learnable(data.most).tolist() if int(part.rows[at, INDEX]) in plain_rows
    ]
    data.cut_rows += part.count_longer(data.most)
    numbers = [plain_rows[int(part.rows[at, INDEX])] for at in kept_places]
    return _list_rows(part, np.array(kept_places, np.int64), data.most, numbers)


def _load_part(
    spec: StudySpec, name: str, tokenizer: Any, progress: Progress, anonymiser: StudyAnonymiser
) -> Data:
    """Load a source of the mixture alone. Raises TrimtabError with its name."""
    try:
        return load_data(spec, tokenizer, progress, anonymiser)
    except TrimtabError as error:
        raise mixture_rows.name_source(error, name) from None


def _take(spec: StudySpec, data: Data, part: TokenizedPart, name: str) -> list[Row]:
    """The rows of a part that have a target, at most ``data.most`` tokens of each; notes and counts of the
    others are added to ``data``. Raises TrimtabError if no row is left."""
    kept_places, longer = part.find_learnable(data.most), part.count_longer(data.most)
    data.dropped[name] = part.count_dropped(data.most)
    data.cut_rows += longer
    _add_notes(spec, data, part.notes, name, len(kept_places), longer)
    numbers = itertools.count() if name == "training" else itertools.repeat(-1)
    return _list_rows(part, kept_places, data.most, numbers)


def _list_rows(part: TokenizedPart, kept_places: Array, longest: int, numbers: Iterable[int]) -> list[Row]:
    """The ``kept_places`` rows of a part with their ``numbers``, at most ``longest`` tokens of each."""
    begins, slices = part.begins[kept_places].tolist(), part.rows[kept_places, SLICES].tolist()
    lengths = np.minimum(part.lengths[kept_places], longest).tolist()
    ids, labels, names = part.ids, part.labels, list(map(tuple, part.notes.slices))
    return [
        Row(ids[begin : begin + length], labels[begin : begin + length], names[number], place)
        for place, begin, length, number in zip(numbers, begins, lengths, slices, strict=False)
    ]


def _add_notes(spec: StudySpec, data: Data, part_notes: PartNotes, name: str, kept: int, longer: int) -> None:
    """Add notes on what is not trained on. Raises TrimtabError if no row is left."""
    dropped, notes, count = data.dropped[name], data.notes, part_notes.count
    if not kept:
        own = name == "validation" and isinstance(spec.data.validation, str)
        key = "validation" if own else "source"
        raise TrimtabError.of(
            f"none of the {count} {name} rows can be used ({_find_commonest(dropped)})",
            f"data.{key} = {getattr(spec.data, key)!r}, format {data.kind!r}",
            "check the rows, set data.format, or raise sequence_length",
        )
    missed = Counter(part_notes.missed)
    if dropped:
        notes.append(f"{count - kept} of {count} {name} rows are skipped ({_find_commonest(dropped)})")
    if missed:
        notes.append(
            f"{missed.total()} answers in {name} rows are not trained on ({_find_commonest(missed)})"
        )
    remarks = Counter(part_notes.remarks).most_common()
    notes += [f"in {number} {name} rows {remark}" for remark, number in remarks]
    if longer:
        notes.append(f"{longer} of {count} {name} rows are longer than {data.most} tokens and are truncated")


def find_bos_tokens(tokenizer: Any) -> list[int]:
    """The token that precedes a plain text, so that its first token is predicted too."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [] if first is None else [first]


def _plant(data: Data, canaries: Sequence[canary_rows.Canary], tokenizer: Any, progress: Progress) -> None:
    """Add the canaries as rows of plain text, once, 4 and 16 times in turn (Carlini et al. 2019), and note
    the highest exposure that can be measured."""
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    repeats = canary_rows.plan_repeats(len(canaries), len(data.train))
    for at, (canary, count) in enumerate(zip(canaries, repeats, strict=True)):
        if at % BATCH == 0:
            progress("planting canaries", at, len(canaries), "rows")
        ids = [*tokenizer(canary.text, add_special_tokens=False)["input_ids"], *end]
        before = find_bos_tokens(tokenizer)
        first = len(data.train)
        planted = [
            Row([*before, *ids], [*[MASKED] * len(before), *ids], (), number, True)
            for number in range(first, first + count)
        ]
        data.train += planted
        if data.anonymised is not None:  # whether these are learnt by heart is what is measured
            data.anonymised += planted
        data.canaries.append(Planted(canary, tuple(range(first, first + count))))
    if canaries:
        most_bits = math.log2(max(canary.secrets for canary in canaries))
        times = ", ".join(f"{repeats.count(count)} of them {count}×" for count in sorted(set(repeats)))
        data.notes.append(
            f"{len(canaries)} canaries are added to the training rows ({times}; evaluate.canaries), trained "
            f"on first; security/exposure is at most {most_bits:.1f} bits, when a secret is fully memorised"
        )


def _find_commonest(reasons: Counter[str]) -> str:
    """The three most common reasons, each with its count."""
    return "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common(3))
