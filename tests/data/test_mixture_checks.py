"""The sources of a mixture are checked together: copies across them, and how often each is drawn."""

from __future__ import annotations

import json
import random

import pytest

from core.contract.spec import spec_file
from core.data.mixture.mixture_shares import SourceSize
from core.data.mixture.source_passes import NAME, find_passes, list_settings
from core.data.review.study_scan import scan_study

DRAW = random.Random(4)
WORDS = [f"{first}{second}" for first in "abcdefgh" for second in "klmnopqrst"]


def make_rows(first: int, count: int) -> list[dict]:
    return [{"prompt": f"go on {at}", "completion": " ".join(DRAW.choices(WORDS, k=20))}
            for at in range(first, first + count)]  # fmt: skip


def nearly(row: dict) -> dict:
    return row | {"completion": row["completion"] + " at last"}


@pytest.fixture
def scan(tmp_path):
    """Scan the sources code and web, with these rows; the finding of each name in both together."""

    def run(code, web, own=None, **data):
        for name, rows in (("code", code), ("web", web)):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        mixture = [{"name": name, "source": str(tmp_path / f"{name}.jsonl")} for name in ("code", "web")]
        mixture[1] |= own or {}
        raw = {"study": {"name": "s"}, "model": {"base": "org/m"}, "data": {"mixture": mixture, **data}}
        *_, (_, last) = scan_study(spec_file.parse(raw), {}, 0, lambda text: None)
        return last, {finding.name: finding for finding in last.findings}

    return run


def test_validation_rows_that_another_source_trains_on_are_found(scan):
    code, web = make_rows(0, 60), make_rows(1000, 90)
    last, found = scan(code, [*web, *code[:30], *map(nearly, code[30:60])], validation=0.2)
    leaking = found["validation rows that other sources train on"]
    assert last.source.key == "data.mixture" and leaking.rows == 12 + 30
    assert 15 <= leaking.hits <= 24 and leaking.severity == "high" and not leaking.blocks
    assert "are equal: training leaves them out" in leaking.detail and "nearly equal" in leaking.detail
    assert leaking.examples[0].text.startswith("of code, like row ")


def test_rows_of_one_source_alone_are_no_copies_of_another(scan):
    code, web = make_rows(0, 60), make_rows(1000, 60)
    _, found = scan([*code, *code[:10]], web, validation=0.2)
    assert not found["validation rows that other sources train on"].hits


def test_a_validation_file_of_one_source_is_compared_with_the_others(scan, tmp_path):
    code, web = make_rows(0, 60), make_rows(1000, 60)
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in code[:50]))
    _, found = scan(code, web, own={"validation": str(tmp_path / "held.jsonl")})
    leaking = found["validation rows that other sources train on"]
    assert leaking.rows == 6 + 50 and 40 <= leaking.hits < 50, "some are held out by both"


def test_a_source_that_cannot_be_read_is_left_out(scan):
    last, _ = scan(make_rows(0, 20), [], validation=0.2)
    assert last.source.key == "data.mixture.web.source"


def test_a_source_of_one_row_has_none_left_to_train_on(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(make_rows(0, 1)[0]))
    raw = {"study": {"name": "s"}, "model": {"base": "m"}, "data": {"source": str(tmp_path / "a.jsonl")}}
    ((_, found),) = scan_study(spec_file.parse(raw), {}, 0, lambda text: None)
    assert [fault.what for fault in found.faults] == ["no rows are left to train on: the source has 1"]


def spec_of(**sections):
    mixture = [{"name": "code", "source": "c"}, {"name": "web", "source": "w"},
               {"name": "old", "source": "o", "replay": True}]  # fmt: skip
    raw = {"study": {"name": "s"}, "model": {"base": "m"}, "data": {"mixture": mixture}, **sections}
    return spec_file.parse(raw)


SIZES = (SourceSize("code", 100), SourceSize("web", 300), SourceSize("old", 1000, replay=True))


def test_a_small_source_with_a_large_weight_is_drawn_again_and_again():
    space = {"weight.code": {"low": 1.0, "high": 9.0}, "replay": {"low": 0.0, "high": 0.5}}
    train = {"steps": 500, "batch_size": 8, "weight.web": 1.0}
    found = find_passes(spec_of(train=train, space=space), SIZES)
    assert found.name == NAME and (found.hits, found.rows) == (100, 1400) and found.severity == "medium"
    assert "code: 25 to 90 %, each row up to 36 times" in found.detail
    assert "web: 5 to 50 %, each row up to 6.7 times" in found.detail
    assert "old: 0 to 50 %, each row up to 2 times" in found.detail


def test_many_epochs_of_all_sources_are_meant_and_few_rows_with_much_replay_are_not():
    sizes = [size._replace(replay=False) for size in SIZES]
    found = find_passes(spec_of(train={"epochs": 20.0}), sizes)
    assert not found.hits and "28,000 rows that a trial draws at most" in found.detail
    found = find_passes(spec_of(train={"epochs": 20.0}), SIZES)
    assert found.hits == 400 and "code: 23.8 %, each row up to 66 times" in found.detail


def test_what_the_finding_follows_from_is_part_of_the_key_of_a_review():
    one, other = (spec_of(train={"weight.web": weight}) for weight in (1.0, 2.0))
    assert list_settings(one) != list_settings(other)
    assert list_settings(one) == list_settings(spec_of(train={"weight.web": 1.0, "learning_rate": 0.5}))
