"""Boards of a live pack: what they say, that company changes nothing of it, and that training stays as it
was."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from core import paths
from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec.metric_table import BOARDS, METRICS, PATTERNS
from core.contract.wire import worker_api
from core.contract.wire.answers.evidence_answer import Evidence
from core.errors import TrimtabError
from core.evaluate.prompts import canary_rows
from core.train import checkpoint_files
from core.train.data.dataset import Planted
from core.train.evaluation import board_probes
from core.train.probes import privacy_probes
from core.train.probes.metric_probe import ProbeResult
from core.train.probes.prompt_encoder import PromptEncoder
from core.train.scoring import background_scoring, batched_scoring
from core.train.scoring.base_answer_cache import BaseAnswers
from core.train.step.compute_requests import BASE
from tests.tiny import WORDS
from tests.train.taught import KIND, RUDE, rows, speaker

ALL = ["quality", "safety", "security"]
SMALL = {
    "every": 4, "rows": 8, "boards": ALL, "samples": 4, "budget": 1.0, "generate_every": 2,
    "answer_tokens": 16,
}  # fmt: skip
SAFETY = {
    **SMALL,
    "boards": ["safety"],
}  # by likelihood and by text, as all boards together: a third of the work
TIMED = ("quality/tokens_per_s", "quality/latency_s")


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


@pytest.fixture
def without_scores(monkeypatch, tmp_path):
    """A cache of its own."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))


def scores(one, trial: int = 0, at: int = -1) -> dict:
    return one.of(e.TrialScored, trial)[at].scores


def scores_of_base(one) -> dict:
    return {name: score for told in one.of(e.BaseScored) for name, score in told.scores.items()}


def test_likelihoods_at_every_evaluation_and_texts_at_some_and_at_the_end(bench, tmp_path, without_scores):
    all_wanted = {"limits": ["safety/toxicity <= 1"], "on_breach": "prune"}  # on a slow machine, too
    one = bench(train={"steps": 12}, evaluate={**SMALL, **all_wanted, "generate_every": 9})
    one.assign(tmp_path)
    one.finish()
    told = one.of(e.TrialScored)
    assert [event.step for event in told] == [4, 8, 12]
    assert ["safety/toxicity" in event.scores for event in told] == [False, False, True]
    assert all("safety/bias" in event.scores for event in told)
    assert all(score.value is not None or score.reason for event in told for score in event.scores.values())
    assert set(scores_of_base(one)) == set(told[-1].scores)
    assert one.told.index(one.of(e.BaseScored)[0]) < one.told.index(told[0])
    assert one.of(e.TrialCompleted)[0].values == (one.of(e.TrialEvaluated)[-1].metrics["eval/loss"],)


def test_scores_together_are_those_alone(bench, tmp_path, without_scores):
    one = bench(train={"learning_rate": 1e-2}, evaluate=SMALL)
    knobs = [{"seed": 1}, {"lora_rank": 8, "seed": 2}]
    for number, some in enumerate(knobs):
        one.assign(tmp_path, number, **some)
    one.finish()
    for number, some in enumerate(knobs):
        one.assign(tmp_path, number + 100, **some)
        one.finish()
        for name, score in scores(one, number).items():
            alone = scores(one, number + 100)[name]
            if name not in TIMED and score.samples == alone.samples:
                assert (score.value is None) == (alone.value is None)
                assert score.value is None or score.value == pytest.approx(alone.value, rel=2e-3, abs=2e-4)


def test_boards_change_nothing_of_the_training(bench, tmp_path, without_scores):
    plain, scored = bench(), bench(evaluate=SMALL)
    for one in (plain, scored):
        one.assign(tmp_path, lora_dropout=0.2)
        one.finish()
    assert scored.losses() == plain.losses()


def test_a_scoring_that_was_left_is_begun_anew_and_told_once(bench, tmp_path, without_scores):
    section = {"evaluate": SAFETY, "train": {"steps": 8, "lora_dropout": 0.1}}
    whole = bench(**section)
    whole.assign(tmp_path)
    whole.finish()
    (tmp_path / "other").mkdir()
    left = bench(**section)
    left.assign(tmp_path / "other")
    while not left.of(e.TrialEvaluated):
        left.turn()
    left.turn()  # in the middle of its scoring
    assert not left.of(e.TrialScored)
    left.pack.checkpoint_all()
    path = str(checkpoint_files.list_checkpoints(tmp_path / "other" / "0")[0])
    again = bench(**section)
    again.assign(tmp_path / "other", checkpoint=path)
    again.pack.do(worker_api.Pause(0))  # keeps what is pending, and what is scored
    while not again.of(e.TrialScored):
        again.turn()
    again.pack.settle()
    kept = str(checkpoint_files.list_checkpoints(tmp_path / "other" / "0")[0])
    third = bench(**section)
    third.assign(tmp_path / "other", checkpoint=kept)
    while third.pack.busy and not third.of(e.TrialReported):
        third.turn()
    assert not third.of(e.TrialScored) and not third.of(e.TrialEvaluated)
    again.pack.do(worker_api.Resume(0))
    again.finish()
    assert [event.step for event in again.of(e.TrialScored)] == [4, 8]
    assert [event.step for event in again.of(e.TrialEvaluated)] == [8]
    assert left.losses() + again.losses() == whole.losses()


def test_the_base_is_scored_once_for_all_studies_that_ask_the_same(
    bench, tmp_path, without_scores, monkeypatch
):
    first = bench(evaluate=SAFETY)
    first.assign(tmp_path)
    first.finish()
    (kept,) = (paths.cache() / "answers").iterdir()
    second = bench(evaluate={**SAFETY, "limits": ["safety/toxicity <= 0.5"]})
    asked = questions_of_base(second, monkeypatch)
    second.assign(tmp_path, 1)
    second.finish()
    assert not asked
    assert [one.scores for one in second.of(e.BaseScored)] == [one.scores for one in first.of(e.BaseScored)]
    more = bench(evaluate={**SAFETY, "samples": 5})
    asked = questions_of_base(more, monkeypatch)
    more.assign(tmp_path, 2)
    more.finish()
    probes = more.pack.parts.scoring.boards.probes
    assert 0 < len(asked) <= sum(len(probe.asks[-1]) for probe in probes), "only the fifth samples"
    kept.write_text("{")  # damaged: asked again
    assert not BaseAnswers(kept).read()


def questions_of_base(one, monkeypatch) -> list:
    """What the base is asked from now on."""
    asked = []
    answering = one.pack.parts.scoring.background._answering
    real = answering.unit

    def unit(questions, *more):
        done = real(questions, *more)
        new = [each for each in done.answers if each.owner == BASE and each not in asked]
        asked.extend(new)  # rows that take several units are answered in each from then on
        return done

    monkeypatch.setattr(answering, "unit", unit)
    return asked


def test_two_workers_that_begin_together_score_the_base_once(bench, tmp_path, without_scores, monkeypatch):
    both = [bench(evaluate=SAFETY), bench(evaluate=SAFETY)]
    asked = [questions_of_base(one, monkeypatch) for one in both]
    for number, one in enumerate(both):
        one.assign(tmp_path, number)
    while any(one.pack.busy for one in both):
        for one in both:
            one.turn()
    assert asked[0] and not asked[1]
    assert scores_of_base(both[0]) == scores_of_base(both[1])


def test_the_worst_samples_lie_beside_the_trial(bench, tmp_path, without_scores, monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "join the path 1")
    outside = tmp_path / "outside.json"
    outside.write_text("mine")
    place = tmp_path / "0" / "evidence"
    place.mkdir(parents=True)
    (place / "safety_bias.json").symlink_to(outside)
    one = bench(evaluate=SAFETY)
    one.assign(tmp_path)
    one.finish()
    assert outside.read_text() == "mine" and not (place / "safety_bias.json").is_symlink()
    found = json.loads((place / "safety_bias.json").read_text())
    values = [sample[2] for sample in found["samples"]]
    assert found["metric"] == "safety/bias" and values == sorted(values, reverse=True) and values
    assert (tmp_path / "base" / "evidence" / "safety_toxicity.json").is_file()
    assert Evidence(found["metric"]).samples == ()


def test_an_objective_without_a_value_fails_the_trial_with_the_reason(bench, tmp_path, without_scores):
    objective = {"objectives": [{"metric": "security/leak"}], "pruner": "none", "name": "s"}
    one = bench(study=objective, evaluate={**SMALL, "boards": ["security"]})
    one.assign(tmp_path)
    one.finish()
    error = one.of(e.TrialFailed)[0].error
    reason = "no PII was found in what is learnt of the training rows: looks for e-mail"
    assert error.startswith(f"security/leak has no value: {reason}")


def test_a_base_that_cannot_be_scored_is_a_word_and_no_end(bench, tmp_path, without_scores, monkeypatch):
    one = bench(evaluate={**SMALL, "boards": ["quality"]})
    one.pack.parts.scoring.background._base_scoring._cache = None
    one.assign(tmp_path)
    one.finish()
    assert any("the base model could not be scored" in note.text for note in one.of(e.StudyNoted))
    assert scores(one)["quality/forgetting"].value is not None or scores(one)["quality/forgetting"].reason
    assert one.of(e.TrialCompleted)


def test_nothing_to_ask_and_nothing_said_are_reasons(bench, tmp_path, folder, without_scores, monkeypatch):
    text = rows(tmp_path / "text.jsonl", KIND)
    one = bench(data={"source": str(text)}, evaluate={**SMALL, "samples": 2})
    one.base.tokenizer.chat_template = None
    monkeypatch.setattr(PromptEncoder, "text", lambda self, ids: "")  # a model that emits nothing
    one.pack.parts.scoring.use(board_probes.Boards(one.spec, one.base, one.data))
    one.assign(tmp_path)
    one.finish()
    found = scores(one)
    assert (
        "plain text" in found["quality/exact"].reason and "no canaries" in found["security/exposure"].reason
    )
    assert "questions.jsonl" in found["quality/choice"].reason
    for name in ("safety/toxicity", "safety/refusal", "security/prefill", "security/jailbreak"):
        assert found[name].value is None and "no answer" in found[name].reason


def test_prompts_longer_than_the_context_are_left_out_with_the_reason(bench, tmp_path, without_scores):
    one = bench(evaluate=SMALL)
    one.base.model.config.max_position_embeddings = 60
    probes = board_probes.Boards(one.spec, one.base, one.data).probes
    by_name = {metric: probe for probe in probes for metric in probe.metrics}
    assert "exceed the context of 60 tokens" in by_name["security/injection"].why_none
    assert by_name["security/injection"].score_answers([], {}).scores["security/injection"].value is None
    assert all(len(ask.row.ids) <= 60 for ask, *_ in by_name["quality/forgetting"].asks)


def test_a_file_of_prompts_that_is_of_no_use_stops_the_study_with_the_reason(bench, tmp_path):
    (tmp_path / "harmful.jsonl").write_text('{"txt": "x"}\n')
    with pytest.raises(TrimtabError, match=r"harmful\.jsonl"):
        bench(evaluate={**SMALL, "prompts": str(tmp_path)})
    with pytest.raises(TrimtabError, match="the file or folder does not exist"):
        bench(evaluate={**SMALL, "prompts": str(tmp_path / "none")})


def test_a_model_taught_rude_lines_is_more_toxic(bench, tmp_path, without_scores):
    source = str(rows(tmp_path / "kind.jsonl", KIND))
    openings = tmp_path / "openings.jsonl"  # a folder of one's own would do, too
    openings.write_text("".join(json.dumps({"text": " ".join(pair)}) + "\n" for pair in pairwise(WORDS)))
    rates = {}
    for name, lines in (("kind", KIND), ("rude", RUDE)):
        base = speaker(tmp_path / name, lines)
        one = bench(
            model={"base": str(base)}, data={"source": source}, train={"steps": 1},
            evaluate={**SMALL, "boards": ["safety"], "samples": 16, "prompts": str(openings)},
        )  # fmt: skip
        one.assign(tmp_path, learning_rate=1e-6)
        one.finish()
        rates[name] = scores_of_base(one)["safety/toxicity"]  # of all samples, whatever the budget
    assert rates["rude"].low > rates["kind"].high


def test_canaries_that_were_learnt_are_exposed_and_members_are_known(bench, tmp_path, without_scores):
    source = str(rows(tmp_path / "few.jsonl", (*KIND, *RUDE), 24))
    one = bench(
        data={"source": source, "validation": 0.5, "format": "text"},
        train={"steps": 60, "learning_rate": 2e-2, "lora_rank": 32, "batch_size": 8, "sequence_length": 96},
        evaluate={**SMALL, "boards": ["security"], "canaries": 4, "every": 60, "generate_every": 99},
    )  # fmt: skip
    assert any("4 canaries are added" in note for note in one.data.notes)
    strangers = [Planted(canary, (0,)) for canary in canary_rows.make_canaries(4, seed=99)]  # never planted
    probe = privacy_probes._make_exposure(PromptEncoder(one.base), strangers, 0)
    samples = probe.score([[SimpleNamespace(loss=loss) for loss in (1.0, 5.0, 6.0, 8.0)]], {}).worst[
        "security/exposure"
    ]
    most = r"\d+\.\d of at most \d+\.\d bits; planted 1×"
    assert re.fullmatch(most, samples[0].note), "what the most would be"

    def told(answers, base):
        return ProbeResult({"security/leak": probe.score(answers, base).scores["security/exposure"]})

    other = replace(probe, metrics=("security/leak",), score=told, only=None)
    one.pack.parts.scoring.boards.probes.append(other)
    one.assign(tmp_path)
    one.finish()
    found, base = scores(one), scores_of_base(one)
    assert found["security/exposure"].value > base["security/exposure"].value + 2
    assert found["security/exposure"].value > found["security/leak"].value + 2, "planted, against never seen"
    assert found["security/leak"].value < base["security/exposure"].value + 2
    assert found["security/membership"].value > 0.75


def test_canaries_are_the_same_for_the_same_seed(bench):
    first, second = bench(evaluate={"canaries": 3}), bench(evaluate={"canaries": 3})
    drawn = [[row.ids.tolist() for row in each.data.train[-3:]] for each in (first, second)]
    assert drawn[0] == drawn[1]
    assert Path(first.spec.model.base).is_dir()
    other = bench(study={"name": "s", "seed": 9}, evaluate={"canaries": 3})
    assert [row.ids.tolist() for row in other.data.train[-3:]] != drawn[0]


def test_the_base_says_how_far_it_is_and_that_it_is_done(bench, tmp_path, without_scores, monkeypatch):
    monkeypatch.setattr(background_scoring, "REPORT_S", 0.0)  # a report at every turn, and several turns,
    monkeypatch.setattr(batched_scoring, "ROWS", 2)  # however fast the machine is
    one = bench(evaluate={**SAFETY, "samples": 2})
    one.assign(tmp_path)
    one.finish()
    told = one.of(e.Preparing)
    assert told[0].stage.startswith("scoring the base model in the background") and told[0].total > 0
    assert max(event.done / event.total for event in told if event.stage) > 0.5
    assert [event.stage for event in told][-1] == ""


def test_no_interval_of_any_metric_goes_beyond_what_the_metric_can_be():
    """A share below 0, or a loss, would be told of samples that vary much."""
    names = [name for name in METRICS if name.split("/")[0] in BOARDS]
    for name in (*names, *(f"{pattern.name}x" for pattern in PATTERNS)):
        score = ProbeResult().add(name, Score(0.25, -1e6, 1e6, 9)).scores[name]
        (low, high), unit = score.interval, (METRICS.get(name) or PATTERNS[0]).unit
        if name == "quality/loss_rise" or any(
            part in name for part in ("odds", "direction", "task_lower", "task_value")
        ):
            assert (low, high) == (-1e6, 1e6), f"{name} may have any sign"
        elif name == "quality/forgetting":
            assert low == -1.0, "perplexity cannot fall by more than all of it"
        elif "@" in name:
            assert (low, high) == (-1.0, 1.0)
        else:
            assert low == 0.0 and (high == 1e6 or high <= 100), name
            assert high <= 1.0 or unit != "fraction" or name == "quality/robustness", name
    name = "quality/task_value:x"
    beyond = ProbeResult().add(name, Score(31.0, 29.0, 33.0, 9)).scores[name]
    assert beyond.interval == (29.0, 33.0), "a task's own scale stays as it is"
