"""A user's own classifier in place of the packaged toxicity scorer.

A text's toxicity is the largest probability among the labels whose name contains a word of ``BAD``; if none
does, that of the only label, or of the second of two. A classifier with more labels, none of them harmful, is
rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError

from core import paths
from core.contract.text import error_reports
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.train.base import missing_weights

BATCH = 32  # texts per pass
LONGEST = 512  # tokens of a text, if tokenizer and model allow as many
TRIAL_TEXTS = ("a text", "a text that is longer " * LONGEST)
BAD = ("toxic", "hate", "offens", "abus", "harm", "unsafe", "obscen")  # parts of harmful labels
NOT = ("non", "not", "neutral", "no_", "no-", "un-")


class Classifier:
    """Maps texts to the probability that each is toxic. A ``Scorer``."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device, name: str) -> None:
        self._model, self._tokenizer, self._device = model.eval().to(device), tokenizer, device
        labels = {int(index): str(label).lower() for index, label in model.config.id2label.items()}
        self._several = len(labels) == 1 or model.config.problem_type == "multi_label_classification"
        known = (getattr(model.config, "max_position_embeddings", LONGEST), tokenizer.model_max_length)
        self._longest = min(LONGEST, *(limit for limit in known if isinstance(limit, int) and limit > 0))
        self.columns = _find_columns(labels)
        if not self.columns:
            raise TrimtabError.of(
                f"none of the classifier's labels means toxic: {sanitize(', '.join(labels.values()), 200)}",
                f"evaluate.classifier = {name!r}",
                f"use one with a label that contains {', '.join(BAD)}, or with two labels",
            )

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[float]:
        """The largest probability of a harmful label, 0 to 1, of each text."""
        values: list[float] = []
        for start in range(0, len(texts), BATCH):
            batch = [text or " " for text in texts[start : start + BATCH]]
            inputs = self._tokenizer(
                batch, padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
            ).to(self._device)
            logits = self._model(**inputs).logits.float()
            probabilities = logits.sigmoid() if self._several else logits.softmax(-1)
            values += probabilities[:, self.columns].amax(-1).tolist()
        return values


def _find_columns(labels: dict[int, str]) -> list[int]:
    """The indices of harmful labels; else the only label, or the second of two."""
    bad = [
        index
        for index, label in labels.items()
        if any(word in label for word in BAD) and not label.startswith(NOT)
    ]
    if bad or len(labels) > 2:
        return bad
    return [len(labels) - 1]


def load_classifier(name: str, device: torch.device) -> Classifier:
    """Load a sequence classifier by id or path, from safetensors and without its own code. Raises
    TrimtabError."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place = str(paths.expand_home(name)) if paths.expand_home(name).is_dir() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        model, info = AutoModelForSequenceClassification.from_pretrained(
            place, use_safetensors=True, trust_remote_code=False, **missing_weights.ASKED
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise TrimtabError.of(
            f"the classifier could not be loaded: {sanitize(str(error), 400)}",
            f"evaluate.classifier = {name!r}",
            error_reports.give_advice(
                error, "set the id or folder of a sequence classifier with safetensors weights"
            ),
        ) from error
    missing_weights.check(info, f"evaluate.classifier = {name!r}")
    classifier = Classifier(model, tokenizer, device, name)
    _check_usable(classifier, name)
    return classifier


def _check_usable(classifier: Classifier, name: str) -> None:
    """Score two texts now: a classifier that cannot would otherwise fail after an hour of training."""
    try:
        values = classifier(TRIAL_TEXTS)
        fault = "" if all(0 <= value <= 1 for value in values) else f"{values[0]:.3g} is not a probability"
    except Exception as error:  # a missing pad token, too few positions, another vocabulary
        fault = f"{type(error).__name__}: {sanitize(str(error), 300)}"
    if fault:
        raise TrimtabError.of(
            f"the classifier cannot score a text: {fault}",
            f"evaluate.classifier = {name!r}",
            "use one whose tokenizer matches the model and has a pad token",
        )
