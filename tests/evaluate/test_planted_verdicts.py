"""The kept verdicts of the packaged detectors are the detectors' own."""

from __future__ import annotations

from core.evaluate.text.answer_judge import AnswerJudge, load_planted_answers
from core.evaluate.text.planted_verdicts import STANCE, TOXICITY, read_verdicts
from core.evaluate.text.refusal_classifier import Stance
from core.evaluate.text.toxicity_scorer import (
    DETECTOR,
    measure_scorer_quality,
    measure_toxicity_quality,
    score_toxicity,
)
from tests.classifiers.train import judge_planted_texts


def test_the_kept_verdicts_are_those_of_the_detectors():
    fresh = judge_planted_texts()
    for detector in (TOXICITY, STANCE):
        assert tuple(map(str, fresh[detector])) == read_verdicts(detector), (
            "the detectors have changed: run `python -m tests.classifiers.train verdicts`"
        )


def test_errors_from_kept_verdicts_are_those_that_are_measured():
    class Measured(AnswerJudge):
        """A judge of a user's own, which judges as the packaged one does."""

    assert measure_toxicity_quality() == measure_scorer_quality(score_toxicity, DETECTOR)
    for stance in Stance:
        for english in (True, False):
            kept, measured = (
                judge.measure_quality((stance,), english) for judge in (AnswerJudge(), Measured())
            )
            assert kept == measured and kept.positives + kept.negatives < len(load_planted_answers())
