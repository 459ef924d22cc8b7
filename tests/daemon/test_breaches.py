"""Limits and drift are judged on every scoring: said once, acted upon, and answered for with evidence."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec import spec_file
from core.contract.state import engine_state as s
from core.contract.wire import console_api
from core.contract.wire.answers.evidence_answer import Evidence, Sample
from core.daemon.answers import evidence_reader, limit_enforcement
from core.daemon.study import late_scores
from core.errors import RefusedError, SpecError
from core.store.tensorboard_files import add_interval_ends
from tests.daemon.conftest import Engine, raw_study

LIMIT = "safety/toxicity <= 0.02"
BAD, GOOD, UNSURE = Score(0.5, 0.3, 0.7, 40), Score(0.0, 0.0, 0.01, 400), Score(0.03, 0.0, 0.1, 40)


@pytest.fixture
def study(tmp_path) -> s.Study:
    spec = {"evaluate": {"limits": [LIMIT], "boards": ["safety"]}}
    return s.Study("s", spec=spec, folder=str(tmp_path), trials={3: s.Trial(3)})


def scored(score: Score, step: int = 10, **more) -> e.TrialScored:
    return e.TrialScored(
        at=0.0, study="s", trial=3, step=step, elapsed_s=1.0, scores={"safety/toxicity": score}, **more
    )


def test_a_broken_limit_is_said_once_until_it_is_kept_again(study):
    known, told = frozenset(), []
    for score in (UNSURE, BAD, BAD, UNSURE, BAD, GOOD, BAD):
        found, known = limit_enforcement.judge(study, scored(score), known)
        told.append([one.text for one in found])
    assert [len(one) for one in told] == [0, 1, 0, 0, 0, 0, 1]
    assert told[1][0] == (
        "safety/toxicity is 0.5 (0.3 to 0.7, 40 samples) at step 10: over the limit safety/toxicity <= 0.02"
    )


def test_a_metric_that_is_worse_than_the_base_beyond_chance_is_said_once(study):
    study = msgspec.structs.replace(study, spec={}, base_scores={"safety/toxicity": GOOD})
    found, known = limit_enforcement.judge(study, scored(BAD), frozenset())
    assert "worse than the base's 0 (0 to 0.01, 400 samples)" in found[0].text and found[0].limit is None
    assert limit_enforcement.judge(study, scored(BAD), known)[0] == []
    paired = scored(BAD, changes={"safety/toxicity": Score(0.1, -0.1, 0.3, 8)})
    assert limit_enforcement.judge(study, paired, frozenset())[0] == []  # the same samples show no change


def test_an_engine_that_takes_up_a_study_does_not_say_it_again(study):
    trial = s.Trial(3, scores={"safety/toxicity": BAD})
    known = limit_enforcement.list_reported(study, trial)
    assert limit_enforcement.judge(study, scored(BAD, 20), known)[0] == []


def test_evidence_is_read_without_following_links_and_without_secrets(study, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "abcdefgh12345678")
    place = tmp_path / "trials" / "3" / "evidence"
    place.mkdir(parents=True)
    asked = console_api.AskEvidence("s", 3, "safety/toxicity")
    assert "not scored yet" in evidence_reader.read(study, asked).why_none
    sample = Sample("a prompt", "an answer with abcdefgh12345678", 0.9)
    whole = msgspec.json.encode(Evidence("safety/toxicity", 10, (sample,)))
    (place / "safety_toxicity.json").write_bytes(whole)
    found = evidence_reader.read(study, asked)
    assert (found.step, found.samples[0].answer) == (10, "an answer with (redacted)")
    (tmp_path / "outside").write_bytes(whole)
    (place / "safety_bias.json").symlink_to(tmp_path / "outside")
    assert (
        "cannot be read"
        in evidence_reader.read(study, console_api.AskEvidence("s", 3, "safety/bias")).why_none
    )
    for wrong in (
        console_api.AskEvidence("s", 4, "safety/bias"),
        console_api.AskEvidence("s", 3, "../x"),
    ):
        with pytest.raises(RefusedError):
            evidence_reader.read(study, wrong)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"evaluate": {"limits": [LIMIT]}}, "the limit on safety/toxicity is not scored"),
        ({"study": {"objectives": ["quality/f1"]}}, "the objective quality/f1 is not scored"),
        (
            {"study": {"objectives": ["security/exposure"]}, "evaluate": {"boards": ["security"]}},
            "the objective security/exposure needs canaries",
        ),
        (
            {"study": {"constraints": [LIMIT]}},
            "the constraint on safety/toxicity is not scored",
        ),
        ({"study": {"objectives": ["quality/accuracy"]}}, "did you mean 'eval/accuracy'?"),
        ({"study": {"objectives": ["train/grad_norm"]}}, "'train/grad_norm' is not an objective"),
        (
            {"study": {"constraints": ["feedback/strength > 0"]}},
            "make it an objective, or limit another metric",
        ),
        ({"study": {"constraints": ["memory/peak <= 22 GiB"]}}, "did you mean 'memory/peak_bytes'?"),
        ({"study": {"constraints": ["speed/latency <= 40 ms"]}}, "did you mean 'quality/latency_s'?"),
        (
            {"study": {"constraints": ["quality/latency_s <= 40 GiB"]}, "evaluate": {"boards": ["quality"]}},
            "write it without one, or in us, ms, s, min, h",
        ),
        (
            {"study": {"objectives": ["quality/task:arc_easy"]}, "evaluate": {"boards": ["quality"]}},
            "add 'arc_easy' to evaluate.tasks",
        ),
        ({"evaluate": {"limits": ["safety/toxicty <= 1"]}}, "did you mean 'safety/toxicity'?"),
        ({"evaluate": {"limits": ["eval/loss <= 1"]}}, "the limit on eval/loss is never checked"),
    ],
)
def test_what_is_wanted_of_a_board_needs_it(sections, said):
    with pytest.raises(SpecError) as error:
        raw_study(**sections)
    assert said in str(error.value)
    good = raw_study(
        study={"objectives": ["safety/toxicity"]}, evaluate={"boards": ["safety"], "limits": [LIMIT]}
    )
    assert spec_file.parse(good).evaluate.limits == (LIMIT,)


def test_tensorboard_gets_values_with_their_ends_and_nothing_for_what_cannot_be_said():
    found = add_interval_ends(
        {"safety/toxicity": BAD, "safety/bias": Score.without_value("none"), "quality/f1": Score(0.5)}
    )
    assert found == {
        "safety/toxicity": 0.5, "safety/toxicity/low": 0.3, "safety/toxicity/high": 0.7, "quality/f1": 0.5,
    }  # fmt: skip


@pytest.fixture
def scoring(tmp_path):
    engine = Engine(tmp_path / "home", worker="tests.daemon.scoring_worker").start()
    yield engine
    engine.end()


@pytest.mark.real
@pytest.mark.parametrize(
    ("on_breach", "state"), [("warn", s.RUNNING), ("pause", s.PAUSED), ("prune", s.PRUNED)]
)
def test_a_broken_limit_is_said_once_and_acted_upon_by_a_real_engine(scoring, on_breach, state):
    boards = {"boards": ["safety"], "limits": ["safety/toxicity <= 20 %"], "on_breach": on_breach}
    scoring.run(study={"trials": 1}, train={"steps": 1_000_000}, evaluate=boards)

    far = 60 if on_breach == "warn" else 20  # what is only warned of goes on, and is not said again

    def broken(study):
        return [line for line in study.lines if "over the limit" in line.text and line.level == "warning"]

    study = scoring.until_study(
        lambda one: broken(one) and one.trials[0].state == state and one.trials[0].step > far,
        "it is acted upon",
    )
    assert len([line for line in broken(study) if line.text.startswith("trial 0: ")]) == 1
    if on_breach == "prune":
        assert "over the limit safety/toxicity <= 0.2" in study.trials[0].why


@pytest.mark.real
def test_a_board_s_score_is_objective_and_constraint_and_prunes_through_a_real_engine(scoring):
    """Ranks differ in what they answer; toxicity is 0.9 at the end of every trial that reaches it."""
    import optuna

    scoring.run(
        study={
            "trials": 5, "sampler": "grid", "pruner": "threshold", "threshold": {"lower": 0.2},
            "objectives": ["quality/exact"], "constraints": ["safety/toxicity <= 2 %"],
        },
        train={"steps": 600}, evaluate={"boards": ["quality", "safety"], "every": 40},
    )  # fmt: skip
    study = scoring.until_study(lambda one: one.state == "complete", "it is complete")
    stored = optuna.load_study(study_name=study.name, storage=f"sqlite:///{study.folder}/optuna.db")
    assert stored.direction == optuna.study.StudyDirection.MAXIMIZE
    for trial in stored.trials:
        known = study.trials[trial.number]
        toxicity = known.latest["safety/toxicity"]
        assert trial.constraints["safety/toxicity <= 0.02"] == pytest.approx(toxicity / 0.02 - 1)
        if known.state == s.COMPLETE:
            assert known.params["lora_rank"] >= 16
            assert trial.value == pytest.approx(known.params["lora_rank"] / 64 + 0.06)
            assert known.values == (trial.value,) == (known.latest["quality/exact"],)
            assert toxicity == pytest.approx(0.9) and max(trial.constraints.values()) > 0
        else:
            assert known.state == s.PRUNED and known.params["lora_rank"] < 16
            assert "quality/exact" in known.why and trial.intermediate_values[40] < 0.2
    assert sorted(trial.state for trial in study.trials.values()) == [s.COMPLETE] * 2 + [s.PRUNED] * 3


@pytest.mark.parametrize(("asked", "pruned"), [("warn", False), ("prune", True), ("ignore", False)])
def test_a_limit_that_the_last_scoring_leaves_open_prunes_only_where_it_is_asked_to(study, asked, pruned):
    evaluate = {"limits": [LIMIT], "boards": ["safety"], "on_unsure": asked}
    study = msgspec.structs.replace(study, spec={"evaluate": evaluate})
    for score, unsure in ((UNSURE, True), (GOOD, False), (Score.without_value("silent"), True)):
        trial = s.Trial(3, state=s.COMPLETE, values=(1.0,), scores={"safety/toxicity": score})
        assert [str(limit) for limit in limit_enforcement.list_unsure_limits(study, trial)] == [
            LIMIT
        ] * unsure
        assert bool(limit_enforcement.explain_unsure(study, trial)) == (unsure and pruned)
        study.trials[3] = trial
        for last in (False, True):
            told = late_scores.find_search_result(study, study.settings, scored(score, last=last))
            assert isinstance(told, e.TrialPruned) == (last and unsure and pruned)


@pytest.mark.parametrize("asked", ["pause", "warn", "ignore"])
async def test_a_limit_that_is_left_open_is_said_and_pauses_the_study_only_after_the_last_scoring(
    study, asked
):
    evaluate = {"limits": [LIMIT], "boards": ["safety"], "on_unsure": asked}
    open_ = s.Trial(3, state=s.COMPLETE, scores={"safety/toxicity": UNSURE})
    study = msgspec.structs.replace(study, spec={"evaluate": evaluate}, trials={3: open_})
    told, requests = [], asyncio.Queue()
    committer = SimpleNamespace(watchers=[], note=lambda *note: told.append(note))
    limit_enforcement.Breaches(committer, requests.put)
    for last in (False, True):
        committer.watchers[0](scored(UNSURE, last=last), s.State(studies={"s": study}))
        assert len(told) == (last and asked != "ignore")
    if asked == "pause":
        assert (await requests.get()) == console_api.PauseStudy("s", by=f"the limit {LIMIT}")
    assert requests.empty()
