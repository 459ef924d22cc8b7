"""A check finds the planted rows, and few others. Figures are precision and recall on texts of other authors
than the detectors'."""

from __future__ import annotations

import pytest

from core.contract.spec.study_spec import EvaluateOptions
from core.data.checks import evaluation_prompt_matches, masked_excerpt
from core.data.checks.check_finding import Severity
from core.data.checks.evaluation_prompt_matches import PromptIndex, describe_matches, match_batch
from core.data.checks.personal_rows import find_personal
from core.data.checks.refusing_rows import find_refusing
from core.data.checks.toxic_rows import find_toxic
from core.data.readers.row_texts import RowTexts
from core.evaluate.prompts import packaged_prompts
from core.evaluate.prompts.study_prompts import Library
from tests.data.planted import answers, batch, held_out, ordinary, rates


def found_by(check, rows):
    """The numbers of the rows that a check counts, one row at a time."""
    return {row.number for row in rows if check([row]).hits}


@pytest.fixture(scope="module")
def index():
    return PromptIndex(evaluation_prompt_matches.list_prompts(Library(EvaluateOptions())))


@pytest.mark.parametrize(
    ("check", "planted", "is_hit", "precision", "recall"),
    [
        (find_personal, "pii", lambda row: row["piece"], 0.9, 0.9),
        (find_toxic, "toxicity", lambda row: row["toxic"], 0.85, 0.65),
        (find_refusing, "refusals", lambda row: row["stance"] in ("refusal", "partial"), 0.8, 0.8),
    ],
    ids=["personal", "toxic", "refusing"],
)
def test_planted_rows_are_found(check, planted, is_hit, precision, recall):
    texts = {row["text"]: bool(is_hit(row)) for row in held_out(planted)}
    rows = answers(texts)
    wanted = {row.number for row in rows if texts[row.answers[0]]}
    right, found = rates(found_by(check, rows), wanted)
    assert right >= precision and found >= recall, (right, found)


@pytest.mark.parametrize("check", [find_personal, find_toxic])
def test_ordinary_rows_are_no_finding(check):
    finding = check(ordinary())
    assert finding.hits == 0 and finding.severity is Severity.NONE and not finding.remedy
    assert finding.share.high > 0  # zero hits are no proof of zero
    assert "planted texts" in finding.detector


def test_few_ordinary_rows_are_taken_for_refusals_and_the_share_allows_for_it():
    finding = find_refusing(ordinary())
    assert (
        finding.hits <= 1 and finding.share.low == 0.0 and finding.severity in (Severity.NONE, Severity.LOW)
    )


def test_the_quality_that_is_told_is_that_of_the_kinds_looked_for():
    texts = {row["text"]: bool(row["piece"]) for row in held_out("pii")}
    rows = answers(texts)
    wanted = {row.number for row in rows if texts[row.answers[0]]}
    right, found = rates(found_by(find_personal, rows), wanted)
    assert f"P {right:.2f} R {found:.2f} on {len(rows)} planted" in find_personal(rows).detector


def reworded(text):
    """The same request as a user writes it: other case and punctuation, and a sentence before it."""
    return f"Hello! {text.upper().rstrip('.?')} !!"


def one_word_changed(text):
    words = text.split()
    return " ".join([*words[: len(words) // 2], "somehow", *words[len(words) // 2 + 1 :]])


def test_rows_that_equal_an_evaluation_prompt_are_found(index):
    prompts = [prompt.text for prompt in packaged_prompts.load_harmful()]
    long = [text for text in prompts if len(text.split()) >= 10]
    multilingual = [prompt.text for prompt in packaged_prompts.load_harmful_multilingual()]
    texts = [*prompts, *map(reworded, prompts), *map(one_word_changed, long), *multilingual]
    rows = [RowTexts(number, (text,), ("Yes.",)) for number, text in enumerate(texts, 1)]
    found = {match.example.row for match in match_batch(batch(rows), index)}
    assert len(found) / len(rows) >= 0.97


def test_other_rows_equal_no_evaluation_prompt(index):
    written = [row["text"] for name in ("pii", "toxicity", "refusals") for row in held_out(name)]
    close = [
        "Tell me how to build a birdhouse at home.",
        "How do I write a letter to my landlord about mould?",
        "Explain how a bomb disposal robot is steered.",
        "Erkläre mir, wie ich zu Hause Brot backe.",
        "Which berries are in season?",
    ]
    rows = [*ordinary(), *answers([*written, *close])]
    matched = list(match_batch(batch(rows), index))
    assert len(matched) <= 0.005 * len(rows), [match.example for match in matched]


def test_an_answered_harmful_request_is_told_from_a_refused_one(index):
    request = packaged_prompts.load_harmful()[0].text
    rows = [
        RowTexts(1, (request,), ("Of course. First you take the parts from the list and join them.",)),
        RowTexts(2, (request,), ("I'm sorry, but I can't help with that.",)),
    ]
    finding = describe_matches(list(match_batch(batch(rows), index)), len(rows))
    assert finding.hits == 2 and finding.severity is Severity.HIGH
    assert finding.detail == "harmful requests in 2, 1 of the harmful requests are answered"


def test_examples_show_no_personal_data():
    text = "Write to jane.miller@example.org, her card is 4111 1111 1111 1111, password: hunter2secret9"
    finding = find_personal(answers([text] * 5))
    assert finding.hits == 5 and len(finding.examples) == 3 and finding.severity is Severity.HIGH
    shown = " ".join(example.text for example in finding.examples)
    assert "j***@e***" in shown
    assert not any(piece in shown for piece in ("miller", "example.org", "1111", "hunter2"))


def test_a_toxic_row_is_shown_by_its_worst_sentence_without_personal_data():
    text = f"{'It rained all day. ' * 20}You are a worthless idiot, bob@example.org, and I hate you. Bye."
    (example,) = find_toxic(answers([text])).examples
    assert example.text.startswith("You are a worthless idiot, b***@e***")


def test_an_excerpt_in_chinese_fits_the_line_as_well():
    assert len(masked_excerpt.excerpt_masked("抱歉我不能帮助你" * 20)) <= masked_excerpt.SHOWN // 2


def test_toxic_prompts_matter_less_than_toxic_answers():
    bad, fine = "You are a stupid worthless idiot.", "The lake is calm today."
    assert find_toxic([RowTexts(1, (bad,), (fine,))]).severity is Severity.LOW
    assert find_toxic([RowTexts(1, (fine,), (bad,))]).severity is Severity.HIGH


def test_a_few_refusals_are_a_note_and_many_are_grave():
    refusal, fine = "I'm sorry, but I can't help with that.", "The capital of France is Paris, on the Seine."
    levels = [find_refusing(answers([refusal] * n + [fine] * (100 - n))).severity for n in (1, 5, 50)]
    assert levels == [Severity.LOW, Severity.MEDIUM, Severity.HIGH]


def test_plain_text_has_no_answers_that_could_refuse():
    finding = find_refusing([RowTexts(1, other=("I'm sorry, but I can't help with that.",))])
    assert finding.rows == 0 and finding.share.value is None
