"""Scores beside the training: what is pending, who waits for it, and what survives."""

import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.train import checkpoint_files
from core.train.scoring import background_scoring
from core.train.step.token_tree_reader import LEAST, TreeReader
from tests.train.test_boards import SMALL, TIMED, scores


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


@pytest.fixture
def without_scores(monkeypatch, tmp_path):
    """A cache of its own."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))


def test_a_message_waits_for_no_more_rows_than_are_read_in_half_a_second_less_while_a_trial_trains(
    bench, tmp_path, without_scores, monkeypatch
):
    one = bench(evaluate={**SMALL, "boards": ["safety"], "samples": 8})
    sizes, trains = [], []
    answering = one.pack.parts.scoring.background._answering
    monkeypatch.setattr(type(answering), "_measure", lambda self, tokens, took_s: None)  # a slow machine
    answering._rate = 400.0
    real = TreeReader.read

    def counted(self, tokens):
        before, found = self.tokens, real(self, tokens)
        trains.append(one.pack.trains)
        sizes.append((self.tokens - before, len(self._owners)))
        return found

    monkeypatch.setattr(TreeReader, "read", counted)
    one.assign(tmp_path)
    one.finish()
    assert len(sizes) > 20 and set(trains) == {True, False}
    for (tokens, owners), training in zip(sizes, trains, strict=True):
        assert tokens <= max(LEAST, 400.0 * (0.25 if training else 0.45)) or tokens == owners


def test_a_trial_is_complete_when_its_training_is_and_its_scores_follow(bench, tmp_path, without_scores):
    one = bench(evaluate={**SMALL, "budget": 1e-6})
    one.assign(tmp_path)
    while not one.of(e.TrialCompleted):
        one.turn()
    completed = one.of(e.TrialCompleted)[0]
    assert completed.scoring == completed.step and completed.values
    assert not one.of(e.TrialScored) and not one.of(e.BaseScored), "the budget has no room for them"
    assert one.pack.busy and not one.pack.trains and one.pack.numbers == ()
    one.finish()
    last = one.of(e.TrialScored)[-1]
    assert (last.step, last.last, last.values) == (completed.step, True, ())
    assert last.changes and "safety/toxicity" in last.scores
    assert one.told.index(completed) < one.told.index(one.of(e.TrialScored)[0])


def test_an_objective_of_the_boards_comes_with_the_last_scores(bench, tmp_path, without_scores):
    objective = {"objectives": [{"metric": "safety/toxicity"}, {"metric": "eval/loss"}], "pruner": "none"}
    one = bench(study={"name": "s", **objective}, evaluate=SMALL)
    one.assign(tmp_path)
    one.finish()
    assert one.of(e.TrialCompleted)[0].values == ()
    told = one.of(e.TrialScored)[-1]
    assert told.values == (
        told.scores["safety/toxicity"].value,
        one.of(e.TrialEvaluated)[-1].metrics["eval/loss"],
    )
    steps = [event.step for event in one.of(e.TrialScored)]
    assert steps == [event.step for event in one.of(e.TrialEvaluated)], "the sampler hears of every one"


def test_nothing_is_scored_before_the_first_step(bench, tmp_path, without_scores, monkeypatch):
    one = bench(evaluate=SMALL)
    one.assign(tmp_path)
    began = []
    answering = one.pack.parts.scoring.background._answering
    real = answering.unit
    monkeypatch.setattr(
        answering, "unit", lambda *given: (began.append(len(one.of(e.TrialReported))), real(*given))[1]
    )
    one.finish()
    assert began and began[0] >= 1


def test_the_last_snapshot_of_a_complete_trial_is_scored_by_the_next_worker(bench, tmp_path, without_scores):
    whole = bench(evaluate=SMALL)
    whole.assign(tmp_path)
    whole.finish()
    (tmp_path / "other").mkdir()
    left = bench(evaluate={**SMALL, "budget": 1e-6})
    left.assign(tmp_path / "other")
    while not left.of(e.TrialCompleted):
        left.turn()
    completed = left.of(e.TrialCompleted)[0]
    left.pack.checkpoint_all()
    again = bench(evaluate=SMALL)
    folder = str(tmp_path / "other" / "0")
    message = worker_api.Score(0, dict(again.spec.train), folder, completed.step, 1.0, {"eval/loss": 2.0})
    again.pack.do(message)
    again.pack.do(message)
    again.finish()
    assert len(again.of(e.TrialScored)) == 1 and again.of(e.TrialScored)[0].last
    for name, score in scores(again).items():
        if name not in TIMED:
            assert score == pytest.approx(scores(whole)[name]) or score.value == pytest.approx(
                scores(whole)[name].value, rel=1e-3, abs=1e-4
            )


def test_an_adapter_that_is_gone_is_a_word(bench, tmp_path, without_scores):
    one = bench(evaluate=SMALL)
    one.pack.do(worker_api.Score(0, dict(one.spec.train), str(tmp_path / "0"), 8, 1.0))
    one.finish()
    assert "cannot be scored" in one.of(e.ScoringEnded)[0].why


@pytest.mark.parametrize("left", [worker_api.Prune(0, "so"), worker_api.Leave(0, "so")])
def test_a_trial_that_leaves_takes_what_is_pending_with_it(bench, tmp_path, without_scores, left):
    one = bench(evaluate={**SMALL, "budget": 1e-6})
    one.assign(tmp_path)
    while not one.of(e.TrialEvaluated):
        one.turn()
    assert one.pack.parts.scoring.background.list_pending(0)
    one.pack.do(left)
    one.pack.settle()
    assert not one.pack.parts.scoring.background.list_pending(0)
    again = bench(evaluate={**SMALL, "budget": 1e-6})
    again.assign(tmp_path, checkpoint=str(checkpoint_files.list_checkpoints(tmp_path / "0")[0]))
    assert [one.step for one in again.pack.parts.scoring.background.list_pending(0)] == [4], (
        "its checkpoint has it"
    )


def test_a_pause_keeps_what_is_pending_and_it_is_scored_meanwhile(bench, tmp_path, without_scores):
    one = bench(evaluate={**SMALL, "budget": 1e-6})
    one.assign(tmp_path)
    while not one.of(e.TrialEvaluated):
        one.turn()
    one.pack.do(worker_api.Pause(0))
    assert one.pack.busy
    one.finish()
    assert [event.step for event in one.of(e.TrialScored)] == [4]


def test_a_newer_snapshot_takes_the_place_of_one_that_is_not_begun(bench, tmp_path, without_scores):
    one = bench(train={"steps": 16}, evaluate={**SMALL, "budget": 1e-6})
    one.assign(tmp_path)
    one.finish()
    assert [event.step for event in one.of(e.TrialEvaluated)] == [4, 8, 12, 16]
    assert [event.step for event in one.of(e.TrialScored)] == [16]


def test_a_scoring_that_is_overtaken_says_how_many_samples_it_had_time_for(bench, tmp_path, without_scores):
    one = bench(train={"steps": 400}, evaluate={**SMALL, "samples": 64, "boards": ["quality"], "every": 1})
    one.assign(tmp_path)
    while len(one.of(e.TrialScored)) < 2:
        one.turn()
    early = one.of(e.TrialScored)[0]
    assert any("there was no time for more" in score.reason for score in early.scores.values())


def test_what_becomes_of_the_answers_is_charged_to_the_budget_too(
    bench, tmp_path, without_scores, monkeypatch
):
    one = bench(evaluate={**SMALL, "boards": ["safety"]})
    scoring, clock, charged = one.pack.parts.scoring.background, [0.0], []
    monkeypatch.setattr(background_scoring, "time", SimpleNamespace(
        perf_counter=lambda: clock[0], monotonic=time.monotonic, sleep=time.sleep
    ))  # fmt: skip
    report = scoring._report

    def slow(snapshot, job):
        clock[0] += 5.0
        report(snapshot, job)

    monkeypatch.setattr(scoring, "_report", slow)
    monkeypatch.setattr(scoring._budget, "spend", charged.append)
    one.assign(tmp_path)
    one.finish()
    assert sum(charged) == 5.0 * len(one.of(e.TrialScored)) > 0


def test_progress_moves_while_texts_are_generated_and_is_reported_only_when_it_has_moved(
    bench, tmp_path, without_scores, monkeypatch
):
    monkeypatch.setattr(background_scoring, "REPORT_S", 0.0)
    monkeypatch.setattr(background_scoring, "UNIT_S", 0.0)
    monkeypatch.setattr(background_scoring, "IDLE_S", 0.0)  # a token of each text in a unit
    one = bench(evaluate={**SMALL, "boards": ["safety"], "limits": ["safety/toxicity <= 1"]})
    one.assign(tmp_path)
    one.finish()
    base = [event for event in one.told if isinstance(event, e.Preparing) and event.total and event.stage]
    last = one.of(e.TrialScoring)[-1]
    trial = [event for event in one.of(e.TrialScoring) if event.step == last.step]
    for reports in (base, trial):
        done, total = [event.done for event in reports], reports[-1].total
        assert 0.9 * total < max(done) <= total, "the texts come last, and end together"
        assert all(before < after for before, after in pairwise(done))
