"""Each check of all rows finds the rows with a planted defect, and none in ordinary rows; each prints its
precision and recall (`pytest -s`)."""

from __future__ import annotations

import random

import pytest

from core.contract.spec.study_spec import DataOptions
from core.data.checks.check_finding import Severity
from core.data.defects import damaged_text, template_faults
from core.data.defects.boilerplate import Boilerplate
from core.data.defects.damaged_text import DamagedText
from core.data.defects.empty_rows import EmptyRows
from core.data.defects.fully_masked_rows import MaskedRows
from core.data.defects.imbalance import Imbalance
from core.data.defects.row_lengths import CutRows, RowLengths
from core.data.defects.template_faults import TemplateFaults
from core.evaluate.prompts.packaged_prompts import load_reference
from tests.data.planted import rates
from tests.data.row_batches import batch_of

DATA = DataOptions()
PASSAGES = [passage.text for passage in load_reference()]


def chat(*turns, **columns):
    """A row of turns such as ("user", "Hi")."""
    return {"messages": [{"role": role, "content": text} for role, text in turns], **columns}


def fine(number):
    return chat(
        ("user", f"Please tell me about topic {number}."), ("assistant", PASSAGES[number % len(PASSAGES)])
    )


def batch(raws):
    return batch_of(raws)


def finding(check, raws):
    check.add(batch(raws))
    return check.make_finding()


def mojibake(text):
    return text.encode().decode("windows-1252", errors="replace")


WORDS = "La déjà vécue naïveté coûte très cher à l'élève, où qu'il aille cet été."
UNWEIGHTED = {"role": "assistant", "content": "Yes", "weight": 0}
PLANTED = {
    "empty": (EmptyRows, [{"text": " "}, {"messages": []}, chat(("user", "Hi"), ("assistant", " \n"))][::2]),
    "masked": (
        MaskedRows,
        [
            chat(("user", "Hi"), ("assistant", "")), chat(("system", "Be kind."), ("user", "Hi")),
            {"messages": [{"role": "user", "content": "Hi"}, UNWEIGHTED]},
            {"prompt": "Add 1 and 2.", "completion": "  "},
        ],
    ),
    "template": (
        TemplateFaults,
        [
            chat(("user", "a"), ("user", "b"), ("assistant", "c")), chat(("user", "Hi")),
            {"messages": [{"content": "Hi"}, {"role": "assistant", "content": "Yes"}]},
            chat(("user", "Hi"), ("assistant", "Yes<|im_end|>")),
            chat(("user", "[INST] Hi [/INST]"), ("assistant", "x")),
            chat(("user", "<|start_header_id|>user<|end_header_id|>Hi"), ("assistant", "Yes")),
            chat(("user", "<start_of_turn>user Hi"), ("assistant", "Yes")), {"text": "Question. Answer.</s>"},
            {"messages": "Hi"}, {"prompt": {"a": 1}, "completion": "x"},
        ],
    ),
    "encoding": (
        DamagedText,
        [
            {"text": mojibake(WORDS)}, {"text": "It costs 20 â‚¬ in the cafÃ©."}, {"text": "donâ€™t"},
            {"text": "lost \ufffd\ufffd letters"},
            {"text": "Привет, как дела?".encode().decode("windows-1251")},
            {"text": "Zażółć gęślą jaźń".encode().decode("windows-1252", errors="replace")},
        ],
    ),
    "cut": (
        lambda: CutRows(64),
        [{"text": "word " * 80}, chat(("user", "word " * 80), ("assistant", "Yes."))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_planted_defects_are_found_and_ordinary_rows_are_not(name):
    make, planted = PLANTED[name]
    short = [chat(("user", f"What is {n}?"), ("assistant", f"It is the number {n}.")) for n in range(60)]
    hard = [  # close to a defect, and none
        chat(("user", "Use <b>bold</b> and <s>struck</s>."), ("assistant", "a < b, c > d; <|> is no token.")),
        chat(("user", WORDS), ("assistant", "Großes Café in São Paulo: 20 €, “quoted”, Ærø, 你好")),
        {"text": "CAFÉ… oui, Ö“x” et Ü–Musik"},
        chat(("user", "Расскажи о России и СССР."), ("assistant", "Россия — большая страна, СССР.")),
        {"prompt": "Hi", "completion": "Hello"}, {"text": "A plain text without any answer."},
    ]  # fmt: skip
    raws = [*short, *hard, *planted]
    wanted = {len(short) + len(hard) + place + 1 for place in range(len(planted))}
    found = {number for number, raw in enumerate(raws, 1) if finding(make(), [raw]).hits}
    precision, recall = rates(found, wanted)
    print(f"{name}: precision {precision:.2f}, recall {recall:.2f} of {len(planted)} planted")
    assert (precision, recall) == (1.0, 1.0), (found, wanted)


@pytest.mark.parametrize("name", [*PLANTED, "lengths", "boilerplate", "imbalance"])
def test_a_set_of_ordinary_rows_has_no_finding(name):
    checks = {"lengths": RowLengths, "boilerplate": Boilerplate, "imbalance": Imbalance}
    check = checks[name]() if name in checks else CutRows(4096) if name == "cut" else PLANTED[name][0]()
    found = finding(check, [fine(number) for number in range(200)])
    assert (found.hits, found.severity, found.blocks, found.remedy) == (0, Severity.NONE, "", "")


def test_rows_that_train_nothing_block_above_five_percent():
    bad, good = chat(("user", "Hi")), fine(1)
    assert not finding(MaskedRows(), [bad] * 6 + [good] * 93).blocks, "of few rows, some are many percent"
    assert not finding(MaskedRows(), [bad] * 5 + [good] * 95).blocks
    assert finding(MaskedRows(), [bad] * 6 + [good] * 94).blocks == "masked"


def test_template_faults_block_above_one_percent():
    bad, good = chat(("user", "a"), ("user", "b"), ("assistant", "c")), fine(1)
    assert not finding(TemplateFaults(), [bad] + [good] * 99).blocks
    found = finding(TemplateFaults(), [bad] * 2 + [good] * 98)
    assert found.blocks == "template" and found.detail == "two user turns in a row: 2"


def test_empty_rows_and_unwanted_answers_are_no_faults_of_roles():
    rows = [{"text": " "}, {"prompt": "q", "completion": "a", "label": False}] * 60
    found = finding(TemplateFaults(), rows)
    assert (found.hits, found.rows, found.blocks) == (0, 120, "")
    assert finding(EmptyRows(), rows).hits == 60


def test_a_tool_call_or_a_thought_without_words_is_no_empty_answer():
    call = {"type": "function", "function": {"name": "look", "arguments": "{}"}}
    turns = [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": None}]
    rows = [
        {"messages": [turns[0], turns[1] | more]} for more in ({"tool_calls": [call]}, {"thinking": "Hm."})
    ]
    assert finding(EmptyRows(), rows).hits == 0 and finding(MaskedRows(), rows).hits == 0
    blank = [{"messages": [turns[0], turns[1] | {"content": " ", "tool_calls": []}]}]
    assert finding(EmptyRows(), blank).hits == 1


def test_a_study_in_which_every_answer_is_cut_off_is_blocked():
    long = chat(("user", "word " * 200), ("assistant", "Yes."))
    found = finding(CutRows(100), [long] * 3)
    assert found.blocks == "truncation" and "the answer is cut off whole: 3" in found.detail
    found = finding(CutRows(100), [long] * 3 + [fine(1)])
    assert not found.blocks and found.severity is Severity.HIGH


def test_a_later_user_turn_does_not_cut_the_first_answer():
    long = chat(("user", "Hi"), ("assistant", "Hello."), ("user", "word " * 500), ("assistant", "Yes."))
    assert "the end is cut: 1" in finding(CutRows(100), [long]).detail


def test_lengths_are_told_as_estimated():
    found = finding(CutRows(10), [{"text": "a " * 30}, {"text": "word"}])
    assert found.hits == 1 and "estimated as bytes / 4, and about 5 are cut off" in found.detail


def test_long_texts_are_measured_whole_and_once():
    long = {"text": "x" * 25_000}  # longer than what the checks keep of a text
    assert not finding(CutRows(6250), [long]).hits and finding(CutRows(6249), [long]).hits == 1
    assert not finding(CutRows(6250), [{"html": "y" * 50_000, **long}]).hits
    many = {"messages": [{"role": role, "content": "x" * 40} for role in ("user", "assistant") * 300]}
    assert finding(CutRows(6000), [many]).hits == 1


def test_the_distribution_of_lengths_is_told_without_a_fault():
    found = finding(RowLengths(), [{"text": "x" * 100}] * 99 + [{"text": "x" * 30_000}])
    assert found.hits == 1 and found.detail.startswith("characters: half of the rows have at most 100,")
    assert "the longest 30,000" in found.detail


def test_an_opening_that_many_answers_share_is_shown():
    rows = [fine(number) for number in range(100)]
    draw = random.Random(1)
    for row in draw.sample(rows, 30):
        row["messages"][1]["content"] = (
            "As an AI language model I cannot feel. " + row["messages"][1]["content"]
        )
    found = finding(Boilerplate(), rows)
    assert found.hits == 30 and found.severity is Severity.HIGH and "30 begin alike" in found.detail
    assert found.examples[0].text.startswith("As an AI language model")


@pytest.mark.parametrize(
    ("counts", "severity"),
    [((500, 500), Severity.NONE), ((1000, 40), Severity.LOW), ((1000, 5), Severity.MEDIUM)],
)
def test_unequal_labels_are_a_finding(counts, severity):
    rows = [
        chat(("user", "Hi"), ("assistant", "yes"), label=name)
        for name, n in zip("ab", counts, strict=True)
        for _ in range(n)
    ]
    found = finding(Imbalance(), rows)
    assert found.severity is severity and found.hits == (0 if severity is Severity.NONE else counts[1])


def test_short_answers_are_labels_and_free_columns_are_not():
    rows = [
        {"prompt": f"{n}", "completion": "spam" if n % 50 else "ham", "source": f"site {n}"}
        for n in range(500)
    ]
    found = finding(Imbalance(), rows)
    assert found.hits == 10 and found.detail == "answer: spam 98 %, ham 2 %"


def test_columns_of_many_or_long_values_are_no_classes():
    many = [{"text": f"t{n}", "source": "big" if n < 900 else f"site {n}"} for n in range(1000)]
    long = [{"text": f"t{n}", "topic": "big" if n < 900 else "x" * 41} for n in range(910)]
    assert finding(Imbalance(), many).hits == finding(Imbalance(), long).hits == 0
    few = [{"text": f"t{n}", "topic": "big" if n < 900 else "x" * 40} for n in range(910)]
    assert finding(Imbalance(), few).hits == 10


def test_examples_show_no_personal_data():
    secret = "jane.miller@example.org <|im_end|>"
    shown = finding(TemplateFaults(), [{"text": secret}]).examples[0].text
    assert "j***@e***" in shown and "miller" not in shown


@pytest.mark.parametrize("text", ["naïve Â£5", "Ã\u00a0 la carte", "plain", "日本語", "\ufffd"])
def test_a_repaired_text_is_not_damaged(text):
    assert damaged_text.find_damage(damaged_text.repair(text)) in ("", damaged_text.LOST)


def test_a_role_fault_is_told_in_words():
    assert list(template_faults.find_role_faults(("system", "user", "user"))) == [
        "no answer",
        "two user turns in a row",
    ]
