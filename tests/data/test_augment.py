"""Paraphrases replace the prompt and nothing else, and only those that say something new are kept."""

from __future__ import annotations

import json

import pytest

from core.contract.spec import spec_file
from core.contract.spec.study_spec import DataOptions
from core.data.augment import augment_plan, augmented_writer
from core.data.augment import paraphrase_checks as checks
from core.data.augment.augmented_writer import COPY, KEPT, OTHERS, Paraphrase
from core.data.augment.prompt_place import find_prompt
from core.data.readers.row_values import UnusableRow
from core.data.readers.shaped_rows import ShapedRows
from core.data.readers.source_files import find_sources
from core.errors import SpecError

ASKED, ANSWERED = {"role": "user", "content": "q one"}, {"role": "assistant", "content": "a"}
EARLIER = [{"role": "user", "content": "q one"}, {"role": "assistant", "content": "b"}]
PARTS = [{"type": "text", "text": "q one"}]
LONG = "how do I find the files of a folder and all of its sub folders by their names in a shell"


def put(raw: dict) -> dict:
    """The row with another prompt."""
    shape = ShapedRows([raw], DataOptions(), "data.source = 'a'").shape
    return find_prompt(raw, shape).put(raw, "NEW")


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ({"prompt": "q one", "completion": "a", "id": 7}, {"prompt": "NEW"}),
        ({"instruction": "q one", "input": "data", "output": "a"}, {"instruction": "NEW"}),
        ({"messages": [ASKED, ANSWERED]}, {"messages": [ASKED | {"content": "NEW"}, ANSWERED]}),
        ({"messages": [*EARLIER, ASKED, ANSWERED]},
         {"messages": [*EARLIER, ASKED | {"content": "NEW"}, ANSWERED]}),
        ({"messages": [ASKED, ANSWERED, *EARLIER[:1], ANSWERED | {"weight": 0}]},
         {"messages": [ASKED | {"content": "NEW"}, ANSWERED, *EARLIER[:1], ANSWERED | {"weight": 0}]}),
        ({"messages": [ASKED | {"content": PARTS}, ANSWERED]},
         {"messages": [ASKED | {"content": [{"type": "text", "text": "NEW"}]}, ANSWERED]}),
        ({"messages": json.dumps([ASKED, ANSWERED])},
         {"messages": json.dumps([ASKED | {"content": "NEW"}, ANSWERED])}),
        ({"conversations": [{"from": "human", "value": "q one"}, {"from": "gpt", "value": "q one"}]},
         {"conversations": [{"from": "human", "value": "NEW"}, {"from": "gpt", "value": "q one"}]}),
        ({"prompt": [ASKED], "chosen": [ANSWERED], "rejected": [ANSWERED | {"content": "c"}]},
         {"prompt": [ASKED | {"content": "NEW"}]}),
        ({"text": "q one", "label": "good"}, {"text": "NEW"}),
    ],
)  # fmt: skip
def test_the_prompt_of_every_shape_of_rows_is_replaced_and_nothing_else(raw, wanted):
    assert put(raw) == raw | wanted


@pytest.mark.parametrize("raw", [{"text": "q one"}, {"messages": [ANSWERED]}])
def test_a_row_that_asks_nothing_is_refused(raw):
    with pytest.raises(UnusableRow):
        put(raw)


@pytest.mark.parametrize(
    ("text", "answer", "fault"),
    [
        ("  ", "a", checks.EMPTY),
        ("what IS the sum of 3 and 14", "a", checks.SAME),
        ("add 3 to 41", "a", checks.NUMBERS),
        ("3 and 14 make eighteen", "seventeen", checks.STATEMENT),
        ("do 3 and 14 make seventeen?", "seventeen", checks.ANSWERS),
        ("can you add 3 and 14 so that you get the sum?", "you get the sum of both", checks.ANSWERS),
        ("can you add up 3 and 14, please?", "seventeen", ""),
    ],
)
def test_a_paraphrase_that_changes_or_answers_what_is_asked_is_dropped(text, answer, fault):
    assert checks.find_fault(text, "What is the sum of 3 and 14?", answer) == fault


def test_what_models_put_around_a_paraphrase_is_removed():
    assert checks.tidy('Sure, here is the rewritten request: "Add up, please."', "x") == "Add up, please."
    assert checks.tidy("Request: add up", "x") == "add up" and checks.tidy("Add: 3", "x") == "Add: 3"


@pytest.fixture
def planned(tmp_path):
    """A study of rows, planned; ``sections`` overlay its sections."""

    def make(lines, **data):
        source = tmp_path / "rows.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in lines))
        raw = {"study": {"name": "s"}, "model": {"base": "a/b"}, "data": {"source": str(source), **data}}
        spec = spec_file.parse(raw)
        return augment_plan.make_plan(spec, find_sources(spec.data)[0], lambda text: None)

    return make


ROWS = [{"prompt": f"{name} please", "completion": f"x{at}"} for at, name in enumerate("abcdefgh")]


def tried(row, text, verdict=KEPT):
    return Paraphrase(row, {1: LONG, 2: "list it"}.get(row, ""), text, verdict)


def test_a_paraphrase_is_kept_only_if_the_duplicate_check_calls_it_different(planned):
    rows = [{"prompt": LONG, "completion": "find"}, {"prompt": "list it", "completion": "ls"}, *ROWS]
    near, other = LONG.replace("shell", "window"), "which command lists whatever lies below a directory"
    paraphrases = [
        tried(1, near), tried(1, other), tried(1, f"{other} now"), tried(1, "List, it!"),
        tried(2, "show it"), tried(2, "never", "the answer is less likely"), tried(2, "now list it"),
        tried(2, "enumerate what is there"),
    ]  # fmt: skip
    augmented_writer.drop_copies(planned(rows), paraphrases)
    assert [each.verdict for each in paraphrases] == [
        COPY, KEPT, COPY, OTHERS, KEPT, "the answer is less likely", COPY, KEPT,
    ]  # fmt: skip


def test_rows_are_written_with_their_paraphrases_in_one_group_and_the_study_splits_them_together(
    planned, tmp_path
):
    made, out = planned(ROWS, validation=0.25), tmp_path / "out"
    at = made.train[0]
    rows = augmented_writer.write(
        made, None, [tried(at + 1, "new one"), tried(at + 1, "bad", "no")], out, "x"
    )
    train, held = (
        [json.loads(line) for line in (out / name).read_text().splitlines()]
        for name in ("train.jsonl", "validation.jsonl")
    )
    assert rows == {"train.jsonl": 7, "validation.jsonl": 2} and (len(train), len(held)) == (7, 2)
    assert train[1] == train[0] | {"prompt": "new one"} and train[0]["group"] == f"row-{at + 1}"
    assert [row | {"group": ""} for row in held] == [ROWS[at] | {"group": ""} for at in made.held]
    report = [json.loads(line) for line in (out / "paraphrases.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in report] == ["kept", "no"]
    again = planned(train, validation=0.5)  # however they are split later
    assert (0 in again.train) is (1 in again.train) and (0 in again.held) is (1 in again.held)


def test_groups_of_the_source_are_kept_and_a_row_limit_is_that_of_the_study(planned):
    made = planned([row | {"group": "ab"[at % 2]} for at, row in enumerate(ROWS)], validation=0.5, rows=2)
    assert len(made.train) == 2 and {made.group_of(at) for at in made.train} <= {"a", "b"}
    assert len({made.group_of(at) for at in made.held}) == 1
    assert made.choose(1, 0) == made.choose(1, 0) and len(made.choose(9, 0)) == 2


def test_rows_without_an_answer_are_not_paraphrased_and_nothing_is_planned_without_rows(planned):
    silent = [row | {"completion": ""} for row in ROWS]
    made = planned([*ROWS, *silent], validation=0.25)
    assert made.choose(None, 0) == [at for at in made.train if at < len(ROWS)]
    with pytest.raises(SpecError, match="no row has both a prompt and an answer"):
        planned(silent)
    with pytest.raises(SpecError, match="no rows are left to train on: the source has 1"):
        planned(ROWS[:1])


def test_plain_text_is_refused_in_clear_words(planned):
    with pytest.raises(SpecError, match="plain text: there is no prompt to paraphrase"):
        planned([{"text": "some words"}] * 4)
