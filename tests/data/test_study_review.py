"""All that is found in a study's rows is told as it stands in the files, and kept for the same contents."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from core.contract.spec import spec_file
from core.data.review.study_review import review_study

DRAW = random.Random(5)
WORDS = ["".join(DRAW.choices("etaoinshrd", k=DRAW.randint(2, 8))) for _ in range(500)]


def rows(count: int, words: int = 30) -> list[dict]:
    return [{"prompt": f"Go on, {n}.", "completion": " ".join(DRAW.choices(WORDS, k=words)), "id": n}
            for n in range(count)]  # fmt: skip


def write(path: Path, raws: list[dict]) -> None:
    path.write_text("".join(json.dumps(raw) + "\n" for raw in raws))


@pytest.fixture
def review(tmp_path, monkeypatch):
    """Review the rows of a.jsonl; the data, and what was told meanwhile."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "core.data.review.study_review.SAMPLED", 0
    )  # the slow checks take seconds, and are tested elsewhere

    def run(again=False, **data):
        raw = {"study": {"name": "s"}, "model": {"base": "org/m"}, "train": {"sequence_length": 64},
               "data": {"source": str(tmp_path / "a.jsonl"), "validation": 0.2} | data}  # fmt: skip
        told: list[str] = []
        return review_study(spec_file.parse(raw), told.append, again), told

    return run


def test_a_source_is_told_with_its_shape_its_lengths_and_its_findings(review, tmp_path):
    write(tmp_path / "a.jsonl", [*rows(90), *rows(10, 300)])
    (source,) = review()[0].sources
    assert (source.key, source.kind, source.rows, source.files) == ("data.source", "instruction", 100, 1)
    assert source.used == ("prompt", "completion") and source.unused == ("id",)
    assert sum(length.rows for length in source.lengths) == 100
    assert sum(length.rows for length in source.lengths if length.tokens > 64) == 10
    assert source.size_bytes / 5 < source.tokens * 1.2 < source.size_bytes / 3
    names = {finding.name: finding for finding in source.findings}
    assert names["rows that are cut"].hits == 10 and names["rows that are cut"].examples[0].row == 91


def test_what_blocks_says_what_allows_it_and_whether_that_is_allowed(review, tmp_path):
    once = rows(200, 40)
    changed = [row | {"completion": row["completion"].replace(" ", " changed ", 1)} for row in once]
    write(tmp_path / "a.jsonl", [*once, *changed])
    found = {finding.blocks: finding for finding in review()[0].sources[0].findings}
    assert found["leakage"].is_blocking and found["leakage"].hits
    found = {finding.blocks: finding for finding in review(allow=["leakage"])[0].sources[0].findings}
    assert found["leakage"].allowed and not found["leakage"].is_blocking


def test_the_same_contents_are_checked_once_and_others_anew(review, tmp_path):
    write(tmp_path / "a.jsonl", rows(20))
    first, told = review()
    assert any("reading" in stage for stage in told)
    kept, told = review()
    assert kept == first and not any("reading" in stage for stage in told)
    assert review(again=True)[0].checked_at > first.checked_at
    assert review(allow=["leakage"])[0].checked_at > first.checked_at, "other keys"
    write(tmp_path / "a.jsonl", rows(21))
    assert review()[0].sources[0].rows == 21


def test_a_source_that_is_not_on_this_machine_says_why_it_is_not_checked(review):
    (source,) = review(source="org/rows")[0].sources
    assert "hub data set" in source.why_not and not source.findings
    (source,) = review(source="none.jsonl")[0].sources
    assert source.why_not == "the file does not exist; check the path"
