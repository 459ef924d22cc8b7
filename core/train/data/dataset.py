"""Tokenised training and validation rows, with the prompt masked from the loss."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from core.contract.spec.knob_min_max import longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import plain
from core.data.mixture.mixture_shares import Mixture
from core.data.readers.row_values import UnusableRow
from core.errors import TrimtabError
from core.evaluate.metrics import validation_slices
from core.evaluate.prompts import canary_rows
from core.evaluate.prompts.prompt_schema import Question
from core.train.data import labelled_questions, mixture_rows, row_loader
from core.train.data.chat_spans import Text
from core.train.data.row_format import RowFormat
from core.train.data.tokenization import Encoded, encode
from core.train.progress_callback import Progress

MASKED = -100  # torch's cross-entropy ignores these targets
BATCH = 256  # rows between two progress reports
PARTS = ("source", "task", "label", "category", "topic")  # columns whose values split the rows into slices

Raw = dict[str, Any]


class Row(NamedTuple):
    """One sequence: ``ids`` are its tokens, ``labels`` the same with ``MASKED`` where there is no target;
    ``parts`` names the slices of the data that its columns assign it to. ``number`` is its index among the
    training rows (-1: none), whatever it is cut to; ``planted``: it is a canary, trained on early."""

    ids: list[int]
    labels: list[int]
    parts: tuple[str, ...] = ()
    number: int = -1
    planted: bool = False


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
    _cut: dict[int, tuple[list[Row], list[Row]]] = field(default_factory=dict, repr=False)

    def shorten(self, length: int) -> tuple[list[Row], list[Row]]:
        """Training and validation rows cut to ``length`` tokens, without those that then have no target.

        Trials share them: do not change them. Raises TrimtabError for a length beyond ``most`` that some rows
        have.
        """
        if length > self.most and self.cut_rows:
            raise TrimtabError.of(
                f"{self.cut_rows} rows were loaded only up to {self.most} tokens",
                f"sequence_length = {length}",
                f"use at most {self.most}, or start a study whose search space includes this length",
            )
        if length not in self._cut:
            train, validation = (
                [row for row in (cut(row, length) for row in rows) if has_target(row)]
                for rows in (self.train, self.validation)
            )
            self._cut[length] = train, validation
        return self._cut[length]


def cut(row: Row, length: int) -> Row:
    """The row's first ``length`` tokens."""
    if len(row.ids) <= length:
        return row
    return row._replace(ids=row.ids[:length], labels=row.labels[:length])


def has_target(row: Row) -> bool:
    """Whether the row has a target token; the first token is never predicted."""
    return any(label != MASKED for label in row.labels[1:])


def collate(rows: Sequence[Row], pad_id: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Rows padded on the right to the longest: input_ids, attention_mask and labels, each (B, T) int64."""
    width = max(len(row.ids) for row in rows)
    ids = [row.ids + [pad_id] * (width - len(row.ids)) for row in rows]
    labels = [row.labels + [MASKED] * (width - len(row.ids)) for row in rows]
    mask = [[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
        "labels": torch.tensor(labels, device=device),
    }


def load_data(spec: StudySpec, tokenizer: Any, progress: Progress) -> Data:
    """Read, split and tokenise the rows. Raises TrimtabError if no training or validation rows are left."""
    if spec.data.mixture:
        data = mixture_rows.join(
            spec,
            [
                (name, _load_part(part, name, tokenizer, progress))
                for name, part in mixture_rows.list_parts(spec)
            ],
        )
        _plant(data, canary_rows.canaries(spec.evaluate.canaries, spec.study.seed), tokenizer, progress)
        return data
    source_notes: list[str] = []
    train, validation = row_loader.load(spec, progress, source_notes)
    form = RowFormat(spec, tokenizer, _columns(train))
    if isinstance(spec.data.validation, str):
        form.check(_columns(validation), f"data.validation = {spec.data.validation!r}")
    random.Random(spec.study.seed).shuffle(validation)
    data = Data([], [], most=longest_sequence(spec))  # limited, as one row may have millions
    reader = _RowReader(spec, form, progress, data)
    data.train = [row._replace(number=number) for number, row in enumerate(reader.read(train, "training"))]
    data.system, data.kind = form.common_system(train), form.kind
    data.validation = reader.read(validation[: spec.evaluate.rows], "validation")
    rows = validation[: spec.evaluate.rows]
    data.questions, fault = labelled_questions.find_questions(rows, spec.data.prompt_key)
    data.notes += [fault] if fault else []
    _plant(data, canary_rows.canaries(spec.evaluate.canaries, spec.study.seed), tokenizer, progress)
    data.notes += [*_column_notes(form, train), *source_notes]
    data.notes.append(
        f"{len(data.train)} training and {len(data.validation)} validation rows, read as {form.kind}"
    )
    return data


def _load_part(spec: StudySpec, name: str, tokenizer: Any, progress: Progress) -> Data:
    """Load a source of the mixture alone. Raises TrimtabError with its name."""
    try:
        return load_data(spec, tokenizer, progress)
    except TrimtabError as error:
        raise mixture_rows.name_source(error, name) from None


def _columns(rows: Sequence[Raw]) -> list[str]:
    """All columns that any row has: in JSONL each row may have its own."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _column_notes(form: RowFormat, rows: Sequence[Raw]) -> list[str]:
    """Notes on filled columns: which is joined to the prompt, and which are not trained on."""
    filled = dict.fromkeys(name for row in rows for name, value in row.items() if value not in (None, "", []))
    notes = [f"the column {form.joined!r} is appended to the prompt"] if form.joined in filled else []
    unused = form.list_unused([str(name) for name in filled])
    return [*notes, f"columns that are not trained on: {plain(', '.join(unused), 200)}"] if unused else notes


def bos_tokens(tokenizer: Any) -> list[int]:
    """The token that precedes a plain text, so that its first token is predicted too."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [] if first is None else [first]


def _plant(data: Data, canaries: Sequence[canary_rows.Canary], tokenizer: Any, progress: Progress) -> None:
    """Add the canaries as rows of plain text, once, 4 and 16 times in turn (Carlini et al. 2019), and note
    the highest exposure that can be measured."""
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    repeats = canary_rows.repeats(len(canaries), len(data.train))
    for at, (canary, count) in enumerate(zip(canaries, repeats, strict=True)):
        if at % BATCH == 0:
            progress("planting canaries", at, len(canaries), "rows")
        ids = [*tokenizer(canary.text, add_special_tokens=False)["input_ids"], *end]
        before = bos_tokens(tokenizer)
        first = len(data.train)
        data.train += [
            Row([*before, *ids], [*[MASKED] * len(before), *ids], (), number, True)
            for number in range(first, first + count)
        ]
        data.canaries.append(Planted(canary, tuple(range(first, first + count))))
    if canaries:
        most = math.log2(max(canary.secrets for canary in canaries))
        times = ", ".join(f"{repeats.count(count)} of them {count}×" for count in sorted(set(repeats)))
        data.notes.append(
            f"{len(canaries)} canaries are added to the training rows ({times}; evaluate.canaries), trained "
            f"on first; security/exposure is at most {most:.1f} bits, when a secret is fully memorised"
        )


def _parts(raw: Raw) -> tuple[str, ...]:
    """The names of the row's slices, such as ("source:web", "task:sums")."""
    names = (
        validation_slices.slice_name(column, raw[column])
        for column in PARTS
        if isinstance(raw.get(column), str | int)
    )
    return tuple(name for name in names if name)


class _RowReader:
    """Formats and tokenises rows; what is skipped is recorded in ``data``."""

    def __init__(self, spec: StudySpec, form: RowFormat, progress: Progress, data: Data) -> None:
        self._spec, self._form, self._progress, self._data = spec, form, progress, data
        self._longest = longest_sequence(spec)
        self._number: dict[int, int] = {}  # interns token ids: rows share one int object for each
        self._first = form.tokenizer.bos_token_id if form.adds_special else None

    def read(self, rows: Sequence[Raw], name: str) -> list[Row]:
        """The rows that have a target, at most ``data.most`` tokens of each."""
        dropped, missed, remarks, cuts = (Counter[str]() for _ in range(4))
        kept = []
        for start in range(0, len(rows), BATCH):
            self._progress(f"tokenising {name} rows", start, len(rows), "rows")
            texts = self._texts(rows[start : start + BATCH], dropped, missed, remarks)
            for raw, row in self._encode(texts, dropped, cuts):
                if has_target(cut(row, self._longest)):
                    kept.append(row._replace(parts=_parts(raw)))
                else:
                    dropped[f"no target token within the first {self._longest}"] += 1
        self._data.dropped[name] = dropped
        self._add_notes(len(rows), len(kept), name, missed, remarks, cuts)
        return kept

    def _texts(
        self, rows: Sequence[Raw], dropped: Counter[str], missed: Counter[str], remarks: Counter[str]
    ) -> list[tuple[Raw, Text]]:
        texts = []
        for row in rows:
            try:
                text = self._form.read(row)
            except UnusableRow as error:
                dropped[str(error)] += 1
                continue
            missed.update(text.missed)
            remarks.update(text.remarks)
            texts.append((row, text))
        return texts

    def _encode(
        self, texts: list[tuple[Raw, Text]], dropped: Counter[str], cuts: Counter[str]
    ) -> Iterator[tuple[Raw, Row]]:
        encodings = encode(self._form.tokenizer, [text for _, text in texts], self._data.most)
        for (raw, _), encoded in zip(texts, encodings, strict=True):
            if isinstance(encoded, UnusableRow):
                dropped[str(encoded)] += 1
                continue
            cuts["longer"] += len(encoded.ids) > self._longest or encoded.cut
            self._data.cut_rows += encoded.cut
            yield raw, self._row(encoded)

    def _row(self, encoded: Encoded) -> Row:
        ids = [self._number.setdefault(token, token) for token in encoded.ids]
        labels = [
            token if is_target else MASKED for token, is_target in zip(ids, encoded.targets, strict=True)
        ]
        if self._first is not None and ids[:1] != [self._first]:
            return Row([self._first, *ids], [MASKED, *labels])
        return Row(ids, labels)

    def _add_notes(
        self,
        count: int,
        kept: int,
        name: str,
        missed: Counter[str],
        remarks: Counter[str],
        cuts: Counter[str],
    ) -> None:
        """Add notes on what is not trained on. Raises TrimtabError if no row is left."""
        dropped, notes = self._data.dropped[name], self._data.notes
        if not kept:
            key = (
                "validation"
                if name == "validation" and isinstance(self._spec.data.validation, str)
                else "source"
            )
            raise TrimtabError.of(
                f"none of the {count} {name} rows can be used ({_commonest(dropped)})",
                f"data.{key} = {getattr(self._spec.data, key)!r}, format {self._form.kind!r}",
                "check the rows, set data.format, or raise sequence_length",
            )
        if dropped:
            notes.append(f"{count - kept} of {count} {name} rows are skipped ({_commonest(dropped)})")
        if missed:
            notes.append(f"{missed.total()} answers in {name} rows are not trained on ({_commonest(missed)})")
        notes += [f"in {number} {name} rows {remark}" for remark, number in remarks.most_common()]
        if cuts.total():
            notes.append(
                f"{cuts.total()} of {count} {name} rows are longer than {self._longest} tokens and are "
                "truncated"
            )


def _commonest(reasons: Counter[str]) -> str:
    """The three most common reasons, each with its count."""
    return "; ".join(f"{count}: {reason}" for reason, count in reasons.most_common(3))
