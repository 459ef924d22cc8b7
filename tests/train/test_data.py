"""Rows: read in every form, prompts masked, every fault told with its place."""

import gzip
import json
import math
import subprocess
import sys

import pytest
from transformers import AutoTokenizer

from core.errors import TrimtabError
from core.train.data import row_loader, stdlib_pairs
from core.train.data.dataset import MASKED, collate, cut, load_data
from core.train.progress_callback import report_nothing


@pytest.fixture
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def learnt(tokenizer, row) -> str:
    return tokenizer.decode([label for label in row.labels if label != MASKED])


def rows_file(path, rows: list[dict]):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_only_the_completion_is_learnt(study, tokenizer, tmp_path):
    rows = [{"prompt": "join the path", "completion": "open it"}] * 4
    spec = study(data={"source": rows_file(tmp_path / "a.jsonl", rows), "validation": 0.5})
    row = load_data(spec, tokenizer, report_nothing).train[0]
    assert learnt(tokenizer, row) == "open it<|im_end|>\n"
    assert tokenizer.decode(row.ids).startswith("<|im_start|>user\njoin the path<|im_end|>")


def test_every_assistant_turn_of_a_chat_is_learnt_and_nothing_else(study, tokenizer, tmp_path):
    turns = [("system", "be kind"), ("user", "read"), ("assistant", "one")]
    turns += [("user", "write"), ("assistant", "two")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns]}] * 4
    data = {"source": rows_file(tmp_path / "a.jsonl", rows), "validation": 0.5}
    spec = study(data=data, train={"sequence_length": 200})
    row = load_data(spec, tokenizer, report_nothing).train[0]
    assert learnt(tokenizer, row) == "one<|im_end|>\ntwo<|im_end|>\n"
    assert tokenizer.decode(row.ids) == tokenizer.apply_chat_template(rows[0]["messages"], tokenize=False)


def test_plain_text_is_learnt_whole_and_ended(study, tokenizer, tmp_path):
    place = rows_file(tmp_path / "a.jsonl", [{"text": "find the file"}] * 4)
    spec = study(data={"source": place, "validation": 0.5})
    row = load_data(spec, tokenizer, report_nothing).train[0]
    assert learnt(tokenizer, row) == "find the file<|im_end|>"
    assert row.ids.tolist() == row.labels.tolist()


def test_control_tokens_in_plain_text_are_trained_on_and_told(study, tokenizer, tmp_path):
    said = "<|im_start|>user\nopen<|im_end|>"  # as somebody renders chats himself
    rows = [{"text": said}] * 2 + [{"text": "find the file"}] * 2
    spec = study(data={"source": rows_file(tmp_path / "a.jsonl", rows), "validation": 0.5})
    notes = " ".join(load_data(spec, tokenizer, report_nothing).notes)
    assert (
        "rows the text contains control tokens such as '<|im_" in notes
        and "are tokenized as control tokens" in notes
    )


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_every_file_format_gives_the_same_rows(study, tmp_path, kind):
    import pandas

    rows = [{"prompt": f"read {number}", "completion": f"list {number}"} for number in range(6)]
    path, table = tmp_path / f"a.{kind}", pandas.DataFrame(rows)
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=kind == "jsonl")
    train, held = row_loader.load(study(data={"source": str(path), "validation": 0.5}), report_nothing)
    assert sorted(row["prompt"] for row in [*train, *held]) == [row["prompt"] for row in rows]
    assert len(held) == 3


def test_validation_may_be_a_file_of_its_own(study, tmp_path):
    train = rows_file(tmp_path / "a.jsonl", [{"text": "a"}] * 3)
    held = rows_file(tmp_path / "b.jsonl", [{"text": "b"}] * 2)
    found = row_loader.load(study(data={"source": train, "validation": held}), report_nothing)
    assert [len(part) for part in found] == [3, 2]


def test_the_split_is_the_same_every_time(study):
    assert row_loader.load(study(), report_nothing) == row_loader.load(study(), report_nothing)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.jsonl", None, "the file does not exist"),
        ("empty.jsonl", "", "the file is empty"),
        ("bad.jsonl", "{not json\n", "the data cannot be read"),
        ("one.jsonl", '{"text": "a"}\n', "no rows are left to train on"),
        (
            "other.jsonl",
            '{"question": "a"}\n' * 9,
            "the rows cannot be read; their columns are: question\n  → perhaps: text_key = 'question'",
        ),
    ],
)
def test_data_that_cannot_be_used_is_explained(study, tokenizer, tmp_path, name, content, told):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(TrimtabError, match=told) as caught:
        load_data(study(data={"source": str(path)}), tokenizer, report_nothing)
    assert name in str(caught.value)


def test_rows_that_are_no_chats_are_left_out_and_counted(study, tokenizer, tmp_path):
    good = {"messages": [{"role": "user", "content": "read"}, {"role": "assistant", "content": "one"}]}
    silence = {"messages": [{"role": "user", "content": "read"}]}
    rows = [good] * 6 + [{"messages": []}, silence]
    held = rows_file(tmp_path / "b.jsonl", [good])
    spec = study(data={"source": rows_file(tmp_path / "a.jsonl", rows), "validation": held})
    data = load_data(spec, tokenizer, report_nothing)
    assert len(data.train) == 6
    why = "1: messages is not a list of turns; 1: no turn has the role assistant"
    assert data.notes[0] == f"2 of 8 training rows are skipped ({why})"


def test_a_template_that_refuses_every_row_is_quoted(study, tokenizer, tmp_path):
    tokenizer.chat_template = "{{ raise_exception('no system role here') }}"
    place = rows_file(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b"}] * 4)
    with pytest.raises(TrimtabError, match="the chat template rejects it: no system role here"):
        load_data(study(data={"source": place}), tokenizer, report_nothing)


REWRITES = (  # as Qwen3 does: the last answer carries what earlier ones do not
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if loop.last and m.role == 'assistant' %}<think></think>{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_template_that_rewrites_earlier_turns_is_searched(study, tokenizer, tmp_path):
    tokenizer.chat_template = REWRITES
    turns = [("user", "say one"), ("assistant", "one"), ("user", "two"), ("assistant", "two")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns]}] * 4
    data = {"source": rows_file(tmp_path / "a.jsonl", rows), "validation": 0.5}
    row = load_data(study(data=data, train={"sequence_length": 200}), tokenizer, report_nothing).train[0]
    assert learnt(tokenizer, row) == "one<|im_end|><think></think>two<|im_end|>\n"


def test_an_assistant_that_speaks_first_is_learnt_without_its_header(study, tokenizer, tmp_path):
    turns = [("assistant", "hello"), ("user", "read"), ("assistant", "one")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns]}] * 4
    data = {"source": rows_file(tmp_path / "a.jsonl", rows), "validation": 0.5}
    row = load_data(study(data=data, train={"sequence_length": 200}), tokenizer, report_nothing).train[0]
    assert learnt(tokenizer, row) == "hello<|im_end|>one<|im_end|>\n"


def test_a_single_file_has_no_splits(study):
    with pytest.raises(TrimtabError, match="a single file has no splits") as caught:
        row_loader.load(study(data={"validation": "test"}), report_nothing)
    assert "data.validation = 'test'" in str(caught.value)


def test_validation_rows_of_another_kind_are_refused(study, tokenizer, tmp_path):
    held = rows_file(tmp_path / "b.jsonl", [{"text": "b"}] * 2)
    with pytest.raises(TrimtabError, match="read as 'text', the training rows as 'inst") as caught:
        load_data(study(data={"validation": held}), tokenizer, report_nothing)
    assert "data.validation" in str(caught.value)


def test_packed_files_are_read_and_unknown_kinds_are_not_taken_for_text(study, tmp_path):
    packed, sheet = tmp_path / "a.jsonl.gz", tmp_path / "a.xlsx"
    packed.write_bytes(gzip.compress(b'{"text": "a"}\n' * 4))
    sheet.write_bytes(b"PK..")
    train, held = row_loader.load(study(data={"source": str(packed), "validation": 0.5}), report_nothing)
    assert [*train, *held] == [{"text": "a"}] * 4
    with pytest.raises(TrimtabError, match="this file type is not supported"):
        row_loader.load(study(data={"source": str(sheet)}), report_nothing)


def test_cutting_and_padding_keep_the_shape(tokenizer):
    from core.train.data.dataset import Row

    rows = [Row([5, 6, 7], [MASKED, 6, 7]), cut(Row([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]), 4)]
    batch = collate(rows, 0, "cpu")
    assert batch["input_ids"].tolist() == [[5, 6, 7, 0], [1, 2, 3, 4]]
    assert batch["labels"].tolist() == [[MASKED, 6, 7, MASKED], [1, 2, 3, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_the_demo_has_thousands_of_pairs_and_judges_on_other_modules(study):
    spec = study(data={"source": "demo:stdlib", "validation": 0.1})
    train, held = row_loader.load(spec, report_nothing)
    assert len(train) + len(held) >= 3000
    assert held and not {row["group"] for row in train} & {row["group"] for row in held}
    rows = {row["prompt"]: row["completion"] for row in [*train, *held]}
    assert "pathname components" in rows["What does `os.path.join` do in Python?"]


def test_the_demo_is_read_once_and_again_where_what_was_kept_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path))
    first = stdlib_pairs.load_pairs(report_nothing)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    monkeypatch.setattr(stdlib_pairs, "find_pairs", lambda progress: [{"read": "again"}])
    assert stdlib_pairs.load_pairs(report_nothing) == first
    for damage in (whole[:100], b"", b"[1, 2]"):
        kept.write_bytes(damage)
        assert stdlib_pairs.load_pairs(report_nothing) == [{"read": "again"}]


def test_the_demo_is_the_same_in_every_process():
    code = (
        "import hashlib; from core.train.data.stdlib_pairs import find_pairs; "
        "found = find_pairs(lambda *a: None); "
        "print(hashlib.sha256(repr(found).encode()).hexdigest()); "
        "print(len(found) == len({row['prompt'] for row in found}))"
    )
    command = [sys.executable, "-c", code]
    found = {subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    (told,) = found
    assert told.endswith("\nTrue\n"), "each prompt once"


def test_planting_many_canaries_says_how_far_it_is_and_what_the_most_of_their_exposure_is(study, tokenizer):
    told = []
    found = load_data(study(evaluate={"canaries": 600}), tokenizer, lambda *one: told.append(one))
    assert [one for one in told if "canaries" in one[0]] == [
        ("planting canaries", at, 600, "rows") for at in (0, 256, 512)
    ]
    (note,) = [note for note in found.notes if "canaries are added" in note]
    most = max(planted.canary.secrets for planted in found.canaries)
    assert note.startswith("600 canaries") and f"at most {math.log2(most):.1f} bits" in note
