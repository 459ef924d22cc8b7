"""Formats and tokenises the rows of a study, and records what is skipped of them."""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import msgspec

from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.data.cache import cache_key, token_cache, token_cache_lookup
from core.data.cache.cache_key import CacheKey
from core.data.cache.token_arrays import PartBuilder, RowFacts, TokenizedPart, TokenizedRows
from core.data.checks.person_name_rows import FindNames
from core.data.readers.row_values import UnusableRow
from core.data.repair.anonymised_training_rows import anonymise, find_salt
from core.data.scan.name_process import open_finder
from core.evaluate.metrics import validation_slices
from core.train.data import labelled_questions, row_loader, stdlib_pairs
from core.train.data.chat_spans import Text
from core.train.data.row_format import RowFormat
from core.train.data.target_token_encoder import Encoder
from core.train.progress_callback import Progress, report_nothing

BATCH = 256  # rows between two progress reports
SLICE_COLUMNS = ("source", "task", "label", "category", "topic")  # columns whose values split the rows
_SLICING = frozenset(SLICE_COLUMNS)
Raw = dict[str, Any]


class StudyAnonymiser:
    """What the placeholders in all sources of a study follow from: a salt, and the model that finds names.
    Both are made when they are asked for; leaving the context ends the model's process."""

    def __init__(self, spec: StudySpec) -> None:
        self._parts = [msgspec.structs.replace(spec, data=section) for _, section in spec.data.sources]
        self._names, self._opened = spec.evaluate.names, contextlib.ExitStack()

    def __enter__(self) -> StudyAnonymiser:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @cached_property
    def salt(self) -> str:
        """The salt. Raises TrimtabError for rows that cannot be read."""
        return find_salt(row_loader.load(part, report_nothing)[0] for part in self._parts)

    @cached_property
    def find_names(self) -> FindNames | None:
        """Finds names with the study's model; None without one. Raises TrimtabError for one that cannot be
        used."""
        return self._opened.enter_context(open_finder(self._names)) if self._names is not None else None

    def find_keys(self, tokenizer: Any, progress: Progress) -> list[str]:
        """What the cached rows with placeholders follow from besides their own: the names of the caches of
        all sources, and the model that finds names; none if one of these is not known."""
        keys = [_find_key(part, tokenizer, progress) for part in self._parts]
        names = [key.name if key is not None else None for key in keys]
        names += [cache_key.describe_model("evaluate.names", self._names)] if self._names is not None else []
        known = [name for name in names if name is not None]
        return known if len(known) == len(names) else []


def find_rows(
    spec: StudySpec, tokenizer: Any, progress: Progress, anonymiser: StudyAnonymiser | None = None
) -> TokenizedRows:
    """The tokenised rows of a study, from the cache if it has them. With an ``anonymiser``: only the training
    rows, with placeholders for personal data. Raises TrimtabError."""

    def tokenize() -> TokenizedRows:
        if anonymiser is None:
            return tokenize_rows(spec, tokenizer, progress)
        return tokenize_anonymised(spec, tokenizer, progress, anonymiser)

    salted = anonymiser.find_keys(tokenizer, progress) if anonymiser is not None else []
    key = _find_key(spec, tokenizer, progress, salted) if salted or anonymiser is None else None
    longest = find_longest_sequence(spec)
    if key is None:
        return tokenize()
    cached_rows = token_cache.load(key.name, longest)
    if cached_rows is not None:
        _note(key, salted)
        return cached_rows
    with token_cache.hold(key.name, progress):
        cached_rows = token_cache.load(key.name, longest)  # another process may have made it
        if cached_rows is None:
            cached_rows = tokenize()
            cached_rows = token_cache.save(key.name, cached_rows) if key.holds() else cached_rows
        _note(key, salted)
        return cached_rows


def _find_key(
    spec: StudySpec, tokenizer: Any, progress: Progress, salted: Sequence[str] = ()
) -> CacheKey | None:
    demo = stdlib_pairs.digest() if spec.data.source == row_loader.DEMO else ""
    return cache_key.find_key(spec, tokenizer, demo, progress, salted)


def _note(key: CacheKey, salted: Sequence[str]) -> None:
    """Let checks count the tokens of these rows, unless they have placeholders."""
    if not salted and key.holds():
        token_cache_lookup.note(key)


def tokenize_rows(spec: StudySpec, tokenizer: Any, progress: Progress) -> TokenizedRows:
    """Read, split, format and tokenise the rows, as many tokens of each as any trial uses."""
    notes: list[str] = []
    train, validation = row_loader.load(spec, progress, notes)
    form = RowFormat(spec, tokenizer, _list_columns(train))
    if isinstance(spec.data.validation, str):
        form.check(_list_columns(validation), f"data.validation = {spec.data.validation!r}")
    random.Random(spec.study.seed).shuffle(validation)
    held_out = validation[: spec.evaluate.rows]
    reader = RowReader(form, find_longest_sequence(spec), progress)
    questions, fault = labelled_questions.find_questions(held_out)
    facts = RowFacts(
        find_longest_sequence(spec), form.kind, form.common_system(train), questions, fault,
        notes,
    )  # fmt: skip
    return TokenizedRows(reader.read(train, "training"), reader.read(held_out, "validation"), facts)


def tokenize_anonymised(
    spec: StudySpec, tokenizer: Any, progress: Progress, anonymiser: StudyAnonymiser
) -> TokenizedRows:
    """Read and split the rows as they are, then replace personal data in the training rows: the validation
    rows, which are none of these, are the same for all trials."""
    train, _ = row_loader.load(spec, progress)
    if spec.evaluate.names is not None:
        progress("loading the model that finds names", 0, 0, "")
    train, note = anonymise(train, anonymiser.salt, anonymiser.find_names, progress)
    form = RowFormat(spec, tokenizer, _list_columns(train))
    reader = RowReader(form, find_longest_sequence(spec), progress)
    facts = RowFacts(find_longest_sequence(spec), form.kind, notes=[note])
    return TokenizedRows(reader.read(train, "anonymised"), reader.read([], "validation"), facts)


def _list_columns(rows: Sequence[Raw]) -> list[str]:
    """All columns that any row has: in JSONL each row may have its own."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _name_slices(raw: Raw) -> tuple[str, ...]:
    """The names of the row's slices, such as ("source:web", "task:sums")."""
    if _SLICING.isdisjoint(raw):
        return ()
    names = (
        validation_slices.make_slice_name(column, raw[column])
        for column in SLICE_COLUMNS
        if isinstance(raw.get(column), str | int)
    )
    return tuple(name for name in names if name)


class RowReader:
    """Formats and tokenises rows, with at most ``longest`` tokens of each."""

    def __init__(self, form: RowFormat, longest: int, progress: Progress) -> None:
        self._form, self._most, self._progress = form, longest, progress
        self._encoder = Encoder(form.tokenizer)
        self._first = form.tokenizer.bos_token_id if form.adds_special else None

    def read(self, rows: Sequence[Raw], name: str) -> TokenizedPart:
        """Read the rows of a part; progress is reported under its ``name``."""
        part, waiting = PartBuilder(len(rows)), deque[int]()  # indices of rows whose text is being encoded
        for batch in self._encoder.encode(self._list_texts(rows, name, part, waiting), self._most):
            indices = [waiting.popleft() for _ in batch.ends]
            batch = batch if self._first is None else batch.begin_with(self._first)
            slices = [_name_slices(rows[at]) for at in indices]
            part.add(indices, batch.ids, batch.targets, batch.ends, slices, batch.is_cut, batch.faults)
        return part.build()

    def _list_texts(
        self, rows: Sequence[Raw], name: str, part: PartBuilder, waiting: deque[int]
    ) -> Iterator[Text]:
        for begin in range(0, len(rows), BATCH):
            self._progress(f"tokenising {name} rows", begin, part.count, "rows")
            texts = self._form.read_many(rows[begin : begin + BATCH])
            for index, text in enumerate(texts, begin):
                if isinstance(text, UnusableRow):
                    part.drop(index, str(text))
                    continue
                if text.missed or text.remarks:
                    part.missed.update(text.missed)
                    part.remarks.update(text.remarks)
                waiting.append(index)
                yield text
