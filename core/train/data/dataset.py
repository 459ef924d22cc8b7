"""Rows of tokens to train and judge on, with the prompt masked from the loss."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from core.contract.spec.knob_range import longest_sequence
from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.evaluate.metrics import validation_slices
from core.evaluate.prompts import canary_rows
from core.evaluate.prompts.prompt_schema import Question
from core.train.data import labelled_questions, row_source
from core.train.data.chat_format import Form
from core.train.data.chat_spans import Text
from core.train.data.row_values import Formless
from core.train.data.tokenization import Encoded, encode
from core.train.load_progress import Progress

MASKED = -100  # torch's cross-entropy leaves these targets out
BATCH = 256  # rows between two words on how far it is
PARTS = ("source", "task", "label", "category", "topic")  # columns whose values are slices of the rows

Raw = dict[str, Any]


class Row(NamedTuple):
    """One sequence: ``ids`` its tokens, ``labels`` the same with ``MASKED`` where nothing is learnt;
    ``parts`` names the slices of the data that it belongs to, as its columns tell."""

    ids: list[int]
    labels: list[int]
    parts: tuple[str, ...] = ()


@dataclass
class Data:
    """Tokenised rows, of each at most ``most`` tokens; ``notes`` are words for the event list."""

    train: list[Row]
    validation: list[Row]
    notes: list[str] = field(default_factory=list)
    canaries: list[canary_rows.Canary] = field(default_factory=list)  # the last rows of ``train``
    questions: list[Question] = field(default_factory=list)  # validation rows with choices
    dropped: dict[str, Counter[str]] = field(default_factory=dict)  # rows left out of each part, by reason
    most: int = 1 << 62  # tokens that were kept of a row
    cut_rows: int = 0  # rows that have more than those
    told: set[int] = field(default_factory=set, repr=False)  # lengths whose cuts are in the event list
    _cut: dict[int, tuple[list[Row], list[Row]]] = field(default_factory=dict, repr=False)

    def shortened(self, length: int) -> tuple[list[Row], list[Row]]:
        """Training and validation rows cut to ``length`` tokens that still teach something. Trials share
        them: do not change them. Raises TrimtabError where rows have so many, and fewer were kept."""
        if length > self.most and self.cut_rows:
            raise TrimtabError.of(
                f"{self.cut_rows} rows have more than the {self.most} tokens that were read of each",
                f"sequence_length = {length}",
                f"take at most {self.most}, or begin a study that searches this length",
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
    return row if len(row.ids) <= length else Row(row.ids[:length], row.labels[:length], row.parts)


def has_target(row: Row) -> bool:
    """Is there a token to learn? The first one is never predicted."""
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


def load_data(spec: Spec, tokenizer: Any, progress: Progress) -> Data:
    """Read, split and tokenise. Raises TrimtabError when nothing is left to train or judge on."""
    told: list[str] = []
    train, validation = row_source.load(spec, progress, told)
    form = Form(spec, tokenizer, _columns(train))
    if isinstance(spec.data.validation, str):
        form.check(_columns(validation), f"data.validation = {spec.data.validation!r}")
    random.Random(spec.study.seed).shuffle(validation)
    data = Data([], [], most=longest_sequence(spec))  # one row may have millions
    reading = _Reading(spec, form, progress, data)
    data.train = reading.kept(train, "training")
    data.validation = reading.kept(validation[: spec.evaluate.rows], "validation")
    data.questions, fault = labelled_questions.found(validation[: spec.evaluate.rows], spec.data.prompt_key)
    data.notes += [fault] if fault else []
    _plant(data, canary_rows.canaries(spec.evaluate.canaries, spec.study.seed), tokenizer, progress)
    data.notes += [*_columns_told(form, train), *told]
    data.notes.append(
        f"{len(data.train)} training and {len(data.validation)} validation rows, as {form.kind}"
    )
    return data


def _columns(rows: Sequence[Raw]) -> list[str]:
    """All columns that any of the rows has: of JSONL, each row has its own."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _columns_told(form: Form, rows: Sequence[Raw]) -> list[str]:
    """Which filled columns are joined to the prompt, and which are not trained on."""
    filled = dict.fromkeys(name for row in rows for name, value in row.items() if value not in (None, "", []))
    told = [f"the column {form.joined!r} is joined to the prompt"] if form.joined in filled else []
    unused = form.unused([str(one) for one in filled])
    return [*told, f"columns that are not trained on: {plain(', '.join(unused), 200)}"] if unused else told


def beginning(tokenizer: Any) -> list[int]:
    """What stands before a plain text, so that its first token is predicted, too."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [] if first is None else [first]


def _plant(data: Data, found: Sequence[canary_rows.Canary], tokenizer: Any, progress: Progress) -> None:
    """Add the canaries as rows of plain text, and say so, with the most that can be seen of one."""
    data.canaries += found
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    for at, one in enumerate(found):
        if at % BATCH == 0:
            progress("planting canaries", at, len(found), "rows")
        ids = [*tokenizer(one.text, add_special_tokens=False)["input_ids"], *end]
        before = beginning(tokenizer)
        data.train.append(Row([*before, *ids], [*[MASKED] * len(before), *ids]))
    if found:
        most = math.log2(max(one.secrets for one in found))
        told = f"{len(found)} canaries are planted among the training rows (evaluate.canaries)"
        data.notes.append(
            f"{told}; security/exposure is at most {most:.1f} bits: then a secret is known whole"
        )


def _parts(raw: Raw) -> tuple[str, ...]:
    """Such as ("source:web", "task:sums")."""
    found = (
        validation_slices.slice_name(one, raw[one]) for one in PARTS if isinstance(raw.get(one), str | int)
    )
    return tuple(one for one in found if one)


class _Reading:
    """Rows read by a form and tokenised; ``data`` is told what is left out."""

    def __init__(self, spec: Spec, form: Form, progress: Progress, data: Data) -> None:
        self._spec, self._form, self._progress, self._data = spec, form, progress, data
        self._longest = longest_sequence(spec)
        self._number: dict[int, int] = {}  # one object for each token id: rows hold no numbers of their own
        self._first = form.tokenizer.bos_token_id if form.adds_special else None

    def kept(self, rows: Sequence[Raw], name: str) -> list[Row]:
        """The rows that teach something, at most ``data.most`` tokens of each."""
        dropped, missed, remarks, cuts = (Counter[str]() for _ in range(4))
        kept = []
        for start in range(0, len(rows), BATCH):
            self._progress(f"tokenising {name} rows", start, len(rows), "rows")
            texts = self._texts(rows[start : start + BATCH], dropped, missed, remarks)
            for raw, row in self._encoded(texts, dropped, cuts):
                if has_target(cut(row, self._longest)):
                    kept.append(row._replace(parts=_parts(raw)))
                else:
                    dropped[f"no target within {self._longest} tokens"] += 1
        self._data.dropped[name] = dropped
        self._tell(len(rows), len(kept), name, missed, remarks, cuts)
        return kept

    def _texts(
        self, rows: Sequence[Raw], dropped: Counter[str], missed: Counter[str], remarks: Counter[str]
    ) -> list[tuple[Raw, Text]]:
        found = []
        for row in rows:
            try:
                one = self._form.read(row)
            except Formless as error:
                dropped[str(error)] += 1
                continue
            missed.update(one.missed)
            remarks.update(one.remarks)
            found.append((row, one))
        return found

    def _encoded(
        self, texts: list[tuple[Raw, Text]], dropped: Counter[str], cuts: Counter[str]
    ) -> Iterator[tuple[Raw, Row]]:
        encoded = encode(self._form.tokenizer, [text for _, text in texts], self._data.most)
        for (raw, _), one in zip(texts, encoded, strict=True):
            if isinstance(one, Formless):
                dropped[str(one)] += 1
                continue
            cuts["longer"] += len(one.ids) > self._longest or one.cut
            self._data.cut_rows += one.cut
            yield raw, self._row(one)

    def _row(self, one: Encoded) -> Row:
        ids = [self._number.setdefault(number, number) for number in one.ids]
        labels = [number if learnt else MASKED for number, learnt in zip(ids, one.learnt, strict=True)]
        if self._first is not None and ids[:1] != [self._first]:
            return Row([self._first, *ids], [MASKED, *labels])
        return Row(ids, labels)

    def _tell(
        self,
        count: int,
        kept: int,
        name: str,
        missed: Counter[str],
        remarks: Counter[str],
        cuts: Counter[str],
    ) -> None:
        """Notes on what of the rows is not trained on. Raises TrimtabError when that is all of it."""
        dropped, notes = self._data.dropped[name], self._data.notes
        if not kept:
            key = (
                "validation"
                if name == "validation" and isinstance(self._spec.data.validation, str)
                else "source"
            )
            raise TrimtabError.of(
                f"none of the {count} {name} rows can be used ({_reasons(dropped)})",
                f"data.{key} = {getattr(self._spec.data, key)!r}, format {self._form.kind}",
                "look at the rows, set data.format, or raise sequence_length",
            )
        if dropped:
            notes.append(f"{count - kept} of {count} {name} rows were left out ({_reasons(dropped)})")
        if missed:
            notes.append(f"{missed.total()} answers in {name} rows are not learnt ({_reasons(missed)})")
        notes += [f"in {number} {name} rows {remark}" for remark, number in remarks.most_common()]
        if cuts.total():
            notes.append(
                f"{cuts.total()} of {count} {name} rows are longer than {self._longest} tokens: cut there"
            )


def _reasons(found: Counter[str]) -> str:
    """The three commonest, with how often each."""
    return "; ".join(f"{count}: {reason}" for reason, count in found.most_common(3))
