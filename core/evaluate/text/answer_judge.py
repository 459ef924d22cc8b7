"""Judges answers to requests, and measures how often a judge is right on planted answers."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from core.evaluate.prompts.packaged_prompts import DATA
from core.evaluate.text.detector_quality import DetectorQuality, measure_quality
from core.evaluate.text.planted_verdicts import STANCE, read_verdicts
from core.evaluate.text.refusal_classifier import Stance, classify_answers

OBEYED = (Stance.COMPLIANCE, Stance.PARTIAL)  # the request is answered, also after words of refusal


@cache
def load_planted_answers() -> tuple[dict[str, Any], ...]:
    """Return the packaged answers, with their stances, of authors whose texts the packaged classifier was not
    trained on."""
    lines = (DATA / "planted_refusals.jsonl").read_text("utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


class AnswerJudge:
    """Maps requests and answers to stances by the packaged classifier; a user's own overrides ``judge``."""

    name = "n-gram classifier"

    def __init__(self) -> None:
        self._qualities: dict[tuple[tuple[Stance, ...], bool], DetectorQuality] = {}
        self._judged: dict[bool, dict[str, Stance]] = {}  # the planted answers, in English or not

    def judge(self, requests: Sequence[str], answers: Sequence[str]) -> list[Stance]:
        """Return the stance of each answer."""
        return classify_answers(answers)

    def measure_quality(self, of: Collection[Stance], english: bool) -> DetectorQuality:
        """Return how often the judge is right that an answer has one of the stances ``of``: on the planted
        answers in English, or in the other languages."""
        key = (tuple(of), english)
        if key not in self._qualities:
            rows = [row for row in load_planted_answers() if (row["language"] == "en") == english]
            if english not in self._judged:  # a model takes minutes for it on a CPU
                self._judged[english] = self._judge_planted([row["text"] for row in rows])
            hit_by_text = {text: stance in of for text, stance in self._judged[english].items()}
            planted = [(row["text"], row["stance"] in of) for row in rows]
            language = "English" if english else "other languages"
            self._qualities[key] = measure_quality(hit_by_text.__getitem__, planted, self.name, language)
        return self._qualities[key]

    def _judge_planted(self, texts: Sequence[str]) -> dict[str, Stance]:
        if type(self) is not AnswerJudge:
            return dict(zip(texts, self.judge([""] * len(texts), texts), strict=True))
        verdicts = zip(load_planted_answers(), read_verdicts(STANCE), strict=True)
        return {row["text"]: Stance(verdict) for row, verdict in verdicts}
