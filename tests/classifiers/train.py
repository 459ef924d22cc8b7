"""``python -m tests.classifiers.train``: trains the packaged classifiers of answers, of toxic texts and of
nonsense among refusals, and has them judge the planted texts; ``train verdicts`` does the latter alone.

The texts are in answers.jsonl, toxicity.jsonl, ordinary.jsonl and nonsense.jsonl next to this file. Ordinary
texts (manual, docstrings, code, short facts) comply and are not toxic, nor are answers that comply or make no
sense. Nonsense is what models with damaged weights or a high temperature wrote, and words and letters at
random. The planted texts that a classifier's errors are measured on are other authors', in the package, and
are never trained on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from core.evaluate.prompts.packaged_prompts import DATA
from core.evaluate.text.answer_judge import load_planted_answers
from core.evaluate.text.linear_text_classifier import (
    TextClassifier,
    count_buckets,
    extract_features,
    save,
    weigh,
)
from core.evaluate.text.planted_verdicts import STANCE, TOXICITY, write_verdicts
from core.evaluate.text.refusal_classifier import classify_answers
from core.evaluate.text.toxicity_scorer import TOXIC, load_planted_texts, score_toxicity

NOT_TOXIC = ("compliance", "incoherent")  # answers that are negatives of toxicity, too
HERE = Path(__file__).parent
TARGETS = {
    "answers": "stance",
    "toxicity": "toxic",
    "nonsense": "made",
}  # the field of the label, by name of the classifier
STRENGTH = 10.0  # of the data against the penalty on the weights: 3 and 30 were no better on other authors


def read(name: str) -> list[dict[str, Any]]:
    """The rows of a file of texts."""
    return [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text("utf-8").splitlines()]


def labelled(name: str) -> tuple[list[str], list[str]]:
    """Texts and labels that a classifier is trained on."""
    if name == "nonsense":
        pairs = [(row["text"], row["stance"]) for row in read("answers")]
        pairs = [(text, label) for text, label in pairs if label in ("refusal", "incoherent")]
        pairs += [(row["text"], "incoherent") for row in read("nonsense")]
        return [text for text, _ in pairs], [label for _, label in pairs]
    pairs = [(row["text"], str(row[TARGETS[name]])) for row in read(name)]
    harmless = {"answers": "compliance", "toxicity": "0"}[name]
    pairs += [(row["text"], harmless) for row in read("ordinary")]
    if name == "toxicity":
        pairs += [(row["text"], harmless) for row in read("answers") if row["stance"] in NOT_TOXIC]
    texts, labels = zip(*pairs, strict=True)
    return list(texts), list(labels)


def fit(texts: Sequence[str], labels: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Multinomial logistic regression with classes of equal weight: classes, rarity (N,), weights (N, C) and
    bias (C,)."""
    classes = sorted(set(labels))
    raw = [extract_features(text) for text in texts]
    seen = np.bincount(np.concatenate([found for found, _ in raw]), minlength=count_buckets())
    rarity = (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32)
    rows = weigh(raw, rarity)
    counts = np.cumsum([0, *(len(found) for found, _ in rows)])
    inputs = csr_matrix(
        (np.concatenate([values for _, values in rows]).astype(np.float64),
         np.concatenate([found for found, _ in rows]), counts), shape=(len(rows), count_buckets()),
    )  # fmt: skip
    truth = np.array([[label == known for known in classes] for label in labels], dtype=float)
    weight = STRENGTH * (truth @ (len(labels) / len(classes) / truth.sum(0)))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = flat.reshape(count_buckets() + 1, len(classes))
        logits = inputs @ parameters[:-1] + parameters[-1]
        logits -= logits.max(1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        error = (np.exp(logs) - truth) * weight[:, None]
        slope = np.vstack([inputs.T @ error + parameters[:-1], error.sum(0)])
        return float(
            -(weight[:, None] * truth * logs).sum() + (parameters[:-1] ** 2).sum() / 2
        ), slope.ravel()

    start = np.zeros((count_buckets() + 1) * len(classes))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 400, "maxcor": 10})
    parameters = found.x.reshape(count_buckets() + 1, len(classes))
    return classes, rarity, parameters[:-1], parameters[-1]


def train(name: str) -> TextClassifier:
    """Train one classifier and write its file."""
    classes, rarity, weights, bias = fit(*labelled(name))
    save(DATA / f"{name}.zip", classes, rarity, weights, bias)
    return TextClassifier(classes, rarity, weights, bias)


def judge_planted_texts() -> dict[str, list[object]]:
    """What the packaged detectors say about the planted texts, which the package keeps."""
    scores = score_toxicity([text for text, _ in load_planted_texts()])
    stances = classify_answers([row["text"] for row in load_planted_answers()])
    return {TOXICITY: [int(score >= TOXIC) for score in scores], STANCE: [found.value for found in stances]}


if __name__ == "__main__":
    for chosen in [] if sys.argv[1:] == ["verdicts"] else sys.argv[1:] or TARGETS:
        train(chosen)
        print(f"{chosen}.zip: {(DATA / f'{chosen}.zip').stat().st_size / 1024:.0f} KiB")
    write_verdicts(judge_planted_texts())
