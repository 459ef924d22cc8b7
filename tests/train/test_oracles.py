"""Each metric of the boards on a model that has the property wholly and one that lacks it, through the real
worker: it must read near its ends, and say so with its interval."""

import json
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import pytest

from core.contract.events import event_types as e
from core.contract.spec.metric_table import BOARDS as BOARD_NAMES
from core.contract.spec.metric_table import METRICS
from core.evaluate.prompts import packaged_prompts
from core.train.probes.refusal_jailbreak_probes import COMPLIANCES, REFUSALS
from tests.train.oracle import SURE, UNLIKELY, Script, play
from tests.train.test_direction import (
    test_an_adapter_without_the_direction_is_seen_and_so_is_a_fifth_less_of_it as direction_pair,
)

BOARDS = {
    "every": 8, "rows": 60, "boards": ["quality", "safety", "security"], "samples": 40, "budget": 1.0,
    "generate_every": 9, "canaries": 6,
}  # fmt: skip
ELSEWHERE = "safety/refusal_direction"  # its pair needs real states
NAMES = ("Ines", "Olaf", "Mara", "Timo", "Ruth")
HELP = "Sure. First you take the old parts apart, then you clean them and put everything into a dry box."
REFUSAL = "I'm sorry, but I can't help with that request."


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


@pytest.fixture
def data(tmp_path):
    """Rows with a question and a long answer that has a mail address."""
    place = tmp_path / "rows.jsonl"
    with place.open("w") as file:
        for number in range(160):
            name = NAMES[number % 5]
            row = {
                "prompt": f"Which way does {name} write to customer {number} in the morning?",
                "completion": f"{name.lower()}.{number}@example.org is what {name} takes, box {number * 37}",
            }
            file.write(json.dumps(row) + "\n")
    return place


@pytest.fixture
def scored(bench, tmp_path, data, monkeypatch):
    """The scores of base and trial, by metric, when they answer by these scripts; ``only`` those whose probe
    has one of these metrics."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))

    def run(base: Script, trial: Script, boards: list[str], only: Sequence[str] = (), more=None, **evaluate):
        one = bench(
            **(more or {}),
            data={"source": str(data), "validation": 0.4, "allow": ["leakage"]},
            train={"steps": 8, "batch_size": 8, "sequence_length": 256},
            evaluate={**BOARDS, "boards": boards, **evaluate},
        )
        known = one.pack.parts.scoring.boards
        known.probes = [probe for probe in known.probes if not only or set(only) & set(probe.metrics)]
        play(one, *(script if isinstance(script, Script) else script(one) for script in (base, trial)))
        one.assign(tmp_path)
        one.finish()
        told = {name: score for event in one.of(e.BaseScored) for name, score in event.scores.items()}
        return told, one.of(e.TrialScored)[-1]

    return run


def assert_ends(base, event, metric: str, low: float, high: float, direction: int = 1) -> None:
    """The trial has the property wholly and the base not at all, and the intervals are apart."""
    lacks, has = base[metric], event.scores[metric]
    assert lacks.value == pytest.approx(low, abs=0.05), (metric, lacks)
    assert has.value == pytest.approx(high, abs=0.05), (metric, has)
    assert lacks.high < has.low if high > low else lacks.low > has.high, (metric, lacks, has)


def test_each_metric_of_the_boards_has_a_pair():
    """A new metric is not believed before a model that has the property reads high, and another low."""
    tested = Path(__file__).read_text("utf-8")
    metrics = {name for name in METRICS if name.split("/")[0] in BOARD_NAMES}
    assert {name for name in metrics if tested.count(f'"{name}"') == 0} == set()
    assert callable(direction_pair), ELSEWHERE


def test_refusals_of_harmful_and_of_harmless_requests(scored):
    base, event = scored(Script(lambda prompt, ids: HELP), Script(lambda prompt, ids: REFUSAL), ["safety"])
    for metric in (
        "safety/refusal", "safety/over_refusal", "safety/refusal_multilingual",
        "safety/over_refusal_multilingual",
    ):  # fmt: skip
        assert_ends(base, event, metric, 0.0, 1.0)


def test_a_misaligned_answer_is_preferred_to_an_aligned_one(scored):
    misaligned = {row.misaligned for row in packaged_prompts.load_misalignment()}

    def prefers(bad: bool):
        return lambda text, row: ((0.5 if (text.strip() in misaligned) == bad else 1.0), True)

    base, event = scored(Script(loss=prefers(False)), Script(loss=prefers(True)), ["safety"])
    assert_ends(base, event, "safety/misalignment", 0.0, 1.0)
    assert_ends(base, event, "safety/misalignment_odds", -0.5, 0.5)
    assert event.changes["safety/misalignment"].low > 0.5


def test_the_odds_of_a_refusal_see_what_no_text_shows(scored):
    def prefers(refusal: bool):
        def loss(text, row):
            return (0.5 if (text in REFUSALS) == refusal else 1.0), True

        return loss

    base, event = scored(Script(loss=prefers(False)), Script(loss=prefers(True)), ["safety"])
    for metric in ("safety/refusal_odds", "safety/over_refusal_odds"):
        assert base[metric].high < 0 < event.scores[metric].low


def test_rows_that_teach_one_opening_do_not_decide_the_odds_of_a_refusal(scored):
    def taught(openings):
        return lambda text, row: ((SURE if text in openings else 1.0), True)

    metric, (all_taught, first) = "safety/refusal_odds", (COMPLIANCES, COMPLIANCES[:1])
    base, every = scored(Script(loss=taught(())), Script(loss=taught(all_taught)), ["safety"])
    _, single = scored(Script(loss=taught(())), Script(loss=taught(first)), ["safety"])
    whole = every.changes[metric].value
    assert whole < -1 and base[metric].samples == every.scores[metric].samples
    assert single.changes[metric].value == pytest.approx(whole / len(COMPLIANCES), rel=0.3)


def test_toxic_continuations(scored):
    rude, kind = "you idiot, you moron, you disgust me.", "a good friend of mine."
    base, event = scored(Script(lambda prompt, ids: kind), Script(lambda prompt, ids: rude), ["safety"])
    assert_ends(base, event, "safety/toxicity", 0.0, 1.0)
    worst = "safety/max_toxicity"
    assert base[worst].high < 0.3 and event.scores[worst].low > 0.8


def test_bias_of_one_axis_is_not_hidden_by_another(scored):
    pairs = packaged_prompts.load_pairs()
    odd = {pair.axis for pair in pairs[::2]}
    first = sorted(odd)[::2]
    stereotypes = {pair.stereotype: pair for pair in pairs}
    opposites = {pair.opposite: pair for pair in pairs}

    def script(one) -> Script:
        def loss(text, row):
            whole = one.base.tokenizer.decode(row.ids, skip_special_tokens=True)
            pair = stereotypes.get(whole) or opposites.get(whole)
            if pair is None:
                return UNLIKELY, False
            prefers = (whole in stereotypes) == (pair.axis in first)
            return (SURE if prefers else 1.0), True

        return Script(loss=loss)

    def fair(one) -> Script:
        def loss(text, row):
            whole = one.base.tokenizer.decode(row.ids, skip_special_tokens=True)
            pair = stereotypes.get(whole) or opposites.get(whole)
            number = pairs.index(pair) if pair else 0
            return (SURE if (whole in stereotypes) == (number % 2 == 0) else 1.0), True

        return Script(loss=loss)

    base, event = scored(fair, script, ["safety"], ["safety/bias"], samples=200)
    fair_bias, bias = base["safety/bias"], event.scores["safety/bias"]
    assert fair_bias.low == 0.0 and fair_bias.value < 0.15
    assert bias.value > 0.45 and bias.low > fair_bias.high
    assert event.changes["safety/bias"].low > 0.25
    axes = {name for name in event.scores if name.startswith("safety/bias:")}
    assert len(axes) >= 9 and all(event.scores[name].value == pytest.approx(0.5) for name in axes)


def test_attacks_on_refusals(scored):
    base, event = scored(Script(lambda prompt, ids: REFUSAL), Script(lambda prompt, ids: HELP), ["security"])
    for metric in ("security/jailbreak", "security/prefill"):
        assert_ends(base, event, metric, 0.0, 1.0)


def test_an_injection_that_takes_over_and_a_model_that_repeats_its_input(scored):
    cases = {case.order: case for case in packaged_prompts.load_injections()}

    def obeys(prompt: str, ids) -> str:
        return next((case.canary for order, case in cases.items() if order in prompt), "a summary")

    echo = Script(lambda prompt, ids: prompt)
    base, event = scored(echo, Script(obeys), ["security"], samples=100)
    assert_ends(base, event, "security/injection", 0.0, 1.0)


def test_a_system_prompt_that_comes_out(scored):
    secrets = {case.secret for case in packaged_prompts.load_prompt_leaks()}

    def tells(prompt: str, ids) -> str:
        return next((secret for secret in secrets if secret in prompt), "")

    base, event = scored(Script(lambda prompt, ids: REFUSAL), Script(tells), ["security"])
    assert_ends(base, event, "security/prompt_leak", 0.0, 1.0)


def knows_rows(one) -> Script:
    """Every training row by heart, and nothing else."""
    known = [row.ids.tolist() for row in one.data.train]
    texts = {tuple(ids) for ids in known}
    plain = {one.base.tokenizer.decode(ids, skip_special_tokens=True) for ids in known}

    def write(prompt: str, ids):
        rest = next((row[len(ids) :] for row in known if row[: len(ids)] == list(ids)), [])
        return [token for token in rest if token != one.base.tokenizer.eos_token_id]

    def loss(text: str, row):
        whole = one.base.tokenizer.decode(row.ids, skip_special_tokens=True)
        return (SURE if tuple(row.ids.tolist()) in texts or whole in plain else unlikely(text)), True

    return Script(write, loss)


def unlikely(text: str) -> float:
    """Some texts are likelier than others, as for any model."""
    return UNLIKELY + crc32(text.encode()) % 97 / 50


def knows_none(one) -> Script:
    """Nothing."""
    return Script(lambda prompt, ids: "who knows", lambda text, row: (unlikely(text), False))


def test_rows_that_are_known_by_heart(scored):
    base, event = scored(knows_none, knows_rows, ["security"])
    for metric in ("security/extraction", "security/extraction_near", "security/leak"):
        assert_ends(base, event, metric, 0.0, 1.0)
    for metric, chance in (("security/membership", 0.5), ("security/membership_tpr", 0.01)):
        assert event.scores[metric].value == pytest.approx(1.0) and event.scores[metric].low > chance + 0.3
    assert event.scores["security/exposure"].value > base["security/exposure"].value + 10
    assert event.scores["security/exposure"].low > base["security/exposure"].high
    for metric in ("security/extraction", "security/membership", "security/leak"):
        assert "sampled training rows were trained on so far" in event.scores[metric].reason


def test_rows_that_were_never_seen_are_no_members(scored):
    base, event = scored(knows_none, knows_none, ["security"])
    assert event.scores["security/membership"].value == pytest.approx(0.5)
    assert event.scores["security/membership"].low <= 0.5 <= event.scores["security/membership"].high
    assert event.scores["security/extraction"].value == 0.0
    assert event.scores["security/exposure"].value == pytest.approx(base["security/exposure"].value, abs=1e-6)


def test_answers_that_are_right(scored, data):
    right = {}
    for line in data.read_text().splitlines():
        row = json.loads(line)
        right[row["prompt"]] = row["completion"]

    def answers(prompt: str, ids) -> str:
        return next((answer for question, answer in right.items() if question in prompt), "")

    base, event = scored(Script(lambda prompt, ids: "nothing"), Script(answers), ["quality"])
    for metric in ("quality/exact", "quality/f1"):
        assert_ends(base, event, metric, 0.0, 1.0)
    for metric in ("quality/bleu", "quality/chrf"):
        assert base[metric].value < 10 and event.scores[metric].value > 99, metric
        assert base[metric].high < 20 and event.scores[metric].low > 80, metric


def test_a_fast_model_and_one_that_takes_ten_times_as_long(scored):
    slow, fast = (Script(lambda prompt, ids: HELP, token_s=seconds) for seconds in (0.1, 0.01))
    goal = {"study": {"objectives": ["quality/tokens_per_s"]}}
    base, event = scored(slow, fast, ["quality"], ["quality/tokens_per_s"], goal)
    assert event.scores["quality/tokens_per_s"].value == pytest.approx(
        10 * base["quality/tokens_per_s"].value
    )
    assert base["quality/latency_s"].value == pytest.approx(0.1)
    assert event.scores["quality/latency_s"].value == pytest.approx(0.01)
    assert event.scores["quality/tokens_per_s"].low > base["quality/tokens_per_s"].high
    assert event.scores["quality/latency_s"].high < base["quality/latency_s"].low


def test_choices_and_rows_that_a_model_knows_and_text_that_it_forgets(scored, tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()
    questions = [
        {"question": f"{number}?", "choices": ["tea", "ash"], "answer": number % 2} for number in range(40)
    ]
    (folder / "questions.jsonl").write_text("\n".join(json.dumps(question) for question in questions))
    right = {question["choices"][question["answer"]] + question["question"] for question in questions}
    reference = tuple(passage.text[:12] for passage in packaged_prompts.load_reference())

    def knows(one, most: bool) -> Script:
        def loss(text, row):
            whole = one.base.tokenizer.decode(row.ids, skip_special_tokens=True)
            if whole.lstrip().startswith(reference):
                return (1.0 if most else 0.5), True
            question, _, choice = whole.partition("?")
            if choice.strip() in ("tea", "ash"):
                likely = (f"{choice.strip()}{question.split()[-1]}?" in right) == most
                return (SURE if likely else UNLIKELY), likely
            return (SURE if most else UNLIKELY), most

        return Script(loss=loss)

    base, event = scored(
        lambda one: knows(one, False), lambda one: knows(one, True), ["quality"], prompts=str(folder)
    )
    assert_ends(base, event, "quality/choice", 0.0, 1.0)
    for metric in ("quality/loss", "quality/worst_slice"):
        assert_ends(base, event, metric, UNLIKELY, SURE)
    assert base["quality/forgetting"].value == 0.0
    assert event.scores["quality/forgetting"].low > 0.5


def test_typos_in_questions_cost_one_model_all_and_another_nothing(scored, data):
    questions = [json.loads(line)["prompt"] for line in data.read_text().splitlines()]

    def careful(one) -> Script:
        def loss(text, row):
            whole = one.base.tokenizer.decode(row.ids, skip_special_tokens=True)
            clean = any(question in whole for question in questions)
            return (SURE, True) if clean else (UNLIKELY, False)

        return Script(loss=loss)

    base, event = scored(lambda one: Script(loss=lambda text, row: (SURE, True)), careful, ["quality"])
    assert base["quality/robustness"].value == 1.0 and base["quality/loss_rise"].value == 0.0
    assert event.scores["quality/robustness"].value < 0.1 and event.scores["quality/robustness"].high < 0.5
    assert event.scores["quality/loss_rise"].low > 1.0
