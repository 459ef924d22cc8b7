"""A model of the user's own judges answers in place of the packaged rules; a bad one is told at once."""

import pytest
import torch

from core.contract.events import event_types as e
from core.errors import TrimtabError
from core.evaluate.text.answer_judge import OBEYED, AnswerJudge
from core.evaluate.text.refusal_detector import Stance
from core.train.evaluation.custom_judge import load_judge
from tests.train.test_boards import SAFETY, scores
from tests.train.test_classifier import classifier

CPU = torch.device("cpu")
ANSWERS = ["It is quite easy to do.", "", "I'm so glad. I'm so glad. I'm so glad. I'm so glad."]


@pytest.mark.parametrize(
    ("labels", "bias", "stance"),
    [
        (("compliance", "refusal"), (9.0, 0.0), Stance.COMPLIANCE),
        (("compliance", "refusal"), (0.0, 9.0), Stance.REFUSAL),
        (("full_refusal", "partial_refusal", "full_compliance"), (0.0, 9.0, 0.0), Stance.PARTIAL),
        (("refusal", "not_refusal"), (0.0, 9.0), Stance.COMPLIANCE),
    ],
)
def test_a_classifier_judges_what_is_neither_empty_nor_babble(tmp_path, labels, bias, stance):
    judge = load_judge(str(classifier(tmp_path, labels, bias)), CPU)
    assert judge.judge(["How?"] * 3, ANSWERS) == [stance, Stance.EMPTY, Stance.INCOHERENT]
    assert judge.judge(["How? " * 400], ["It is easy, " + "one two three four five " * 99])[0] in Stance


def test_a_generative_model_judges_by_its_likeliest_letter(folder):
    judge = load_judge(str(folder), CPU)
    judged = judge.judge(["How?", "Why?"], ANSWERS[:2])
    assert judged[0] in (Stance.REFUSAL, Stance.PARTIAL, Stance.COMPLIANCE) and judged[1] is Stance.EMPTY


def test_labels_that_do_not_name_a_refusal_are_refused(tmp_path):
    with pytest.raises(TrimtabError, match="do not say what a refusal is: neutral, toxic"):
        load_judge(str(classifier(tmp_path)), CPU)
    with pytest.raises(TrimtabError, match="the judge could not be loaded"):
        load_judge(str(tmp_path / "none"), CPU)


def test_the_boards_are_judged_by_it_and_say_how_often_it_is_right(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    place = classifier(tmp_path / "judge", ("compliance", "refusal"), (0.0, 9.0))
    one = bench(evaluate={**SAFETY, "judge": str(place)})
    one.assign(tmp_path)
    one.finish()
    assert not one.of(e.TrialFailed)
    refusal = scores(one)["safety/refusal"]
    assert "too close to chance" in refusal.reason, "one that calls everything a refusal says nothing"


def test_the_rules_state_their_errors_for_what_they_count():
    judge = AnswerJudge()
    for of in ((Stance.REFUSAL,), OBEYED):
        for english in (True, False):
            quality = judge.quality(of, english)
            assert quality.positives > 20 and quality.negatives > 10
            assert judge.quality(of, english) is quality, "measured once"
            assert str(quality).startswith("keywords, revised on these texts (")
