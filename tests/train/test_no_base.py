"""A base that cannot be scored, or not wholly: what is measured against it has a reason, no value."""

import pytest

from core.contract.events import event_types as e
from core.train.probes.metric_probe import NO_BASE
from core.train.step.compute_requests import BASE

AGAINST_BASE = (
    "quality/forgetting", "security/membership", "security/membership_tpr", "safety/refusal_direction",
)  # fmt: skip
BOARDS = {
    "every": 8, "rows": 8, "boards": ["quality", "safety", "security"], "samples": 16, "budget": 1.0,
    "generate_every": 99, "answer_tokens": 16,
}  # fmt: skip


@pytest.fixture
def failing(bench, tmp_path, monkeypatch):
    """A pack whose base fails when it has answered so many units of questions."""

    def make(answered: int):
        monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
        one = bench(train={"steps": 8}, evaluate=BOARDS)
        answering = one.pack.parts.scoring.background._answering
        real, units = answering.unit, []

        def unit(questions, *more):
            done = real(questions, *more)
            units.append(any(question.owner == BASE for question in done.answers))
            if sum(units) > answered and any(question.owner == BASE for question in questions):
                done.errors[BASE] = ValueError("no base")
            return done

        monkeypatch.setattr(answering, "unit", unit)
        one.assign(tmp_path)
        one.finish()
        return one

    return make


def test_a_base_without_scores_leaves_a_reason_and_never_a_zero(failing):
    one = failing(0)
    (told,) = one.of(e.TrialScored)
    for metric in AGAINST_BASE:
        assert told.scores[metric].value is None, metric
        assert told.scores[metric].reason.startswith(NO_BASE), metric
    assert not told.changes, "nothing is known to have changed"
    assert told.scores["quality/loss"].value is not None, "what needs no base has a value"


def test_a_base_that_fails_midway_is_not_compared_with_on_samples_that_it_lacks(failing):
    one = failing(3)
    (told,) = one.of(e.TrialScored)
    for metric in AGAINST_BASE:
        score = told.scores[metric]
        assert score.value is not None or score.reason.startswith(NO_BASE), (metric, score)


def test_the_base_itself_has_not_forgotten_anything(failing):
    one = failing(10**6)
    told = {name: score for event in one.of(e.BaseScored) for name, score in event.scores.items()}
    assert told["quality/forgetting"].value == 0.0
    assert told["safety/refusal_direction"].value is None or told["safety/refusal_direction"].value == 1.0
    assert told["security/membership"].reason == "the base model is what the attack compares a trial with"
