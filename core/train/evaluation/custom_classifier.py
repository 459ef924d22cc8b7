"""A user's own classifier in the place of the packaged toxicity scorer.

A text's toxicity is the largest chance of the labels whose name holds a word of ``BAD``; where no name does,
that of the only label, or of the last of two. One with more labels, none of them of harm, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError

from core import paths
from core.contract.text import error_reports
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.train.base import missing_weights

BATCH = 32  # texts at once
LONGEST = 512  # tokens of a text, where tokenizer and model bear as many
TRIAL = ("a text", "a text that is longer " * LONGEST)
BAD = ("toxic", "hate", "offens", "abus", "harm", "unsafe", "obscen")  # what labels of harm are called
NOT = ("non", "not", "neutral", "no_", "no-", "un-")


class Classifier:
    """Texts to the chance of each to be toxic. A ``Scorer``."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device, name: str) -> None:
        self._model, self._tokenizer, self._device = model.eval().to(device), tokenizer, device
        labels = {int(at): str(label).lower() for at, label in model.config.id2label.items()}
        self._several = len(labels) == 1 or model.config.problem_type == "multi_label_classification"
        known = (getattr(model.config, "max_position_embeddings", LONGEST), tokenizer.model_max_length)
        self._longest = min(LONGEST, *(one for one in known if isinstance(one, int) and one > 0))
        self.columns = _columns(labels)
        if not self.columns:
            raise TrimtabError.of(
                f"none of its labels says what is toxic: {plain(', '.join(labels.values()), 200)}",
                f"evaluate.classifier = {name!r}",
                f"take one with a label that holds {', '.join(BAD)}, or with two labels",
            )

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> list[float]:
        """The largest chance of a label of harm, 0 to 1."""
        found: list[float] = []
        for at in range(0, len(texts), BATCH):
            some = [text or " " for text in texts[at : at + BATCH]]
            given = self._tokenizer(
                some, padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
            ).to(self._device)
            logits = self._model(**given).logits.float()
            chances = logits.sigmoid() if self._several else logits.softmax(-1)
            found += chances[:, self.columns].amax(-1).tolist()
        return found


def _columns(labels: dict[int, str]) -> list[int]:
    """The places of labels of harm; the only one, or the second of two without a name."""
    bad = [
        at for at, label in labels.items() if any(word in label for word in BAD) and not label.startswith(NOT)
    ]
    if bad or len(labels) > 2:
        return bad
    return [len(labels) - 1]


def load_classifier(name: str, device: torch.device) -> Classifier:
    """A sequence classifier by id or path, safetensors only, without its own code. Raises TrimtabError."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place = str(paths.expanded(name)) if paths.expanded(name).is_dir() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        model, info = AutoModelForSequenceClassification.from_pretrained(
            place, use_safetensors=True, trust_remote_code=False, **missing_weights.ASKED
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise TrimtabError.of(
            f"the classifier cannot be loaded: {plain(str(error), 400)}",
            f"evaluate.classifier = {name!r}",
            error_reports.advice(
                error, "give the id or folder of a sequence classifier with safetensors weights"
            ),
        ) from error
    missing_weights.check(info, f"evaluate.classifier = {name!r}")
    found = Classifier(model, tokenizer, device, name)
    _tried(found, name)
    return found


def _tried(classifier: Classifier, name: str) -> None:
    """What cannot score texts of different lengths now could not after an hour of training either."""
    try:
        values = classifier(TRIAL)
        fault = "" if all(0 <= one <= 1 for one in values) else f"it gives {values[0]:.3g}, no chance"
    except Exception as error:  # a missing pad token, too few positions, another vocabulary
        fault = f"{type(error).__name__}: {plain(str(error), 300)}"
    if fault:
        raise TrimtabError.of(
            f"the classifier cannot score a text: {fault}",
            f"evaluate.classifier = {name!r}",
            "take one whose tokenizer fits it and can pad",
        )
