"""Every defect of a file is read around, or refused in one line with the file, the line and what to do."""

from __future__ import annotations

import bz2
import codecs
import gzip
import json
import lzma
import random
import re

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from core import paths
from core.contract.spec import spec_file
from core.contract.spec.study_spec import DataOptions
from core.data.readers import local_file_reader
from core.data.readers.shaped_rows import ShapedRows
from core.data.readers.source_files import find_source
from core.errors import TrimtabError
from core.store import input_change_check, input_fingerprints

ROW = '{"text": "ä1"}\n'
TWO = [{"text": "ä1"}, {"text": "b2"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in TWO)
TABLE = "text,n\nä1,1\nb2,2\n"


def read(path, **options) -> list[dict]:
    data = DataOptions(source=str(path), **options)
    source = find_source(data, "data.source", str(path), "train")
    return list(ShapedRows(source.read_rows(), data, f"data.source = {str(path)!r}"))


def packed(open_stream) -> bytes:
    sink = pyarrow.BufferOutputStream()
    table = pyarrow.Table.from_pylist(TWO)
    with open_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def parquet_bytes(table=None) -> bytes:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table or pyarrow.Table.from_pylist(TWO), sink)
    return sink.getvalue().to_pybytes()


READABLE = {
    "plain.jsonl": LINES,
    "mark.jsonl": codecs.BOM_UTF8 + LINES.encode(),
    "windows.jsonl": LINES.replace("\n", "\r\n"),
    "blank_lines.jsonl": "\n" + LINES.replace("\n", "\n \n"),
    "no_end.jsonl": LINES.rstrip("\n"),
    "utf16.jsonl": LINES.encode("utf-16"),
    "utf16_big.jsonl": codecs.BOM_UTF16_BE + LINES.encode("utf-16-be"),
    "utf32.jsonl": LINES.encode("utf-32"),
    "utf16.json": json.dumps(TWO, indent=1).encode("utf-16"),
    "utf16.csv": TABLE.encode("utf-16"),
    "strings.jsonl": '"ä1"\n"b2"\n',
    "array.json": json.dumps(TWO),
    "pretty.json": "\ufeff" + json.dumps(TWO, indent=4).replace("\n", "\r\n"),
    "lines.json": LINES,
    "pretty_objects.json": "\n".join(json.dumps(row, indent=2) for row in TWO),
    "wrapped.json": json.dumps({"version": "1", "data": TWO, "tags": ["x"]}),
    "wrapped_pretty.json": json.dumps({"count": 2, "rows": TWO}, indent=2),
    "wrapped.jsonl": json.dumps({"train": TWO}) + "\n",
    "comma.csv": TABLE,
    "semicolons.csv": TABLE.replace(",", ";"),
    "mark.csv": codecs.BOM_UTF8 + TABLE.encode(),
    "windows.csv": TABLE.replace("\n", "\r\n"),
    "empty_columns.csv": "text,,\nä1,,\nb2,,\n",
    "short_row.csv": "text,n\nä1\nb2,2\n",
    "tabs.tsv": TABLE.replace(",", "\t"),
    "gzip.jsonl.gz": gzip.compress(LINES.encode()),
    "bzip.csv.bz2": bz2.compress(TABLE.encode()),
    "xz.json.xz": lzma.compress(json.dumps(TWO).encode()),
    "zstd.jsonl.zst": pyarrow.compress(LINES.encode(), "zstd", asbytes=True),
    "gzip_utf16.jsonl.gz": gzip.compress(LINES.encode("utf-16")),
    "text.txt": "ä1\r\nb2",
    "table.parquet": parquet_bytes(),
    "file.arrow": packed(pyarrow.ipc.new_file),
    "stream.arrow": packed(pyarrow.ipc.new_stream),
    "file.feather": packed(pyarrow.ipc.new_file),
}


@pytest.mark.parametrize("name", READABLE)
def test_a_file_of_any_make_gives_its_rows(tmp_path, name):
    content = READABLE[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert [{"text": row["text"]} for row in read(tmp_path / name)] == TWO


UNREADABLE = {
    "latin.jsonl": (ROW.encode() + b'{"text": "\xe9"}\n', "line 2", "byte 0xe9 is not valid UTF-8"),
    "latin.json": (b'[\n{"text": "\xe9"}]', "line 2", "byte 0xe9 is not valid UTF-8"),
    "latin.csv": (b"text\na\n\xe9\n", "line 3", "byte 0xe9 is not valid UTF-8"),
    "latin.txt": (b"a\n\xe9\n", "line 2", "byte 0xe9 is not valid UTF-8"),
    "cut_utf16.jsonl": (LINES.encode("utf-16")[:-1], "line 2", "not valid UTF-16"),
    "unmarked_utf16.jsonl": (LINES.encode("utf-16-le"), "", "NUL bytes"),
    "binary.csv": (bytes(range(256)), "", "NUL bytes"),
    "cut.jsonl": (LINES[:-4], "line 2", "not valid JSON: Unterminated string"),
    "single_quotes.jsonl": ("{'text': 'a'}\n", "line 1", "not valid JSON"),
    "trailing_comma.jsonl": ('{"text": "a",}\n', "line 1", "not valid JSON"),
    "two_on_a_line.jsonl": ('{"text": "a"} {"text": "b"}\n', "line 1", "Extra data at column 15"),
    "old_mac.jsonl": (LINES.replace("\n", "\r"), "line 1", "Extra data"),
    "control.jsonl": (ROW + '{"text": "a\x01"}\n', "line 2", "Invalid control character at column 12"),
    "list.jsonl": (ROW + "\n[1]\n", "line 3", "must be an object such as {…}, not a list"),
    "null.jsonl": ("null\n", "line 1", "not null"),
    "number.json": ("7", "line 1", "row 1: a row must be an object such as {…}, not 7"),
    "nested.jsonl": ("[" * 100_000 + "\n", "line 1", "cannot be parsed"),
    "nested.json": ("[" * 100_000, "line 1", "cannot be parsed"),
    "digits.jsonl": ('{"text": ' + "1" * 5000 + "}\n", "line 1", "cannot be parsed"),
    "row_in_array.json": ('[{"text": "a"},\n["b"]]', "line 2", "row 2: a row must be an object"),
    "cut_array.json": ('[{"text": "a"},\n{"text": "b"}', "line 2", "the array has no end"),
    "no_comma.json": ('[{"text": "a"}\n{"text": "b"}]', "line 2", "expected ',' or ']' after a row"),
    "behind.json": ('[{"text": "a"}]\n\nx', "line 3", "text after the end of the array"),
    "splits.json": (json.dumps({"train": TWO, "test": TWO}), "", "rows under several keys: train, test"),
    "columns.json": ('{"text_": {"0": "a"}, "n": {"0": 1}}', "", "their columns are: text_, n"),
    "quote.csv": ('text,n\n"a,1\n', "line 2", "not valid CSV"),
    "many_values.csv": ('text,n\n"a\nb",1\na,b,c\n', "line 4", "3 values for 2 columns"),
    "twice.csv": ("text,n,text\na,1,b\n", "line 1", "the column 'text' appears twice"),
    "cut.jsonl.gz": (gzip.compress(LINES.encode() * 9)[:-9], "", "end-of-stream marker"),
    "plain.jsonl.gz": (LINES, "", "Not a gzipped file"),
    "plain.jsonl.xz": (LINES, "", "not supported by decoder"),
    "plain.jsonl.bz2": (LINES, "", "Invalid data stream"),
    "plain.jsonl.zst": (LINES, "", "cannot be read"),
    "cut.parquet": (parquet_bytes()[:-8], "", "not valid Parquet"),
    "cut.arrow": (packed(pyarrow.ipc.new_file)[:-30], "", "not valid Arrow"),
    "plain.arrow": (LINES, "", "not valid Arrow"),
    "packed.parquet.gz": (gzip.compress(parquet_bytes()), "", "a .parquet file cannot be read compressed"),
    "unknown.jsonl": ('{"frage": 1}\n', "", "their columns are: frage"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_one_line_with_its_place(tmp_path, name):
    content, line, what = UNREADABLE[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TrimtabError, match=re.escape(what)) as caught:
        read(tmp_path / name)
    (problem,) = caught.value.problems
    assert name in problem.where and problem.where.endswith(line) and problem.fix
    assert "\n" not in problem.what + problem.where and len(problem.what) < 500


def test_rows_that_lack_a_column_or_have_another_type_are_told_one_by_one(tmp_path):
    odd = [{"prompt": "q"}, {"prompt": "q", "completion": None}, {"prompt": ["x"], "completion": "a"},
           {"prompt": "q", "completion": {"x": 1}}, {"prompt": "q", "completion": 7}, {}]  # fmt: skip
    rows = [{"prompt": "q", "completion": "a"}] * 9 + odd
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = [row.get("unusable", "") for row in read(tmp_path / "a.jsonl")][9:]
    assert told == ["no completion", "no completion", "prompt is a list, not text",
                    "completion is an object, not text", "", "no prompt"]  # fmt: skip


def test_a_deeply_nested_row_is_left_out(tmp_path):
    deep = '{"a":' * 600 + "1" + "}" * 600
    (tmp_path / "a.jsonl").write_text(f'{ROW}{{"text": {deep}}}\n')
    assert [row.get("unusable") for row in read(tmp_path / "a.jsonl")] == [
        None,
        "text is an object, not text",
    ]


def test_a_column_of_arrow_that_is_no_text_costs_no_other_column(tmp_path):
    times = pyarrow.array([1, None], pyarrow.timestamp("ns"))
    table = pyarrow.table({"text": ["ä1", "b2"], "at": times, "x": pyarrow.array([b"\xff", b""])})
    parquet.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert read(tmp_path / "a.parquet") == TWO


def test_ten_thousand_columns_are_read_and_told_in_short(tmp_path):
    names = [f"column {at}" for at in range(10_000)]
    (tmp_path / "a.csv").write_text(
        ",".join([*names, "text"]) + "\n" + ",".join(["1"] * 10_000 + ["x"]) + "\n"
    )
    wide = pyarrow.table({name: ["x", "y", "z"] for name in (*names, "text")})
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", wide.schema) as writer:
        writer.write_table(wide)
    for name in ("a.csv", "a.arrow"):
        rows = ShapedRows(local_file_reader.read_rows(tmp_path / name, "k"), DataOptions(), "")
        assert len(rows.unused) == 10_000 and next(iter(rows)) == {"text": "x"}
    (tmp_path / "b.csv").write_text(",".join(names) + "\n" + ",".join(["1"] * 10_000) + "\n")
    with pytest.raises(TrimtabError) as caught:
        read(tmp_path / "b.csv")
    assert len(str(caught.value)) < 1000


def test_a_line_of_fifty_megabytes_is_a_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "' + "x" * 50_000_000 + '"}\n' + ROW)
    assert [len(row["text"]) for row in read(path)] == [50_000_000, 2]
    path.rename(tmp_path / "a.json")
    assert [len(row["text"]) for row in read(tmp_path / "a.json")] == [50_000_000, 2]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("core.data.formats.file_lines.LONGEST_LINE", 1 << 20)
    bomb = gzip.compress(ROW.encode() + b'{"text": "' + b"x" * (4 << 20))
    (tmp_path / "a.jsonl.gz").write_bytes(bomb)
    with pytest.raises(TrimtabError, match=r"line 2: .*a line is longer than 1 MiB"):
        read(tmp_path / "a.jsonl.gz")


@pytest.mark.parametrize("size", range(1, 24))
def test_a_value_that_ends_in_another_piece_of_the_file_is_whole(tmp_path, monkeypatch, size):
    monkeypatch.setattr("core.data.formats.file_lines.CHUNK", size)
    rows = [{"text": '\\\u00e4\n"', "a": True, "b": None, "c": -1.5e3, "d": [False, {}]}] * 3
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert list(local_file_reader.read_rows(tmp_path / "a.json", "k")) == rows


def test_several_objects_that_hold_rows_are_no_wrapper(tmp_path, monkeypatch):
    monkeypatch.setattr("core.data.readers.shaped_rows.SAMPLE_CHARACTERS", 1)  # one row is looked at
    (tmp_path / "a.jsonl").write_text((json.dumps({"data": TWO}) + "\n") * 2)
    with pytest.raises(TrimtabError, match="their columns are: data"):
        read(tmp_path / "a.jsonl")


def test_an_array_is_read_as_a_stream(tmp_path):
    """Rows are yielded before the file is read to its end."""
    (tmp_path / "a.json").write_text("[" + '{"text": "x"},' * 200_000 + "oops")
    rows = local_file_reader.read_rows(tmp_path / "a.json", "k")
    assert [next(rows) for _ in range(100_000)][-1] == {"text": "x"}
    with pytest.raises(TrimtabError, match=r"line 1: .*not valid JSON"):
        list(rows)


# -- any bytes --------------------------------------------------------------------------------------

TEXTS = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".jsonl.gz", ".csv.bz2", ".json.xz", ".jsonl.zst")
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b'{"text": "a"}', b'{"messages": [{"role": "user"}]}', b"[", b"]", b"{", b"}", b",", b"\n", b'"',
         b'{"prompt": 1, "completion": []}', b"prompt,completion\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\0",
         b'{"chosen": [{"from": "gpt"}], "rejected": 1, "label": true}', b'{"data": [{"text": "a"}]}']
    ),
)  # fmt: skip


def gives_rows_or_one_error(path) -> None:
    try:
        for row in read(path):
            assert {"messages", "prompt", "text", "unusable"} & set(row)
    except TrimtabError as error:
        (problem,) = error.problems
        assert path.name in problem.where and problem.what and "\n" not in problem.what


@settings(max_examples=150, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(kind=st.sampled_from(TEXTS), pieces=st.lists(PIECES, max_size=8))
def test_any_bytes_give_rows_or_one_error(tmp_path, kind, pieces):
    content = b"".join(pieces)
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(
        kind[-3:].lstrip("l"), bytes
    )
    for packed_too in (content, pack(content)):
        path = tmp_path / f"a{kind}"
        path.write_bytes(packed_too)
        gives_rows_or_one_error(path)


@pytest.mark.parametrize("name", [name for name in READABLE if name.count(".") > 1 or "." not in name[-6:]])
def test_damage_anywhere_in_a_packed_file_gives_rows_or_one_error(tmp_path, name):
    content = READABLE[name]
    draw, whole = random.Random(name), content if isinstance(content, bytes) else content.encode()
    path = tmp_path / name
    for _ in range(25):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged[: draw.choice([None, draw.randrange(len(damaged))])])
        gives_rows_or_one_error(path)


def test_a_pattern_reads_all_files_that_match_and_is_watched_like_a_file(tmp_path, monkeypatch):
    for name in ("b.jsonl", "a.jsonl", "c.md", "sub/d.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'{{"text": "{name}"}}\n')
    assert [row["text"] for row in read(tmp_path / "*")] == ["a.jsonl", "b.jsonl"]
    assert len(read(tmp_path / "**" / "*.jsonl")) == 3
    monkeypatch.chdir(tmp_path)
    assert (
        paths.resolve_here("*.jsonl") == str(tmp_path / "*.jsonl") and paths.resolve_here("*.csv") == "*.csv"
    )
    data = {"source": f"{tmp_path}/*.jsonl"}
    spec = spec_file.parse({"study": {"name": "s"}, "model": {"base": "x"}, "data": data})
    assert sorted(input_change_check.list_places(spec).values()) == [
        tmp_path / "a.jsonl",
        tmp_path / "b.jsonl",
    ]
    before = input_fingerprints.fingerprint_data(spec.data.source, "train")
    (tmp_path / "a.jsonl").write_text("{}\n")
    assert (
        before.sha256
        and before.sha256 != input_fingerprints.fingerprint_data(spec.data.source, "train").sha256
    )


@pytest.mark.parametrize(
    ("files", "split", "read_files"),
    [
        (["train.jsonl", "test.jsonl"], "test", ["test.jsonl"]),
        (["train/a.jsonl", "dev/a.jsonl"], "validation", ["dev/a.jsonl"]),
        (["data/extra-00000-of-00001.jsonl", "data/train-00000-of-00001.jsonl"], "extra",
         ["data/extra-00000-of-00001.jsonl"]),
        (["a.jsonl", "b.jsonl", "LICENSE.txt", ".hidden.jsonl"], "train", ["a.jsonl", "b.jsonl"]),
        (["latest.jsonl", "x.jsonl"], "train", ["latest.jsonl", "x.jsonl"]),
    ],
)  # fmt: skip
def test_a_folder_has_the_splits_that_datasets_would_find(tmp_path, files, split, read_files):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(ROW)
    found = find_source(DataOptions(), "data.source", str(tmp_path), split)
    assert [str(file.relative_to(tmp_path)) for file in found.files] == read_files
    wrong = find_source(DataOptions(), "data.source", str(tmp_path), "other")
    assert wrong.reason == "the folder has no split 'other'" and "its splits are: " in wrong.fix


def test_a_data_set_that_was_saved_to_disk_is_read_with_its_class_names(tmp_path):
    import datasets

    label = datasets.ClassLabel(names=["bad", "good"])
    features = datasets.Features({"text": datasets.Value("string"), "label": label})
    whole = datasets.Dataset.from_dict({"text": ["x", "y"], "label": [1, 0]}, features=features)
    datasets.DatasetDict({"train": whole, "test": whole}).save_to_disk(tmp_path / "saved")
    assert [row["completion"] for row in read(tmp_path / "saved")] == ["good", "bad"]
    (tmp_path / "saved" / "train" / "state.json").write_text('{"_data_files": [{"filename": "../x.arrow"}]}')
    damaged = find_source(DataOptions(), "data.source", str(tmp_path / "saved"), "train")
    assert not damaged.files and "save_to_disk" in damaged.reason
