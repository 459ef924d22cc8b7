"""Rows are what the file says: no value changes its type, no path is a pattern, every fault has its line."""

from __future__ import annotations

import json
import resource

import pytest

from core.data.readers.local_file_reader import read_rows
from core.data.readers.row_values import read_text
from core.errors import TrimtabError
from core.train.commands import show_rows
from core.train.data import row_loader
from core.train.data.dataset import MASKED, load_data
from core.train.progress_callback import report_nothing
from tests.tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture
def answers(study, tokenizer, tmp_path):
    """What is learnt of a file's rows, and the notes."""

    def read(name: str, content: str | bytes, **data):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        spec = study(data={"source": str(path), "validation": 0.34} | data, train={"sequence_length": 200})
        found = load_data(spec, tokenizer, report_nothing)
        rows = [
            (tokenizer.decode(row.ids).split("user\n")[-1].split("<|im_end|>")[0], row)
            for row in [*found.train, *found.validation]
        ]
        learns = {
            prompt: tokenizer.decode([label for label in row.labels if label != MASKED]).removesuffix(
                "<|im_end|>\n"
            )
            for prompt, row in rows
        }
        return learns, found

    return read


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_no_text_of_csv_changes_its_type(answers):
    values = [
        "0110",
        "1.10",
        "2024-01-01",
        "NA",
        "None",
        "null",
        "nan",
        "true",
        "100000000000000000000",
        "2.0",
    ]
    content = "prompt,completion\n" + "".join(f"p{at},{value}\n" for at, value in enumerate(values))
    assert answers("a.csv", content)[0] == {f"p{at}": value for at, value in enumerate(values)}


def test_values_of_json_keep_their_digits_and_zero_is_no_empty_answer(answers):
    values = ["0", "false", "true", "1.10", "1e3", "100000000000000000001", '"2024-01-01T10:00:00Z"', '"a"']
    content = "".join(f'{{"prompt": {at}, "completion": {value}}}\n' for at, value in enumerate(values))
    told = {str(at): value.strip('"') for at, value in enumerate(values)}
    for name in ("a.jsonl", "a.ndjson"):
        assert answers(name, content)[0] == told


def test_numbers_of_parquet_have_their_shortest_digits_and_objects_no_foreign_keys(tmp_path):
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "a[1].parquet"
    calls = [{"city": "Oslo"}, {"zone": "CET"}]
    columns = {"x": pyarrow.array([0.1, None], pyarrow.float32()), "calls": [[calls[0]], [calls[1]]]}
    parquet.write_table(pyarrow.table(columns), path)
    found = list(read_rows(path, "data.source"))
    assert read_text(found[0]["x"], "x") == "0.1" and found[1]["x"] is None
    assert [row["calls"] for row in found] == [[calls[0]], [calls[1]]]


def test_what_is_no_text_and_what_is_empty_is_left_out_and_counted(answers):
    good = [{"prompt": f"p{at}", "completion": "c"} for at in range(6)]
    odd = [["a"], {"a": 1}, None, "", " ", float("nan"), "\ud800"]
    content = jsonl(
        *good, *({"prompt": f"o{at}", "completion": one} for at, one in enumerate(odd)), {"prompt": "x"}
    )
    learns, found = answers("a.jsonl", content, validation=0.01)
    assert set(learns) <= {f"p{at}" for at in range(6)} and len(learns) >= 5
    reasons = sum(found.dropped.values(), start=type(found.dropped["training"])())
    assert reasons["completion is a list, not text"] == reasons["completion is an object, not text"] == 1
    assert reasons["no completion"] == 2 and reasons["completion is empty"] == 2
    assert reasons["completion is nan, not a finite number"] == 1
    assert reasons["completion contains a lone surrogate (half a character)"] == 1
    assert "training rows are skipped (2: " in found.notes[0]


def test_a_filled_input_column_is_joined_and_other_columns_are_named(answers):
    rows = [{"instruction": "Sort", "input": f"b a {at}", "output": "a b", "id": at} for at in range(1, 6)]
    rows += [{"instruction": "Say", "input": "", "output": "yes", "id": 9}]
    keys = {"prompt_key": "instruction", "completion_key": "output"}
    learns, found = answers("a.jsonl", jsonl(*rows), **keys)
    assert set(learns) == {*(f"Sort\n\nb a {at}" for at in range(1, 6)), "Say"}
    assert "the column 'input' is appended to the prompt" in found.notes
    assert "columns that are not trained on: id" in found.notes


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (["a", "a", None, None], "2 rows have no group"), ([["x"]] * 4, "neither all texts"),
        (["all"] * 4, "all rows have the same group"), ([1, "a", 2, 3], "neither all texts"),
    ],
)  # fmt: skip
def test_a_users_column_called_group_splits_where_it_can_and_else_is_told(answers, groups, told):
    rows = [{"prompt": f"p{at}", "completion": "c", "group": group} for at, group in enumerate(groups)]
    learns, found = answers("a.jsonl", jsonl(*rows))
    assert len(learns) == 4 and any(told in note for note in found.notes)


def test_a_name_is_no_pattern(answers, tmp_path):
    (tmp_path / "whatA.jsonl").write_text(jsonl(*[{"prompt": "OTHER", "completion": "c"}] * 6))
    for name in ("what?.jsonl", "what[A].jsonl", "what*.jsonl"):
        learns, _ = answers(name, jsonl(*({"prompt": f"p{at}", "completion": "c"} for at in range(3))))
        assert set(learns) == {"p0", "p1", "p2"}


def test_a_folder_is_read_as_its_files_are_and_its_name_is_no_pattern(study, tmp_path):
    for name in ("a[b]", "ab"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.csv").write_text(f"prompt,completion\n{name},0110\n{name},NA\n")
        (folder / "test.csv").write_text("prompt,completion\nheld,1.10\n")
    spec = study(data={"source": str(tmp_path / "a[b]"), "validation": "test"})
    train, held = row_loader.load(spec, report_nothing)
    assert train == [{"prompt": "a[b]", "completion": one} for one in ("0110", "NA")]
    assert held == [{"prompt": "held", "completion": "1.10"}]
    with pytest.raises(TrimtabError, match=r"data.validation = 'none', a split of"):
        row_loader.load(study(data={"source": str(tmp_path / "ab"), "validation": "none"}), report_nothing)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '{"text": "a"}\n' * 2000 + "{broken\n", r"line 2001: .*not valid JSON"),
        ("a.jsonl", '{"text": "a"}\n\n[1]\n', "line 3: .*a row must be an object.*not a list"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xe9"}\n', "line 2: .*0xe9 is not valid UTF-8"),
        ("a.jsonl", '{"text": "a"}\n'.encode("utf-16-le"), "NUL bytes.*\n.*iconv"),
        ("a.jsonl", '{"text": ' + "1" * 5000 + "}\n", "line 1: .*digits"),
        ("a.jsonl", "[" * 100_000 + "\n", "line 1: .*cannot be parsed"),
        ("a.csv", "text,x\na,b\n\"c\nd\",e\nf,g,h\n", "line 5: .*3 values for 2 columns"),
        ("a.csv", 'text,x\na,"b\n', "not valid CSV"),
        ("a.csv", "text,text\na,b\n", "the column 'text' appears twice"),
        ("a.json", '[\n{"text": "a"},\n{"text" "b"}\n]', "line 3: .*not valid JSON"),
        ("a.json", '{"a b": [{"text": "a"}], "test": [{"text": "b"}]}', r'keys: a b, test.*\.\["a b"\]\[\]'),
        ("a.parquet", "PAR1", "cannot be read"),
        ("a.jsonl.gz", "no gzip", "cannot be read"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_what_to_do(study, tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(TrimtabError, match=f"(?s){told}") as caught:
        row_loader.load(study(data={"source": str(path)}), report_nothing)
    assert name in str(caught.value) and caught.value.problems[0].fix


def test_a_validation_file_that_is_not_there_or_broken_is_blamed_itself(study, tmp_path):
    for name, content in (("none.jsonl", None), ("bad.jsonl", "{\n"), ("empty.jsonl", "")):
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(TrimtabError) as caught:
            row_loader.load(study(data={"validation": str(tmp_path / name)}), report_nothing)
        assert "data.validation = " in caught.value.problems[0].where and name in str(caught.value)


@pytest.mark.parametrize("rows", [None, 7])
def test_data_rows_takes_the_same_rows_and_reads_the_others_away(study, tmp_path, rows, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text(jsonl(*({"text": str(at)} for at in range(50))))
    whole = row_loader.load(study(data={"source": str(path)}), report_nothing)
    train, held = row_loader.load(
        study(data={"source": str(path)} | ({"rows": rows} if rows else {})), report_nothing
    )
    assert held == whole[1] and len(train) == (rows or 45)
    import random

    assert train == (random.Random(1).sample(whole[0], rows) if rows else whole[0])


def test_rows_are_cut_and_that_is_told(answers, study, tokenizer, tmp_path):
    long = {"prompt": "a", "completion": "read " * 400}
    _, found = answers("a.jsonl", jsonl(*[long] * 6))
    assert "4 of 4 training rows are longer than 200 tokens and are truncated" in found.notes
    assert found.most == 200 and found.cut_rows == 6
    with pytest.raises(TrimtabError, match="6 rows were loaded only up to 200 tokens"):
        found.shorten(400)


def test_only_the_completion_of_a_prompt_of_turns_is_learnt(answers, tokenizer):
    prompt = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": "b"},
    ]
    rows = [{"prompt": prompt, "completion": [{"role": "assistant", "content": "yes"}]}] * 4
    assert answers("a.jsonl", jsonl(*rows))[0] == {"b": "yes"}


def test_of_many_validation_rows_the_study_s_seed_draws_those_that_are_used(study, tokenizer, tmp_path):
    for name, count in (("train", 4), ("held", 40)):
        rows = [{"prompt": f"{name} {at}", "completion": f"{at}"} for at in range(count)]
        (tmp_path / f"{name}.jsonl").write_text(jsonl(*rows))
    data = {"source": str(tmp_path / "train.jsonl"), "validation": str(tmp_path / "held.jsonl")}

    def used(seed: int) -> list[str]:
        spec = study(data=data, study={"seed": seed}, evaluate={"rows": 6}, train={"sequence_length": 90})
        return [tokenizer.decode(row.ids) for row in load_data(spec, tokenizer, report_nothing).validation]

    assert used(1) == used(1) != used(2) and len(used(1)) == 6
    assert not all(f"held {at}" in text for at, text in enumerate(used(1))), "not the first ones"


def test_shown_rows_have_what_is_learnt_marked_and_are_harmless(answers, tokenizer):
    words = ("yes", "yep", "yea", "yup", "yah")
    rows = [{"prompt": "p‹\x1b[31m", "completion": word} for word in words]
    rows += [{"prompt": "p", "completion": None}] * 2
    _, found = answers("a.jsonl", jsonl(*rows), validation=0.1)
    told = list(show_rows.list_lines(tokenizer, found, 1))
    assert "tokens, 5 of them targets" in told[0]
    asked = "<|im_start|>user\np\\‹\N{REPLACEMENT CHARACTER}[31m<|im_end|>\n<|im_start|>assistant\n"
    assert told[1] in [f"{asked}‹{word}<|im_end|>\n›" for word in words]
    assert "\x1b" not in "".join(told)
    assert "2 training rows are skipped" in told
    assert "  2: no completion" in told
    assert "\x1b[32my" in show_rows.mark_targets(tokenizer, found.train[0], colours=True)


def test_the_shown_rows_are_the_first_and_a_draw_of_the_seed():
    assert show_rows.choose(1000, 1, 0) == [0] and show_rows.choose(2, 9, 0) == [0, 1]
    drawn = show_rows.choose(1000, 6, 7)
    assert drawn[:3] == [0, 1, 2] and len(set(drawn)) == 6 and drawn == sorted(drawn)
    assert drawn == show_rows.choose(1000, 6, 7) != show_rows.choose(1000, 6, 8)


def test_a_full_cache_is_not_blamed_on_the_network(study, tokenizer, tmp_path, monkeypatch):
    """datasets writes what it reads of a folder into the cache, and its error holds the system's."""
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.conll").write_text("a O\nb O\n")
    declared = "---\nconfigs:\n- config_name: default\n  data_files: '*.conll'\n---\n"
    (tmp_path / "rows" / "README.md").write_text(declared)
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(TrimtabError) as told:
            load_data(study(data={"source": str(tmp_path / "rows")}), tokenizer, report_nothing)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    fix = told.value.problems[0].fix
    assert "cannot be written: set TRIMTAB_CACHE to a folder of your own" in fix and "network" not in fix


def test_rows_of_other_shapes_are_learnt_as_their_chat_and_the_notes_say_how(answers):
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}, {"from": "human", "value": "p"}]
    rows = [{"conversations": [*turns, {"from": "gpt", "value": f"b{at}"}], "id": at} for at in range(4)]
    learns, found = answers("a.jsonl", jsonl(*rows))
    assert all(learnt.startswith("a<|im_end|>\nb") for learnt in learns.values()) and found.kind == "chat"
    assert "read as ShareGPT: the column 'conversations' has turns with from and value" in found.notes
    assert "columns that are not trained on: id" in found.notes


def test_a_system_prompt_of_a_column_is_told_to_the_model_and_unwanted_answers_are_counted(
    answers, tokenizer
):
    row = {"system_prompt": "be kind", "response": "a"}
    rows = [row | {"question": f"q{at}", "label": at < 6} for at in range(9)]
    learns, found = answers("a.jsonl", jsonl(*rows))
    assert (
        set(learns.values()) == {"a"}
        and learns.keys() <= {f"q{at}" for at in range(6)}
        and found.system == "be kind"
    )
    assert tokenizer.decode(found.train[0].ids).startswith("<|im_start|>system\nbe kind<|im_end|>")
    left_out = sum(
        counter["label is false: only answers labelled true are learnt"] for counter in found.dropped.values()
    )
    assert left_out == 3 and any("rows are skipped" in note for note in found.notes)


def test_without_a_chat_template_pairs_of_turns_are_left_out_and_pairs_of_texts_are_joined(study, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    pair = [{"system": "s", "prompt": "q", "completion": "a"}] * 4
    turns = [
        {"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}
    ]
    (tmp_path / "a.jsonl").write_text(jsonl(*pair))
    found = load_data(study(data={"source": str(tmp_path / "a.jsonl")}), tokenizer, report_nothing)
    assert tokenizer.decode(found.train[0].ids).endswith("s\n\nqa<|im_end|>")
    (tmp_path / "b.jsonl").write_text(jsonl(*turns * 4))
    with pytest.raises(TrimtabError, match=r"none of the 3 training rows can be used .*no chat template"):
        load_data(
            study(data={"source": str(tmp_path / "b.jsonl"), "validation": 0.25}), tokenizer, report_nothing
        )


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_a_folder_that_declares_its_splits_is_read_as_declared(study, tmp_path, kind):
    import pandas

    table = pandas.DataFrame([{"prompt": f"p{at}", "completion": f"0{at}"} for at in range(4)])
    for part in ("mine", "yours"):
        path = tmp_path / f"{part}.{kind}"
        if kind == "parquet":
            table.to_parquet(path)
        elif kind == "jsonl":
            table.to_json(path, orient="records", lines=True)
        else:
            table.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
        table = table.iloc[:2]
    files = "".join(f"  - split: {part}\n    path: {part}.{kind}\n" for part in ("mine", "yours"))
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n")
    data = {"source": str(tmp_path), "split": "mine", "validation": "yours"}
    train, held = row_loader.load(study(data=data), report_nothing)
    assert [row["completion"] for row in train] == ["00", "01", "02", "03"] and len(held) == 2


def test_data_rows_holds_no_other_rows_in_memory(study, tmp_path):
    import tracemalloc

    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps({"text": f"{at} {'x' * 4000}"}) + "\n" for at in range(5000))
    )
    tracemalloc.start()
    row_loader.load(
        study(data={"source": str(tmp_path / "a.jsonl"), "validation": 0.001, "rows": 9}), report_nothing
    )
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 8_000_000, "the file has 20 MB; what finds copies takes 1 kB a row"
