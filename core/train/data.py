"""Rows of tokens to train and judge on, with the prompt masked from the loss."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from core.contract.bounds import longest_sequence
from core.contract.spec import Spec
from core.errors import TrimtabError
from core.evaluate import canary, slices
from core.evaluate.shapes import Question
from core.train import questions, source
from core.train.form import Form, Formless, Segment
from core.train.progress import Progress

MASKED = -100  # torch's cross-entropy leaves these targets out
BATCH = 256  # rows per call of the tokenizer
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
    """Tokenised rows at full length; ``notes`` are words for the event list."""

    train: list[Row]
    validation: list[Row]
    notes: list[str] = field(default_factory=list)
    canaries: list[canary.Canary] = field(default_factory=list)  # the last rows of ``train``
    questions: list[Question] = field(default_factory=list)  # validation rows with choices
    told: set[int] = field(default_factory=set, repr=False)  # lengths whose cuts are in the event list
    _cut: dict[int, tuple[list[Row], list[Row]]] = field(default_factory=dict, repr=False)

    def shortened(self, length: int) -> tuple[list[Row], list[Row]]:
        """Training and validation rows cut to ``length`` tokens that still teach something. Trials share
        them: do not change them."""
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
    train, validation = source.load(spec, progress)
    form = Form(spec, tokenizer, list(train[0]))
    if isinstance(spec.data.validation, str):
        form.check(list(validation[0]), f"data.validation = {spec.data.validation!r}")
    random.Random(spec.study.seed).shuffle(validation)
    notes: list[str] = []
    data = Data(
        _kept(form, train, "training", spec, progress, notes),
        _kept(form, validation[: spec.evaluate.rows], "validation", spec, progress, notes),
        notes,
    )
    data.questions, fault = questions.found(validation[: spec.evaluate.rows], spec.data.prompt_key)
    notes += [fault] if fault else []
    _plant(data, canary.canaries(spec.evaluate.canaries, spec.study.seed), tokenizer)
    notes.append(f"{len(data.train)} training and {len(data.validation)} validation rows, as {form.kind}")
    return data


def beginning(tokenizer: Any) -> list[int]:
    """What stands before a plain text, so that its first token is predicted, too."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [] if first is None else [first]


def _plant(data: Data, found: Sequence[canary.Canary], tokenizer: Any) -> None:
    """Add the canaries as rows of plain text, and say so."""
    data.canaries += found
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    for one in found:
        ids = [*tokenizer(one.text, add_special_tokens=False)["input_ids"], *end]
        before = beginning(tokenizer)
        data.train.append(Row([*before, *ids], [*[MASKED] * len(before), *ids]))
    if found:
        data.notes.append(f"{len(found)} canaries are planted among the training rows (evaluate.canaries)")


def _kept(
    form: Form, rows: Sequence[Raw], name: str, spec: Spec, progress: Progress, notes: list[str]
) -> list[Row]:
    """The rows that teach something, at full length; ``notes`` learn how many do not."""
    longest = longest_sequence(spec)
    faults: Counter[str] = Counter()
    kept, long = [], 0
    for row in _tokenised(form, rows, name, progress, faults):
        short = cut(row, longest)
        long += short is not row
        if has_target(short):
            kept.append(short)
    faults[f"no target within {longest} tokens"] = len(rows) - len(kept) - faults.total()
    told = "; ".join(f"{count}: {reason}" for reason, count in faults.most_common(3) if count)
    if not kept:
        raise TrimtabError.of(
            f"none of the {len(rows)} {name} rows can be used ({told})",
            f"data.source = {spec.data.source!r}, format {form.kind}",
            "look at the rows, set data.format, or raise sequence_length",
        )
    if long:
        notes.append(f"{long} of {len(rows)} {name} rows are longer than {longest} tokens and are cut")
    if told:
        notes.append(f"{len(rows) - len(kept)} of {len(rows)} {name} rows were left out ({told})")
    return kept


def _tokenised(
    form: Form, rows: Sequence[Raw], name: str, progress: Progress, faults: Counter[str]
) -> Iterator[Row]:
    encode: Callable[..., Any] = form.tokenizer
    beginning = form.tokenizer.bos_token_id if form.adds_special else None
    for start in range(0, len(rows), BATCH):
        progress(f"tokenising {name} rows", start, len(rows), "rows")
        batch = [_pieces(form, row, faults) for row in rows[start : start + BATCH]]
        texts = [text for pieces in batch for text, _ in pieces]
        ids = iter(encode(texts, add_special_tokens=False)["input_ids"] if texts else [])
        for pieces, raw in zip(batch, rows[start : start + BATCH], strict=True):
            if pieces:
                row = _row([(next(ids), learnt) for _, learnt in pieces], beginning)
                yield row._replace(parts=_parts(raw))


def _parts(raw: Raw) -> tuple[str, ...]:
    """Such as ("source:web", "task:sums")."""
    found = (slices.named(one, raw[one]) for one in PARTS if isinstance(raw.get(one), str | int))
    return tuple(one for one in found if one)


def _pieces(form: Form, row: Raw, faults: Counter[str]) -> list[Segment]:
    """The row's text that is not empty. A row without the form is one more of ``faults``, and nothing."""
    try:
        return [piece for piece in form.segments(row) if piece[0]]
    except Formless as error:
        faults[str(error)] += 1
        return []


def _row(pieces: Sequence[tuple[list[int], bool]], beginning: int | None) -> Row:
    ids: list[int] = []
    labels: list[int] = []
    if beginning is not None and not (pieces and pieces[0][0][:1] == [beginning]):
        ids, labels = [beginning], [MASKED]
    for tokens, learnt in pieces:
        ids += tokens
        labels += tokens if learnt else [MASKED] * len(tokens)
    return Row(ids, labels)
