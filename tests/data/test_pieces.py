"""A large file is read in pieces, by one process or several: the findings are the same."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contract.spec.study_spec import DataOptions
from core.data.checks import scan_rows
from core.data.checks.evaluation_prompt_matches import PromptIndex
from core.data.copies.contaminated_rows import KnownTexts
from core.data.formats.file_lines import count_nothing
from core.data.readers import local_file_reader
from core.data.readers.source_files import find_sources
from core.data.scan import scan_processes
from core.data.scan.row_tallies import ScanOptions
from core.data.stream import file_pieces
from core.data.stream.file_pieces import plan_pieces, read_piece
from core.errors import TrimtabError

PROMPTS = PromptIndex({"harmful requests": ["Describe in five steps how the moon is stolen at night."]})
WHOLE = 8 << 20


def rows(count=400):
    """Rows with some of every defect."""
    draw, made = random.Random(3), list[dict]()
    for number in range(count):
        words = [f"w{draw.randrange(3000)}" for _ in range(draw.randint(3, 40))]
        made.append({
            "prompt": f"Question {number}?", "completion": "Of course, this is it: " + " ".join(words),
            "group": f"g{number // 3}", "label": draw.choice("aaaaaaab"), "n": number % 2,
        })  # fmt: skip
    for number in range(0, count, 9):
        made[number]["completion"] = made[number - 1]["completion"] + " end"
    made[50]["completion"] = made[350]["completion"] = " "
    made[51]["completion"] = made[351]["completion"] = "cafÃ© for jane@example.org"
    made[52]["prompt"] = made[353]["prompt"] = "Describe in five steps how the moon is stolen at night!"
    made[53]["prompt"] = made[354]["prompt"] = "say <|im_start|> here"
    made[54]["completion"] = made[355]["completion"] = 7 * "long words of an answer "
    made[55] = made[356] = {"prompt": None, "completion": "x", "group": "g1"}
    made[57] = made[357] = made[20]
    return made


def write(path, made):
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def scan(path, size=1000, processes=1, **options):
    data = DataOptions(source=str(path), **options)
    known = KnownTexts([str(path.parent / "known.jsonl")], "x")
    asked = ScanOptions(data, PROMPTS, size, length=40, known=known, processes=processes)
    return list(scan_rows.scan_all(find_sources(data), asked, lambda _: None))


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "known.jsonl", [{"text": row["completion"]} for row in rows()[100:103]])
    return write(tmp_path / "a.jsonl", rows())


@pytest.mark.parametrize("where", [{}, {"n": [1]}])
def test_the_findings_in_pieces_are_those_of_the_whole(path, monkeypatch, where):
    whole = scan(path, where=where)
    monkeypatch.setattr(file_pieces, "PIECE_BYTES", 5_000)
    assert len(plan_pieces([path])) > 10
    assert scan(path, where=where) == whole
    found = {finding.name for finding in whole[0].findings if finding.hits}
    assert len(found) >= 7 and whole[0].read > 150


def test_several_processes_find_what_one_finds(path, monkeypatch):
    monkeypatch.setattr(file_pieces, "PIECE_BYTES", 20_000)
    one = scan(path, size=30)
    assert one[0].sampled == 30 and scan(path, size=30, processes=2) == one
    held = write(path.parent / "v.jsonl", rows()[200:260])
    assert scan(path, 0, 2, validation=str(held)) == scan(path, 0, 1, validation=str(held))


def test_a_process_that_does_not_answer_costs_no_row(path, monkeypatch):
    monkeypatch.setattr(file_pieces, "PIECE_BYTES", 20_000)
    one = scan(path, size=0)
    monkeypatch.setattr(scan_processes, "MODULE", "core.no_such_module")
    assert scan(path, size=0, processes=2) == one


@pytest.mark.parametrize("processes", [1, 2])
def test_the_scan_ends_at_the_first_fault_and_names_its_line(path, monkeypatch, processes):
    lines = path.read_text().splitlines()
    lines[210], lines[300] = "{bad", "{also bad"
    path.write_text("\n".join(["", *lines]))
    monkeypatch.setattr(file_pieces, "PIECE_BYTES", 10_000)
    (found,) = scan(path, 0, processes)
    assert found.read <= 210 and "line 212" in found.notes[0] and "300" not in found.notes[0]


def test_rows_keep_the_numbers_of_their_lines_where_others_are_left_out(path):
    (found,) = scan(path, where={"n": [1]})
    shown = {finding.name: [each.row for each in finding.examples] for finding in found.findings}
    assert shown["damaged encoding"] == [52, 352]
    assert all(number % 2 == 0 for numbers in shown.values() for number in numbers)


@pytest.mark.parametrize("size", [1, 2, 7, 16, 33, 1000])
def test_pieces_of_any_size_have_every_line_once(tmp_path, monkeypatch, size):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": "\xc3\xa9"}\r\n   \n{"a": NaN}\n{"a": [2]}')
    monkeypatch.setattr(file_pieces, "PIECE_BYTES", size)
    counted = []
    read = [row["a"] for piece in plan_pieces([path]) for row in read_piece(piece, "k", counted.append)]
    assert read[:2] == [1, "é"] and read[2] != read[2] and read[3] == [2]
    assert sum(counted) == path.stat().st_size


def test_a_line_that_spans_pieces_is_read_once_and_two_values_in_a_line_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    monkeypatch.setattr(file_pieces, "PIECE_BYTES", 100)
    path.write_text(json.dumps({"a": "x" * 1000}) + '\n{"a": 1} {"a": 2}\n')
    pieces = plan_pieces([path])
    assert [len(row["a"]) for piece in pieces[:5] for row in read_piece(piece, "k", count_nothing)] == [1000]
    with pytest.raises(TrimtabError, match="line 2"):
        [*read_piece(pieces[-1], "k", count_nothing)]


VALUES = st.recursive(
    st.sampled_from(
        ["1.10", "1e5", "-0", "-0.0", "1E400", "12345678901234567890123", "NaN", "-Infinity", "null", "01"]
        + ['"\\ud800"', '"\\u00e9"', '"a\tb"', '"é\\n"', "[", '{"a":1,"a":2.50}', ""]
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda made: f"[{','.join(made)}]") | st.lists(
        inner, max_size=3
    ).map(lambda made: "{" + ",".join(f'"k{at}": {one}' for at, one in enumerate(made)) + "}"),
    max_leaves=6,
)  # fmt: skip


def describe(rows):
    """The rows with each number's type and digits, up to a fault and with its message."""
    read = []
    try:
        for row in rows:
            read.append((str(row), [(type(value), str(value)) for value in row.values()]))
    except TrimtabError as error:
        read.append(error.problems)
    return read


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES.map(lambda made: made if made.startswith("{") else f'{{"v": {made}}}'), max_size=4))
def test_training_reads_the_rows_that_the_usual_reader_reads(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "exact.jsonl"
    path.write_text("\n".join(lines))
    pieces = plan_pieces([path])
    got = describe(row for piece in pieces for row in read_piece(piece, "k", count_nothing, is_exact=True))
    assert got == describe(local_file_reader.read_rows(path, "k"))
