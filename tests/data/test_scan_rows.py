"""A scan reads any file in one pass, says what it read, and never fails on bad data."""

from __future__ import annotations

import json

import pytest

from core.contract.spec.study_spec import DataOptions
from core.data.checks import scan_rows
from core.data.checks.evaluation_prompt_matches import PromptIndex
from core.data.checks.row_sample import RowSample
from core.data.readers.row_texts import RowTexts
from core.data.readers.source_files import find_sources
from core.data.scan.row_tallies import ScanOptions

PROMPTS = PromptIndex({"harmful requests": ["Describe in five steps how the moon is stolen at night."]})


def silent(what):
    pass


def scanned(path, size=100, tell=silent, **options):
    return next(scans(path, size, tell, **options))


def scans(path, size=100, tell=silent, **options):
    """The scans of all sources of a study."""
    data = DataOptions(source=str(path), **options)
    asked = ScanOptions(data, PROMPTS, size, length=512)
    return scan_rows.scan_all(find_sources(data), asked, tell)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


OF_CONTENT = ("personal data", "toxic text", "answers that refuse", "rows that equal evaluation prompts")


def of_name(found, name):
    return next(finding for finding in found.findings if finding.name == name)


def hits(found):
    return [of_name(found, name).hits for name in OF_CONTENT]


def test_each_kind_is_counted_once_per_row(tmp_path):
    rows = [{"prompt": f"What is {n} plus {n}?", "completion": f"It is {2 * n}."} for n in range(40)]
    rows[3]["completion"] = "Write to jane@example.org or to joe@example.org."
    rows[5]["completion"] = "You are a stupid worthless idiot."
    rows[6]["completion"] = "I'm sorry, but I can't help with that."
    rows[8]["prompt"] = "Describe in five steps how the moon is stolen at night!"
    found = scanned(write(tmp_path / "a.jsonl", rows))
    assert hits(found) == [1, 1, 1, 1] and (found.read, found.sampled) == (40, 40) and not found.notes
    assert [of_name(found, name).examples[0].row for name in OF_CONTENT] == [4, 6, 7, 9]


def test_a_long_file_is_sampled_but_compared_with_all_prompts(tmp_path):
    rows = [{"text": f"The number {n} is here."} for n in range(500)]
    rows[499]["text"] = "Describe in five steps how the moon is stolen at night!"
    told = []
    found = scanned(write(tmp_path / "a.jsonl", rows), size=20, tell=told.append)
    assert (found.read, found.sampled) == (500, 20)
    equal = of_name(found, "rows that equal evaluation prompts")
    assert equal.hits == 1 and equal.rows == 500
    assert any("500 rows" in what for what in told)


def test_a_sample_has_rows_from_everywhere_and_is_the_same_each_time():
    def sample():
        drawn = RowSample(200)
        for number in range(10_000):
            drawn.add(RowTexts(number))
        return [row.number for row in drawn.sample()]

    kept = sample()
    assert kept == sorted(kept) == sample() and len(set(kept)) == 200
    assert 60 < sum(number < 5000 for number in kept) < 140


def test_a_source_beyond_the_most_rows_says_that_the_rest_is_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_rows, "MOST_READ", 30)
    path = write(tmp_path / "a.jsonl", [{"text": f"Row {n}."} for n in range(30)])
    assert scanned(path).notes == ()
    write(path, [{"text": f"Row {n}."} for n in range(31)])
    found = scanned(path)
    assert found.read == 30 and found.notes == ("only the first 30 rows are read",)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b"", "the file is empty"),
        ("a.jsonl", b"\n\n", None),
        ("a.jsonl", b'{"text": "one"}\n{"text": \xff}\n', "line 2"),
        ("a.jsonl", b'{"text": "one"}\n{"text"\n', "line 2"),
        ("a.jsonl", b"[1, 2]\n", "line 1"),
        ("a.jsonl", bytes(range(256)) * 40, "NUL bytes"),
        ("a.jsonl", '{"text": "x"}'.encode("utf-16"), None),
        ("a.jsonl", b"[" * 100_000, "line 1"),
        ("a.json", b'{"data": [{"text": "x"}]}', "the rows are the list 'data'"),
        ("a.csv", b"text,text\n1,2\n", "appears twice"),
        ("a.parquet", b"PAR1 not parquet", "cannot be read"),
        ("a.jsonl.gz", b"not gzip", "cannot be read"),
        ("a.xlsx", b"x", "not supported"),
        ("a.jsonl", b'{"text": "\x1b[31m"}\n', "line 1"),
    ],
)
def test_a_bad_file_is_one_line_with_its_place(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    notes = scanned(path).notes
    assert notes == () if told is None else (len(notes) == 1 and told in notes[0] and "\n" not in notes[0])


def test_what_stands_before_a_fault_is_scanned(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "Write to jane@example.org."}\n{bad\n{"text": "x"}\n')
    found = scanned(path)
    assert found.read == 1 and hits(found)[0] == 1 and "line 2" in found.notes[0]


@pytest.mark.parametrize("piece", ["x", "1-", "a@", "*a", '"', " ", "i will kill "])
def test_a_line_of_five_megabytes_is_scanned_at_its_beginning(tmp_path, piece):
    path = write(tmp_path / "a.jsonl", [{"text": "y" + piece * (5_000_000 // len(piece))}])
    found = scanned(path)
    assert found.read == 1 and found.notes == ("long rows of which only the beginning is scanned: 1",)


def test_rows_of_mixed_types_are_counted_with_their_reasons(tmp_path):
    rows = [{"text": "fine"}, {"text": 5}, {"text": None}, {"text": {}}, {"other": 1}, {"text": [1]}]
    found = scanned(write(tmp_path / "a.jsonl", rows))
    assert found.read == 2 and found.notes[0].startswith("rows that training skips: 4 (")


def test_only_rows_that_the_study_uses_are_scanned(tmp_path):
    rows = [{"text": f"Row {n}.", "language": "en" if n % 3 else "de"} for n in range(30)]
    found = scanned(write(tmp_path / "a.jsonl", rows), where={"language": ["de"]})
    assert found.read == 10 and of_name(found, "exact duplicates").rows == 10


def test_without_a_sample_only_the_checks_of_all_rows_run(tmp_path):
    found = scanned(write(tmp_path / "a.jsonl", [{"text": "Write to jane@example.org."}]), size=0)
    names = {finding.name for finding in found.findings}
    assert not names & {"personal data", "toxic text", "answers that refuse", "languages"}
    assert {"rows that equal evaluation prompts", "near duplicates", "rows that are cut"} <= names


def test_a_folder_is_scanned_file_by_file(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": "one"}])
    write(tmp_path / "b.jsonl", [{"text": "two"}, {"text": "three"}])
    (tmp_path / "LICENSE.txt").write_text("no rows")
    (tmp_path / "notes.md").write_text("no rows")
    assert scanned(tmp_path).read == 3


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("org/set", "only local files are scanned"),
        ("none.jsonl", "does not exist"),
        ("demo:stdlib", "the demo's rows"),
    ],
)
def test_what_cannot_be_scanned_says_why(source, told):
    found = scanned(source)
    assert not found.findings and told in found.notes[0]


def test_a_separate_validation_file_is_a_source_of_its_own(tmp_path):
    data = DataOptions(source="a.jsonl", validation=str(write(tmp_path / "v.jsonl", [{"text": "x"}])))
    assert [source.key for source in find_sources(data)] == ["data.source", "data.validation"]
    assert len(find_sources(DataOptions(source="a.jsonl", validation=0.1))) == 1
    split = find_sources(DataOptions(source="org/set", validation="test"))[1]
    assert split.reason == "it is a split of data.source"
