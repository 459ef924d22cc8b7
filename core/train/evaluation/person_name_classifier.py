"""A user's own token classifier that finds names of people, which no rule finds (evaluate.names)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from core import paths
from core.contract.text import error_reports
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.evaluate.text.leaked_names import match_names
from core.evaluate.text.pii_detector import PiiMatch
from core.train.base import missing_weights

BATCH = 16  # windows per pass
LONGEST = 512  # tokens of a window, if tokenizer and model allow as many
LETTERS = 16  # characters a token has at most, on an average over a window
SHARED = 8  # windows of a long text overlap by a SHARED-th
TRIAL_TEXTS = ("a text", "a text that is longer " * LONGEST)
POSITIONS = ("b-", "i-", "e-", "s-", "u-", "l-")  # before a label: the token begins, continues or ends a name
PERSON = (
    "per", "pers", "person", "name", "fullname", "firstname", "middlename", "lastname", "givenname",
    "surname",
)  # fmt: skip
JOINTS = frozenset(" -'’.")  # between the parts of a name


class Window(NamedTuple):
    """Consecutive tokens of a text."""

    text: int  # its place in the batch
    start: int  # the character at which the window begins
    ids: list[int]
    mask: list[int]
    offsets: list[tuple[int, int]]  # of each token, from ``start``; (0, 0) for special tokens

    def next_start(self, shared: int) -> int:
        """The character at which the next window begins, ``shared`` tokens before this one's end; 0 if this
        one has no tokens of the text."""
        words = [place for place in self.offsets if place[1] > place[0]]
        if not words:
            return 0
        begin = words[-min(shared, len(words) - 1) - 1][0]
        return self.start + (begin or words[-1][1])


class PersonClassifier:
    """Finds names of people of two words or more in texts. A ``NameFinder``."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device, name: str) -> None:
        self._model, self._tokenizer, self._device = model.eval().to(device), tokenizer, device
        self.name = sanitize(name, 60)
        known = (getattr(model.config, "max_position_embeddings", LONGEST), tokenizer.model_max_length)
        self._longest = min(LONGEST, *(limit for limit in known if isinstance(limit, int) and limit > 0))
        labels = {int(index): str(label) for index, label in model.config.id2label.items()}
        self.columns = [index for index, label in labels.items() if _is_person(label)]
        where = f"evaluate.names = {name!r}"
        if not self.columns:
            raise TrimtabError.of(
                f"none of the model's labels means a person: {sanitize(', '.join(labels.values()), 200)}",
                where,
                f"use a token classifier with a label such as B-PER; known: {', '.join(PERSON)}",
            )
        if not tokenizer.is_fast:
            fix = "use a model with a tokenizer.json"
            raise TrimtabError.of("its tokenizer does not say where a token stands", where, fix)

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[list[PiiMatch]]:
        """The names in each text, in order."""
        marks = [bytearray(len(text)) for text in texts]  # 1 for each character of a person's name
        windows = list(self._windows(texts))
        for start in range(0, len(windows), BATCH):
            taken = windows[start : start + BATCH]
            for window, labels in zip(taken, self._find_labels(taken), strict=True):
                for (begin, end), label in zip(window.offsets, labels, strict=False):
                    if label in self.columns:
                        mark = slice(window.start + begin, window.start + end)
                        marks[window.text][mark] = b"\1" * (end - begin)
        return [
            match_names(text, list(_find_spans(text, mark))) for text, mark in zip(texts, marks, strict=True)
        ]

    def _windows(self, texts: Sequence[str]) -> Iterator[Window]:
        """The texts in windows that overlap. Each begins in the text where the one before is cut off, not
        among what the tokenizer overflows: tokenizers 0.23.2 loses that."""
        places = [(text, 0) for text in range(len(texts))]
        while places:
            inputs = self._tokenizer(
                [texts[text][start : start + self._longest * LETTERS] for text, start in places],
                truncation=True, max_length=self._longest, return_offsets_mapping=True,
            )  # fmt: skip
            windows = [
                Window(*place, *parts)
                for place, *parts in zip(
                    places,
                    inputs["input_ids"],
                    inputs["attention_mask"],
                    inputs["offset_mapping"],
                    strict=True,
                )
            ]
            yield from windows
            nexts = [(window.text, window.next_start(self._longest // SHARED)) for window in windows]
            places = [(text, start) for text, start in nexts if start > 0 and texts[text][start:].strip()]

    def _find_labels(self, windows: Sequence[Window]) -> list[list[int]]:
        """The likeliest label of each token of these windows."""
        batch = self._tokenizer.pad(
            {
                "input_ids": [window.ids for window in windows],
                "attention_mask": [window.mask for window in windows],
            },
            return_tensors="pt",
        ).to(self._device)
        labels: list[list[int]] = self._model(**batch).logits.argmax(-1).tolist()
        return labels


def _is_person(label: str) -> bool:
    bare = label.lower()
    bare = bare[2:] if bare.startswith(POSITIONS) else bare
    return bare.replace("_", "").replace("-", "") in PERSON


def _find_spans(text: str, mark: bytearray) -> Iterator[tuple[int, int]]:
    """The stretches of marked characters: whole words, joined over what may stand between a name's parts."""
    whole = bytearray(mark)
    for start, end in _find_runs(mark):
        while start and text[start - 1].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        whole[start:end] = b"\1" * (end - start)
    runs = list(_find_runs(whole))
    for (_, end), (start, _) in pairwise(runs):
        if set(text[end:start]) <= JOINTS:
            whole[end:start] = b"\1" * (start - end)
    return _find_runs(whole)


def _find_runs(mark: bytearray) -> Iterator[tuple[int, int]]:
    at = 0
    for marked, run in groupby(mark):
        length = len(list(run))
        if marked:
            yield at, at + length
        at += length


def load_name_finder(name: str, device: torch.device) -> PersonClassifier:
    """Load a token classifier by id or folder, from safetensors and without its own code. Raises
    TrimtabError."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    where = f"evaluate.names = {name!r}"
    place = str(paths.expand_home(name)) if paths.expand_home(name).is_dir() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        model, info = AutoModelForTokenClassification.from_pretrained(
            place, use_safetensors=True, trust_remote_code=False, **missing_weights.ASKED
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise TrimtabError.of(
            f"the model could not be loaded: {sanitize(str(error), 400)}",
            where,
            error_reports.give_advice(
                error, "set the id or folder of a token classifier with safetensors weights"
            ),
        ) from error
    missing_weights.check(info, where)
    finder = PersonClassifier(model, tokenizer, device, name)
    try:
        finder(TRIAL_TEXTS)
    except Exception as error:  # a missing pad token, too few positions, another vocabulary
        raise TrimtabError.of(
            f"the model cannot read a text: {type(error).__name__}: {sanitize(str(error), 300)}",
            where,
            "use one whose tokenizer matches the model and has a pad token",
        ) from error
    return finder
