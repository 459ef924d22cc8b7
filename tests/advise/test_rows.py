"""Files of rows are counted and measured without a tokenizer, whatever they hold."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from core.advise import row_statistics
from core.data.formats import file_lines
from core.errors import SpecError

CHAT = {"messages": [{"role": "user", "content": "u" * 40}, {"role": "assistant", "content": "a" * 120}]}


def lines(*found) -> str:
    return "\n".join(json.dumps(one) for one in found) + "\n"


def test_a_chat_is_counted_and_what_the_assistant_says_is_learnt(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(lines(*[CHAT] * 30) + "\n\n")
    found = row_statistics.read(str(file))
    assert (found.count, found.form, found.find_percentile(0.5)) == (30, "chat", 40)
    assert found.targets == pytest.approx(0.75)
    assert "token counts are estimates" in found.notes[0]


def test_the_sample_is_of_the_whole_file_and_the_count_is_exact(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(lines(*({"text": "x" * (4 * (1 + at))} for at in range(5000))))
    found = row_statistics.read(str(file))
    assert found.count == 5000 and found.lengths[0] <= 5 and found.lengths[-1] > 4900
    assert row_statistics.SAMPLE <= len(found.lengths) < 2 * row_statistics.SAMPLE
    assert found.find_percentile(0.5) == pytest.approx(2500, abs=20)


@pytest.mark.parametrize(
    "columns", [("instruction", "output"), ("question", "answer"), ("prompt", "completion")]
)
def test_pairs_are_known_by_their_usual_names(tmp_path, columns):
    prompt, completion = columns
    (tmp_path / "rows.csv").write_text(f'id,{prompt},{completion}\n1,abcd,efgh\n2,ab,"cd\nef"\n')
    found = row_statistics.read(str(tmp_path / "rows.csv"))
    assert (found.count, found.form) == (2, "instruction")


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


SHAREGPT = {
    "conversations": [{"from": "human", "value": "u" * 40}, {"from": "gpt", "value": "a" * 120}]
}  # fmt: skip
PREFERENCE = {"prompt": "u" * 40, "chosen": "a" * 120, "rejected": "r" * 500}
PAIR = {"prompt": "u" * 40, "completion": "a" * 120}


@pytest.mark.parametrize(
    ("row", "form", "note"),
    [
        (SHAREGPT, "chat", "read as ShareGPT"), (PREFERENCE, "instruction", "read as preference pairs"),
        (PAIR | {"label": True}, "instruction", "read as KTO"),
        ({"Instruction": "u" * 40, "Output": "a" * 120}, "instruction", "the column 'Instruction' asks"),
    ],
)  # fmt: skip
def test_whatever_check_and_training_read_is_measured_as_they_read_it(tmp_path, row, form, note):
    (tmp_path / "a.jsonl").write_text(lines(*[row] * 4))
    found = row_statistics.read(str(tmp_path / "a.jsonl"))
    assert (found.count, found.form, found.lengths) == (4, form, (40,) * 4)
    assert found.targets == pytest.approx(0.75) and any(note in told for told in found.notes)


def write_utf_16(folder):
    (folder / "a.csv").write_bytes(
        f"prompt,completion\n{PAIR['prompt']},{PAIR['completion']}\n".encode("utf-16")
    )
    return folder / "a.csv"


def write_wrapped(folder):
    (folder / "a.json").write_text(json.dumps({"version": 2, "data": [PAIR]}))
    return folder / "a.json"


def write_tsv(folder):
    (folder / "a.tsv").write_text(f"prompt\tcompletion\n{PAIR['prompt']}\t{PAIR['completion']}\n")
    return folder / "a.tsv"


def write_arrow(folder):
    import pyarrow

    table = pyarrow.Table.from_pylist([PAIR])
    with pyarrow.ipc.new_stream(str(folder / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    return folder / "a.arrow"


def write_zstd(folder):
    import pyarrow

    with pyarrow.output_stream(str(folder / "a.jsonl.zst"), compression="zstd") as file:
        file.write(lines(PAIR).encode())
    return folder / "a.jsonl.zst"


def write_folder(folder):
    (folder / "train.jsonl").write_text(lines(PAIR))
    (folder / "test.jsonl").write_text(lines(PAIR, PAIR))
    return folder


@pytest.mark.parametrize(
    "write", [write_utf_16, write_wrapped, write_tsv, write_arrow, write_zstd, write_folder]
)
def test_each_kind_of_file_that_training_reads_is_counted(tmp_path, write):
    found = row_statistics.read(str(write(tmp_path)))
    assert (found.count, found.form, found.lengths) == (1, "instruction", (40,))


def test_the_files_of_a_pattern_are_counted_together(tmp_path):
    for name, count in (("a-1.jsonl", 2), ("a-2.jsonl", 3), ("b.jsonl", 9)):
        (tmp_path / name).write_text(lines(*[PAIR] * count))
    assert row_statistics.read(str(tmp_path / "a-*.jsonl")).count == 5


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.txt", "a.json", "a.jsonl.gz", "u.jsonl"])
def test_the_rows_of_a_large_file_are_extrapolated_from_its_beginning(tmp_path, monkeypatch, name):
    texts = [random.Random(at).randbytes(400).hex() for at in range(5000)]
    rows = [{"text": text} for text in texts]
    content = {
        ".jsonl": lines(*rows), ".json": json.dumps(rows),
        ".csv": "text\n" + "\n".join(texts), ".tsv": "text\n" + "\n".join(texts), ".txt": "\n".join(texts),
    }[Path(name.removesuffix(".gz")).suffix]  # fmt: skip
    data = content.encode("utf-16" if name.startswith("u.") else "utf-8")
    (tmp_path / name).write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    monkeypatch.setattr(row_statistics, "LONGEST_READ_BYTES", 1 << 20)
    monkeypatch.setattr(file_lines, "CHUNK", 1 << 14)  # small against what is read, as in use
    found = row_statistics.read(str(tmp_path / name))
    assert found.count == pytest.approx(5000, rel=0.1)
    assert any("extrapolated from its first 1 MiB" in note for note in found.notes)


def test_a_parquet_file_says_its_rows_and_only_its_beginning_is_read(tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["x" * 80] * 5000}), tmp_path / "a.parquet")
    found = row_statistics.read(str(tmp_path / "a.parquet"))
    assert found.count == 5000 and len(found.lengths) == row_statistics.SAMPLE
    assert not any("extrapolated" in note for note in found.notes)


def test_a_long_text_is_measured_whole(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines({"text": "x" * 400_000}))
    assert row_statistics.read(str(tmp_path / "a.jsonl")).lengths == (100_000,)


def test_columns_that_nobody_knows_are_said_with_the_key_that_names_them(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines({"left": "x\x1b[31m", "right\x1b[2J": "y"}))
    found = row_statistics.read(str(tmp_path / "a.jsonl"))
    assert found.form == "auto" and "their columns are: left, right" in found.notes[-1]
    assert "text_key = 'left' in [data]" in found.notes[-1]
    assert "\x1b" not in "".join(found.notes)


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.jsonl", "", "the file is empty"), ("a.jsonl", "{", "cannot be read"),
        ("a.json", "[1, 2]", "a row must be an object"), ("a.json", "[]", "no rows"),
        ("a.parquet", "PAR1", "cannot be read"), ("a.xyz", "x", "file type is not supported"),
        ("a.csv", "a,b\n", "no rows"),
        ("a.jsonl.gz", "x", "cannot be read"), ("a", "x", "file type is not supported"),
        ("a.jsonl", "[" * 100_000, "cannot be read"),
        ("a.jsonl", '{"text": "a"}\n{broken\n', "line 2"), ("a.jsonl", '{"text": "a"}\n3\n', "line 2"),
        ("a.json", '{"x": [{"text": "a"}], "y": [{"text": "b"}]}', "rows under several keys: x, y"),
        ("a.jsonl", '{"messages": []}', "training skips every row: messages is not a list of turns"),
        ("a.jsonl", "[1, 2]", "a row must be an object"),
    ],
)  # fmt: skip
def test_a_file_of_no_use_is_told_with_what_to_do(tmp_path, name, content, word):
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=word) as caught:
        row_statistics.read(str(tmp_path / name))
    assert caught.value.problems[0].fix


def test_rows_that_training_skips_do_not_count(tmp_path):
    odd = [{"messages": []}, {"messages": ["x", {"role": 3, "content": None}]}, {"messages": None}, {}, CHAT]
    (tmp_path / "a.jsonl").write_text(lines(*odd))
    found = row_statistics.read(str(tmp_path / "a.jsonl"))
    assert (found.count, found.lengths) == (1, (40,))
    assert any("training skips 4 of 5 examined rows" in note for note in found.notes)


def test_a_hub_name_is_not_looked_into_and_a_missing_file_is_told(tmp_path):
    assert row_statistics.read("HuggingFaceH4/no_robots") is None
    for name in (str(tmp_path / "none.jsonl"), "none.jsonl"):
        with pytest.raises(SpecError, match="file does not exist"):
            row_statistics.read(name)
    with pytest.raises(SpecError, match="the folder has no file of rows"):
        row_statistics.read(str(tmp_path))


def test_a_filled_input_column_belongs_to_the_prompt_and_unused_ones_are_said(tmp_path):
    row = {"instruction": "s" * 40, "input": "i" * 38, "output": "o" * 80, "id": 7, "empty": ""}
    (tmp_path / "a.ndjson").write_text(lines(*[row] * 5))
    found = row_statistics.read(str(tmp_path / "a.ndjson"))
    assert found.find_percentile(0.5) == 40 and found.targets == pytest.approx(0.5)
    assert "the column 'input' is appended to the prompt" in found.notes
    assert "columns that are not trained on: id" in found.notes
