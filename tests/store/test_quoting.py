"""What stands in a cell, a line or a key stays there: CSV, Markdown and TOML that hold anything."""

from __future__ import annotations

import csv
import io
import tomllib

import pytest

from core.contract.spec import spec_file
from core.store.report import markdown_escape, trial_table_export
from tests.search import studies

ODD = (
    'say "yes"', "a, b; c", "one\ntwo\r\nthree", "a | b || c", "=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1+1",
    "\ufeff=1", "\\| \\", "'", "`code` **bold** [x](http://evil)", "<b>&amp;</b>", "\x1b[31m", "\u202egpj",
)  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_csv_reads_back_as_one_cell_that_no_spreadsheet_runs(text):
    rows = [{"trial": 0, "why": text, "last": 7}, {"trial": 1, "why": None, "last": 8}]
    names, first, second = csv.reader(io.StringIO(trial_table_export.encode_csv(rows)))
    assert (names, first[0], first[2], second) == (["trial", "why", "last"], "0", "7", ["1", "", "8"])
    assert first[1].removeprefix("'") == text.removeprefix("'")
    assert not first[1].lstrip("\t\r\n \ufeff").startswith(trial_table_export.FORMULA), (
        "a spreadsheet leaves blanks out"
    )


@pytest.mark.parametrize("text", ODD)
def test_a_markdown_cell_is_one_line_without_a_bar_or_markup_of_its_own(text):
    for shown in (markdown_escape.escape(text), markdown_escape.escape_code(text)):
        (_, _, line, _) = markdown_escape.write_table(["a", "b"], [[shown, "end"]])
        bars = [at for at, one in enumerate(line) if one == "|" and line[at - 1 : at] != "\\"]
        assert len(bars) == 3 and line.endswith(" end |") and "\n" not in line and "\r" not in line
        assert "<b>" not in shown and "://" not in shown and "\x1b" not in shown and "\u202e" not in shown


@pytest.mark.parametrize("text", [one for one in ODD if one.isprintable() or "\n" in one])
def test_toml_reads_back_what_was_written(text):
    raw = studies.raw()
    whole = spec_file.parse({**raw, "data": {"source": "a.jsonl", "prompt_key": text}})
    assert tomllib.loads(spec_file.write(whole))["data"]["prompt_key"] == text
