"""Tasks of lm-evaluation-harness at a trial's end; without the extra, a word on how to get it."""

import importlib.util
import json
import threading

import pytest

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.metric_table import find_metric
from core.contract.views.metric_format import format_score
from core.errors import SpecError, TrimtabError
from core.train.data.dataset import MASKED
from core.train.evaluation import lm_eval_bridge, lm_eval_scoring
from core.train.step.compute_requests import Rate, Result, Wait, Write, Written
from core.train.step.target_token_losses import Reading
from tests.train.taught import KIND, RUDE, speaker

RAW = {"study": {"name": "s"}, "model": {"base": "none"}, "data": {"source": "none"}}
CHOICE = """
task: kind_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
WRITTEN = """
task: kind_line
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: good idea
generation_kwargs: {{until: ["."], max_gen_toks: 40}}
filter_list:
- {{name: line, filter: [{{function: regex, regex_pattern: (good idea)}}, {{function: take_first}}]}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_punctuation: true}}]
"""
ROLLED = """
task: kind_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{question}}}}"
metric_list: [{{metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}}]
"""


def test_without_the_extra_the_spec_says_how_to_get_it(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lm_eval" else real(name))
    with pytest.raises(SpecError) as error:
        spec_file.parse({**RAW, "evaluate": {"tasks": ["arc_easy"]}})
    assert "evaluate.tasks = ['arc_easy'] needs lm-evaluation-harness, which is not installed" in str(
        error.value
    )
    assert "pip install 'trimtab[lm-eval]'" in str(error.value)


def test_a_task_may_be_an_objective_with_the_direction_of_its_kind(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    raw = {**RAW, "study": {"name": "s", "objectives": ["quality/task:arc_easy"]}}
    spec = spec_file.parse({**raw, "evaluate": {"tasks": ["arc_easy"]}})
    assert spec.study.objectives[0].direction == "maximize"
    assert find_metric("quality/task:arc_easy").unit == "fraction"


def answered(request) -> Result:
    if isinstance(request, Rate):
        return Result(answers=[Reading([1.0] * len(item.row.ids), [1.0]) for item in request.items])
    return Result(answers=[Written(list(one.ids)) for one in getattr(request, "prompts", ())])


def test_what_the_harness_asks_becomes_few_wants_at_once_and_its_answers_keep_their_order():
    rows = [lm_eval_bridge.make_row([1], [2] * number, 99) for number in range(1, 12)]
    prompts = [([7] * number, 4 if number < 4 else 9) for number in range(1, 8)]

    def work(line):
        return {"rated": line.ask(rows), "written": line.ask(prompts)}

    life, requests, counts = lm_eval_bridge.run_harness(work, None, lambda done: counts.append(done)), [], []
    request = next(life)
    with pytest.raises(StopIteration) as over:
        while True:
            requests += [] if isinstance(request, Wait) else [request]
            request = life.send((answered(request), 0.0))
    found = over.value.value
    assert [one.loss for one in found["rated"]] == [float(1 + number) for number in range(1, 12)]
    assert [len(one.ids) for one in found["written"]] == list(range(1, 8))
    assert [len(request.items) for request in requests if isinstance(request, Rate)] == [8, 3]
    written = [request for request in requests if isinstance(request, Write)]
    assert [[prompt.tokens for prompt in request.prompts] for request in written] == [[4, 4, 4, 9, 9, 9, 9]]
    assert counts == [8, 11, 18]


def test_a_trial_that_leaves_ends_the_harness_s_thread_and_its_error_is_told():
    life = lm_eval_bridge.run_harness(lambda line: line.ask([([1], 2)]), None, lambda done: None)
    assert isinstance(next(life), Write | Wait)
    (thread,) = [one for one in threading.enumerate() if one.name == "lm-eval"]
    life.close()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(lm_eval_bridge.Failed, match="division"):
        for _ in lm_eval_bridge.run_harness(lambda line: 1 / 0, None, lambda done: None):
            pass


def test_long_rows_are_cut_on_the_left_and_texts_at_the_first_stop():
    row = lm_eval_bridge.make_row([1, 2, 3], [4, 5], 4)
    assert (row.ids.tolist(), row.labels.tolist()) == ([2, 3, 4, 5], [MASKED, MASKED, 4, 5])
    assert lm_eval_bridge.make_row([1], [4, 5, 6], 3).labels.tolist() == [MASKED, 5, 6]
    assert (
        lm_eval_bridge.cut_at_stop("a\nb;c", {"until": [";", "\n"]}) == "a"
        and lm_eval_bridge.cut_at_stop("a", {}) == "a"
    )


def test_a_group_has_the_harness_s_own_error_and_a_task_without_directions_a_reason():
    told = {
        "higher_is_better": {"mmlu": {"acc": True}},
        "results": {"mmlu": {"acc,none": 0.5, "acc_stderr,none": 0.1, "sample_len": 25}},
    }
    score = lm_eval_scoring.make_task_result("mmlu", told).scores["quality/task:mmlu"]
    assert (score.value, score.low, score.samples) == (0.5, pytest.approx(0.304), 25)
    (unclear,) = lm_eval_scoring.make_task_result("other", told).scores.values()
    assert unclear.value is None and unclear.reason == lm_eval_scoring.UNCLEAR


def test_a_task_that_is_better_when_lower_has_a_metric_that_is():
    rows = [{"doc_id": at, "filter": "none", "likelihood_diff": 2.0 * at, "target": "x"} for at in range(6)]
    told = {
        "higher_is_better": {"crows": {"likelihood_diff": False}, "wikitext": {"word_perplexity": False}},
        "results": {"wikitext": {"word_perplexity,none": 21.5, "sample_len": 62}},
        "samples": {"crows": rows},
    }
    crows = lm_eval_scoring.make_task_result("crows", told)
    assert (crows.scores["quality/task_lower:crows"].value, crows.values["quality/task_lower:crows"][2]) == (
        5.0,
        4.0,
    )
    assert [each.score for each in crows.worst["quality/task_lower:crows"]][:2] == [10.0, 8.0], "worst first"
    wikitext = lm_eval_scoring.make_task_result("wikitext", told).scores["quality/task_lower:wikitext"]
    assert (wikitext.value, wikitext.samples) == (21.5, 62)
    assert find_metric("quality/task_lower:wikitext").direction == "minimize"


def test_of_a_task_with_both_kinds_of_metrics_one_that_is_better_when_higher_counts():
    told = {
        "higher_is_better": {"both": {"perplexity": False, "acc": True}},
        "results": {"both": {"perplexity,none": 9.0, "acc,none": 0.5, "sample_len": 4}},
    }
    assert lm_eval_scoring.make_task_result("both", told).scores["quality/task:both"].value == 0.5


def test_a_task_whose_metric_is_no_share_has_a_metric_without_a_unit(monkeypatch):
    """BLEU of 31 is not 3100 %."""
    rows = [{"doc_id": at, "filter": "none", "bleu": 30.0 + at, "target": "x"} for at in range(6)]
    told = {
        "higher_is_better": {"translate": {"bleu": True}, "squadv2": {"exact": True, "f1": True}},
        "results": {"squadv2": {"exact,none": 61.5, "sample_len": 40}},
        "samples": {"translate": rows},
    }
    (bleu,) = lm_eval_scoring.make_task_result("translate", told).scores.items()
    assert bleu[0] == "quality/task_value:translate" and bleu[1].value == 32.5
    assert find_metric(bleu[0]).unit == "" and format_score(bleu[1], "").startswith("32.5 ")
    assert list(lm_eval_scoring.make_task_result("squadv2", told).scores) == ["quality/task_value:squadv2"]
    for share in ("acc", "acc_norm", "exact_match", "prompt_level_strict_acc"):
        assert lm_eval_scoring.name_metric("x", {share: True}) == "quality/task:x"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    raw = {**RAW, "study": {"name": "s", "objectives": [bleu[0]]}}
    spec = spec_file.parse({**raw, "evaluate": {"tasks": ["translate"]}})
    assert spec.study.objectives[0].direction == "maximize"


@pytest.mark.parametrize(
    ("metric", "named", "told"),
    [
        ("quality/task_value:x", "quality/task:x", "the preferred metric of the task 'x' is no share"),
        ("quality/task:x", "quality/task_value:x", "the preferred metric of the task 'x' is a share"),
        (
            "quality/task_value:x",
            "quality/task_lower:x",
            "the metrics of the task 'x' are better when higher",
        ),
        ("quality/task_lower:x", "quality/task_value:x", "the metrics of the task 'x' are better when lower"),
    ],
)
def test_another_kind_of_metric_than_the_task_s_is_refused_with_the_right_one(metric, named, told):
    with pytest.raises(TrimtabError, match=told) as raised:
        lm_eval_scoring._refuse_other_kind("x", metric, [named, metric])
    assert raised.value.problems[0].fix == f"write {metric}"


def test_objectives_and_limits_on_such_a_task_follow_its_direction(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    goal = "quality/task_lower:wikitext"
    raw = {**RAW, "study": {"name": "s", "objectives": [goal]}}
    spec = spec_file.parse({**raw, "evaluate": {"tasks": ["wikitext"], "limits": [f"{goal} <= 30"]}})
    assert spec.study.objectives[0].direction == "minimize"
    with pytest.raises(SpecError, match="is not scored"):
        spec_file.parse({**raw, "evaluate": {"tasks": ["arc_easy"]}})


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """A base that says kind lines, and tasks about them."""
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = folder / "rows.jsonl"
    told = [{"question": f"read {number}", "choices": [KIND[0], RUDE[0]], "answer": 0} for number in range(6)]
    rows.write_text("\n".join(json.dumps(one) for one in told))
    for name, text in (("choice", CHOICE), ("written", WRITTEN), ("rolled", ROLLED)):
        (folder / f"{name}.yaml").write_text(text.format(rows=rows))
    return speaker(tmp_path / "base", KIND[:1], 250), folder


def test_real_tasks_of_one_s_own_are_scored_at_a_trial_s_end_beside_the_base(bench, kind, tmp_path):
    base, folder = kind
    section = {"tasks": ["kind_choice", "kind_line", "kind_text"], "tasks_path": str(folder), "every": 2}
    one = bench(model={"base": str(base)}, train={"steps": 4}, evaluate=section)
    one.assign(tmp_path, learning_rate=1e-6)
    one.finish()
    *earlier, last = one.of(e.TrialScored)  # a snapshot that waits is replaced by the next
    tasks_at = [each.step for each in earlier if "quality/task:kind_choice" in each.scores]
    assert not tasks_at, "they are long: at the end only"
    scores, found = last.scores, (tmp_path / "0" / "evidence" / "quality_task:kind_line.json").read_text()
    assert scores["quality/task:kind_choice"].value == 1.0 and scores["quality/task:kind_choice"].samples == 6
    assert scores["quality/task:kind_choice"].low < 1.0
    line = scores["quality/task:kind_line"]
    assert line.value > 0.5 and (line.samples, line.reason) == (6, "exact_match"), found
    assert scores["quality/task_lower:kind_text"].value > 1.0, "a perplexity: better when lower"
    assert last.changes["quality/task:kind_choice"].value == 0.0
    told = one.of(e.BaseScored)[-1].scores
    assert told["quality/task:kind_choice"].value == 1.0
    assert max(event.done for event in one.of(e.Preparing) if "evaluate.tasks" in event.stage) > 12
    assert one.of(e.Preparing)[-1].stage == ""
    assert (tmp_path / "0" / "evidence" / "quality_task:kind_choice.json").is_file()


def test_a_task_that_is_not_known_is_told_before_training(bench, kind):
    base, folder = kind
    with pytest.raises(TrimtabError, match="unknown task 'kind_choyce'"):
        bench(model={"base": str(base)}, evaluate={"tasks": ["kind_choyce"], "tasks_path": str(folder)})


def test_an_objective_that_contradicts_its_task_is_told_before_training(bench, kind):
    base, folder = kind
    section = {"tasks": ["kind_text"], "tasks_path": str(folder)}
    wrong, right = "quality/task:kind_text", "quality/task_lower:kind_text"
    with pytest.raises(TrimtabError, match="'kind_text' are better when lower") as raised:
        bench(study={"objectives": [wrong]}, model={"base": str(base)}, evaluate=section)
    assert raised.value.problems[0].fix == f"write {right}"
