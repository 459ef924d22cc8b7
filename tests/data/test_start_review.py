"""The rows of a study are judged before it starts, once for the same contents."""

from __future__ import annotations

import json
import random

import pytest

from core import paths
from core.contract.spec.study_spec import DataOptions
from core.data.cache import cache_key
from core.data.checks import start_review
from core.data.checks.start_review import StartReview
from core.errors import TrimtabError

DRAW = random.Random(3)
WORDS = ["".join(DRAW.choices("etaoinshrd", k=DRAW.randint(2, 8))) for _ in range(2000)]


def fine(count=200):
    return [{"prompt": "Go on.", "completion": " ".join(DRAW.choices(WORDS, k=40))} for _ in range(count)]


def nearly(row):
    words = row["completion"].split()
    words[20] = "changed"
    return row | {"completion": " ".join(words)}


@pytest.fixture
def reviewed(tmp_path, monkeypatch):
    """Take in the rows of a file, split them, and judge: the notes."""
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))

    def review(raws, held=None, **options):
        source = tmp_path / "a.jsonl"
        source.write_text("".join(json.dumps(raw) + "\n" for raw in raws))
        if held is not None:
            options["validation"] = str(tmp_path / "v.jsonl")
            (tmp_path / "v.jsonl").write_text("".join(json.dumps(raw) + "\n" for raw in held))
        taken = StartReview(DataOptions(source=str(source), **options))
        for raw in raws:
            taken.take(raw)
        notes = []
        if held is None:
            notes += taken.divide(0).notes
        else:
            taken.compare(held)
        return notes + taken.judge("data.source")

    return review


def bad_rows(kind):
    rows = fine()
    if kind == "leakage":
        return [*rows, *map(nearly, rows)]
    if kind == "masked":
        return [*rows, *({"messages": [{"role": "user", "content": f"Hi {n}"}]} for n in range(20))]
    return [*rows, *({"prompt": f"[INST] {n} [/INST]", "completion": "Yes."} for n in range(5))]


@pytest.mark.parametrize("kind", ["leakage", "masked", "template"])
def test_bad_rows_keep_a_study_from_starting_unless_the_file_allows_them(reviewed, kind):
    allowed = ["masked", "template"] if kind == "masked" else [kind]  # a row without an answer is both
    with pytest.raises(TrimtabError) as refused:
        reviewed(bad_rows(kind))
    assert f'data.allow = ["{kind}"]' in str(refused.value) and "trimtab check" in str(refused.value)
    others = {"leakage", "masked", "template", "truncation"} - {kind}
    with pytest.raises(TrimtabError):
        reviewed(bad_rows(kind), allow=tuple(others))
    notes = reviewed(bad_rows(kind), allow=tuple(allowed))
    assert any(note.startswith(f'data.allow = ["{kind}"]: ') and " rows, " in note for note in notes)


@pytest.mark.parametrize(
    ("kind", "few", "many"),
    [("masked", 3, 4), ("template", 1, 2), ("leakage", 1, 20)],
)
def test_a_few_bad_rows_of_a_small_file_are_no_obstacle_and_many_are(reviewed, kind, few, many):
    def make(bad):
        rows = fine(20 - bad) if kind != "leakage" else fine(20)
        changed = [nearly(row) for row in rows[:bad]]
        silent = [{"prompt": f"Go on {at}.", "completion": ""} for at in range(bad)]
        marked = [{"prompt": f"[INST] {at} [/INST]", "completion": "Yes."} for at in range(bad)]
        return rows + {"leakage": changed, "masked": silent, "template": marked}[kind]

    reviewed(make(few))
    with pytest.raises(TrimtabError, match=kind):
        reviewed(make(many), validation=0.3)


def test_a_small_validation_file_of_training_rows_is_refused(reviewed):
    rows = fine(30)
    reviewed(rows, held=[*fine(9), rows[0]])
    with pytest.raises(TrimtabError, match="2 of 10 rows"):
        reviewed(rows, held=[*fine(8), *rows[:2]])


def test_good_rows_start_without_a_note(reviewed):
    assert reviewed(fine()) == []


def test_a_validation_file_with_training_rows_is_refused(reviewed):
    rows = fine()
    with pytest.raises(TrimtabError, match="3 of 23 rows"):
        reviewed(rows, held=[*fine(20), rows[0], rows[1], nearly(rows[2])])
    assert reviewed(rows, held=fine(20)) == []


def test_copies_that_are_left_out_are_counted(reviewed):
    rows = fine()
    notes = reviewed([*rows, *map(nearly, rows[:50]), *rows[:10]], deduplicate="near")
    assert notes == ["60 of 260 rows are left out as near duplicates"]


def test_rows_that_training_skips_are_not_held_out_from_the_kept_findings_either(reviewed, tmp_path):
    rows = [{"prompt": "p", "completion": "c"}] * 5 + [{"prompt": "x", "completion": ""}, {"unusable": "y"}]
    first = reviewed(rows)
    assert next((tmp_path / "cache").glob("checks-*.json")).exists() and reviewed(rows) == first
    assert "copies of training rows are among the validation rows" in first[0]


def test_the_same_contents_are_judged_once(reviewed, monkeypatch, tmp_path):
    rows = [*fine(), *map(nearly, fine(150))]
    first = reviewed(rows, deduplicate="near")
    kept = next((tmp_path / "cache").glob("checks-*.json"))
    assert kept.stat().st_mode & 0o777 == 0o600 and rows[0]["completion"][:20] not in kept.read_text()

    def never(*_):
        raise AssertionError("rows were hashed again")

    monkeypatch.setattr(start_review.RowPrints, "add", never)
    assert reviewed(rows, deduplicate="near") == first
    with pytest.raises(AssertionError):
        reviewed([*rows, fine(1)[0]])
    with pytest.raises(AssertionError):
        reviewed([*rows[:-1], rows[-1] | {"prompt": "Go up."}], deduplicate="near")  # of the same size


@pytest.mark.parametrize("part", ["hash_code", "find_version"])
def test_findings_of_another_version_of_the_code_are_not_used(reviewed, monkeypatch, tmp_path, part):
    rows = fine()
    reviewed(rows)
    monkeypatch.setattr(start_review, part, lambda *_: "another")
    reviewed(rows)
    assert len(list((tmp_path / "cache").glob("checks-*.json"))) == 2


@pytest.mark.parametrize(
    "options",
    [{"format": "instruction"}, {"prompt_key": "q"}, {"completion_key": "q"}, {"messages_key": "q"},
     {"text_key": "q"}, {"where": {"language": ["de"]}}],
)  # fmt: skip
def test_findings_in_rows_that_were_read_otherwise_are_not_used(reviewed, tmp_path, options):
    rows = fine()
    reviewed(rows)
    reviewed(rows, **options)
    assert len(list((tmp_path / "cache").glob("checks-*.json"))) == 2


def test_rows_are_held_a_megabyte_at_a_time(reviewed, monkeypatch):
    sizes = []
    add = start_review.RowPrints.add
    monkeypatch.setattr(start_review, "BATCH_CHARACTERS", 2000)
    monkeypatch.setattr(
        start_review.RowPrints, "add", lambda self, batch: (sizes.append(len(batch.rows)), add(self, batch))
    )
    reviewed(fine())
    assert sum(sizes) == 200 and max(sizes) < 20


def test_a_broken_cache_is_no_obstacle(reviewed, tmp_path):
    rows = bad_rows("template")
    assert reviewed(rows, allow=("template",))
    kept = next((tmp_path / "cache").glob("checks-*.json"))
    assert "INST" not in kept.read_text(), "what is kept holds no text of a row"
    kept.write_bytes(b"\xff{")
    assert reviewed(rows, allow=("template",))
    (tmp_path / "of others").write_text(
        '{"rows": 205, "exact": [], "near": [], "untrained": [], "findings": []}'
    )
    kept.unlink()
    kept.symlink_to(tmp_path / "of others")
    with pytest.raises(TrimtabError, match="faults of roles"):
        reviewed(rows)


def test_the_code_that_rows_follow_from_is_where_the_cache_looks_for_it():
    for part in cache_key.CODE:
        assert (paths.find_root() / "core" / part).exists(), part
