"""Files of rows are counted and measured without a tokenizer, whatever they hold."""

from __future__ import annotations

import gzip
import json

import pytest

from core.advise import row_statistics
from core.errors import SpecError

CHAT = {"messages": [{"role": "user", "content": "u" * 40}, {"role": "assistant", "content": "a" * 120}]}


def lines(*found) -> str:
    return "\n".join(json.dumps(one) for one in found) + "\n"


def test_a_chat_is_counted_and_what_the_assistant_says_is_learnt(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(lines(*[CHAT] * 30) + "\n\n")
    found = row_statistics.read(str(file))
    assert (found.count, found.form, found.percentile(0.5)) == (30, "chat", 40)
    assert found.targets == pytest.approx(0.75)
    assert "token counts are estimates" in found.notes[0]


def test_the_sample_is_of_the_whole_file_and_the_count_is_exact(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(lines(*({"text": "x" * (4 * (1 + at))} for at in range(5000))))
    found = row_statistics.read(str(file))
    assert found.count == 5000 and found.lengths[0] <= 5 and found.lengths[-1] > 4900
    assert row_statistics.SAMPLE <= len(found.lengths) < 2 * row_statistics.SAMPLE
    assert found.percentile(0.5) == pytest.approx(2500, abs=20)


@pytest.mark.parametrize(
    "columns", [("instruction", "output"), ("question", "answer"), ("prompt", "completion")]
)
def test_pairs_are_known_by_their_usual_names(tmp_path, columns):
    prompt, completion = columns
    (tmp_path / "rows.csv").write_text(f'id,{prompt},{completion}\n1,abcd,efgh\n2,ab,"cd\nef"\n')
    found = row_statistics.read(str(tmp_path / "rows.csv"))
    assert (found.count, found.form) == (2, "instruction")
    named = (("prompt_key", prompt), ("completion_key", completion))
    assert found.keys == (() if columns == ("prompt", "completion") else named)


def test_json_arrays_parquet_text_and_packed_files(tmp_path):
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "a.json").write_text(json.dumps([{"text": "x" * 80}] * 3))
    parquet.write_table(pyarrow.table({"text": ["x" * 80] * 4}), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("one line\nanother\n\n")
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(lines({"text": "x"}).encode()))
    (tmp_path / "e.json").write_text(lines({"text": "x"}, {"text": "y"}))
    names = ("a.json", "b.parquet", "c.txt", "d.jsonl.gz", "e.json")
    assert [row_statistics.read(str(tmp_path / name)).count for name in names] == [3, 4, 2, 1, 2]


def test_columns_that_nobody_knows_are_said(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines({"left": "x\x1b[31m", "right\x1b[2J": "y"}))
    found = row_statistics.read(str(tmp_path / "a.jsonl"))
    assert found.form == "auto" and "none of the columns left, right" in found.notes[-1]
    assert "\x1b" not in "".join(found.notes)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.jsonl", "", "has no rows"), ("a.jsonl", "{", "cannot be read"), ("a.json", "[1, 2]", "no rows"),
        ("a.parquet", "PAR1", "cannot be read"), ("a.xyz", "x", "unknown file type .xyz"),
        ("a.csv", "a,b\n", "no rows"),
        ("a.jsonl.gz", "x", "cannot be read"), ("a", "x", "unknown file type .no suffix"),
        ("a.jsonl", "[" * 100_000, "cannot be read"),
    ],
)  # fmt: skip
def test_a_file_of_no_use_is_told_with_what_to_do(tmp_path, name, content, word):
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=word) as caught:
        row_statistics.read(str(tmp_path / name))
    assert caught.value.problems[0].fix


def test_rows_of_odd_shapes_are_measured_all_the_same(tmp_path):
    odd = [{"messages": []}, {"messages": ["x", {"role": 3, "content": None}]}, {"messages": None}, {}, CHAT]
    (tmp_path / "a.jsonl").write_text(lines(*odd))
    assert row_statistics.read(str(tmp_path / "a.jsonl")).count == 5


def test_a_hub_name_or_a_folder_is_not_looked_into(tmp_path):
    assert (
        row_statistics.read("HuggingFaceH4/no_robots") is None and row_statistics.read(str(tmp_path)) is None
    )
    with pytest.raises(SpecError, match="file does not exist"):
        row_statistics.read(str(tmp_path / "none.jsonl"))


def test_a_filled_input_column_belongs_to_the_prompt_and_unused_ones_are_said(tmp_path):
    row = {"instruction": "s" * 40, "input": "i" * 40, "output": "o" * 80, "id": 7, "empty": ""}
    (tmp_path / "a.ndjson").write_text(lines(*[row] * 5))
    found = row_statistics.read(str(tmp_path / "a.ndjson"))
    assert found.percentile(0.5) == 40 and found.targets == pytest.approx(0.5)
    assert found.keys == (("prompt_key", "instruction"), ("completion_key", "output"))
    assert "the column 'input' is joined to 'instruction' as the prompt" in found.notes
    assert "unused columns: id" in found.notes


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.json", '{"data": [{"prompt": "a", "completion": "b"}]}', "1 rows under 'data'"),
        ("a.jsonl", '{"text": "a"}\n{broken\n', "line 2"), ("a.jsonl", '{"text": "a"}\n3\n', "line 2"),
    ],
)  # fmt: skip
def test_wrapped_rows_and_broken_lines_are_told(tmp_path, name, content, word):
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=word):
        row_statistics.read(str(tmp_path / name))
    (tmp_path / "b.csv").write_bytes("text\na\n".encode("utf-16"))
    with pytest.raises(SpecError, match="UTF-16"):
        row_statistics.read(str(tmp_path / "b.csv"))
