"""The knob ``anonymise``: trials train on placeholders for personal data, and are judged on the same rows."""

from __future__ import annotations

import json
import re

import pytest

from core.contract.events import event_types as e
from core.data.cache import token_cache
from core.train.commands import show_rows
from core.train.data import row_tokenizer
from tests.tiny import tiny_rows

SPACE = {"anonymise": ["off", "on"]}
KNOBS = {"steps": 4, "lora_dropout": 0.1}
PLACEHOLDER = re.compile(r"\[EMAIL_[0-9a-f]{8}\]")


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


@pytest.fixture
def personal(bench, tmp_path):
    """A bench of rows of which two in three have one of five e-mail addresses."""
    with (tmp_path / "people.jsonl").open("w") as file:
        for at in range(60):
            told = f"p{at % 5}@mail.org" if at % 3 else "no one"
            row = {"prompt": f"write {at} to {told}", "completion": f"open {told}", "source": f"s{at % 2}"}
            file.write(json.dumps(row) + "\n")
    data = {"source": str(tmp_path / "people.jsonl"), "validation": 0.2}

    def make(space=SPACE, **sections):
        return bench(
            data={**data, **sections.pop("data", {})}, space=space, train={"sequence_length": 64}, **sections
        )

    return make


def read(one, rows):
    return [one.base.tokenizer.decode(row.ids) for row in rows]


def test_trials_with_and_without_placeholders_train_in_one_pack_as_alone(personal, tmp_path):
    together = personal()
    for number, kind in enumerate(SPACE["anonymise"]):
        together.assign(tmp_path, number, anonymise=kind, **KNOBS)
    together.finish()
    for number, kind in enumerate(SPACE["anonymise"]):
        alone = personal()
        alone.assign(tmp_path, number, anonymise=kind, **KNOBS)
        alone.finish()
        assert together.losses(number) == pytest.approx(alone.losses(number), rel=1e-5)
        ends = [one.of(e.TrialEvaluated, number)[-1].metrics for one in (together, alone)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-5)
    assert together.losses(0)[0] != pytest.approx(together.losses(1)[0], rel=1e-3), "they read other rows"


def test_only_training_rows_change_and_a_value_always_gets_the_same_placeholder(personal):
    one = personal()
    (plain, held), (anonymised, same) = one.data.shorten(64), one.data.shorten(64, "on")
    assert held == same and any("@mail.org" in text for text in read(one, held))
    assert [row.number for row in anonymised] == [row.number for row in plain], "in the same order"
    pairs = {}
    for before, after in zip(read(one, plain), read(one, anonymised), strict=True):
        addresses, placeholders = re.findall(r"p\d@mail\.org", before), PLACEHOLDER.findall(after)
        assert len(addresses) == len(placeholders) and "@" not in after
        for address, placeholder in zip(addresses, placeholders, strict=True):
            assert pairs.setdefault(address, placeholder) == placeholder
    assert len(set(pairs.values())) == len(pairs) == 5
    assert any("training rows have placeholders (email: " in note for note in one.data.notes)
    again = personal().data.shorten(64, "on")[0]
    assert read(one, again) == read(one, anonymised), "the next worker has the same placeholders"


def test_rows_with_placeholders_are_found_once_and_have_a_cache_of_their_own(personal, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    calls, fresh = [], row_tokenizer.tokenize_anonymised
    monkeypatch.setattr(row_tokenizer, "tokenize_anonymised", lambda *told: calls.append(1) or fresh(*told))
    before = personal({}).data  # a study without the knob neither searches rows nor has these
    assert before.anonymised is None and not calls
    first, caches = personal().data, len(list(token_cache.find_folder().iterdir()))
    second = personal().data
    assert calls == [1] and len(list(token_cache.find_folder().iterdir())) == caches
    assert [row.ids.tolist() for row in first.anonymised] == [row.ids.tolist() for row in second.anonymised]
    assert [row.ids.tolist() for row in before.train] == [row.ids.tolist() for row in second.train]


def test_check_shows_the_rows_as_all_trials_see_them(study, personal, capsys):
    searched = personal()
    show_rows.show(searched.spec, 4)
    assert "[EMAIL_" not in capsys.readouterr().out
    data = {"source": searched.spec.data.source}
    show_rows.show(study(data=data, train={"sequence_length": 64, "anonymise": "on"}), 4)
    assert "[EMAIL_" in capsys.readouterr().out


def test_sources_of_a_mixture_are_anonymised_each_and_canaries_are_not(personal, tmp_path):
    tiny_rows(tmp_path / "code.jsonl", 20)
    row = {"prompt": "to p1@mail.org", "completion": "p2@mail.org"}
    (tmp_path / "mail.jsonl").write_text(f"{json.dumps(row)}\n" * 9)
    mixture = [
        {"name": "people"}, {"name": "code", "source": str(tmp_path / "code.jsonl")},
        {"name": "mail", "source": str(tmp_path / "mail.jsonl")},
    ]  # fmt: skip
    one = personal(data={"mixture": mixture}, evaluate={"canaries": 2})
    train, anonymised = one.data.train, one.data.anonymised
    assert [(row.number, row.parts, row.planted) for row in anonymised] == [
        (row.number, row.parts, row.planted) for row in train
    ]
    assert any(row.planted for row in train) and [row for row in anonymised if row.planted] == [
        row for row in train if row.planted
    ]
    assert sum(bool(PLACEHOLDER.search(text)) for text in read(one, anonymised)) > 20
    kinds = {found for text in read(one, anonymised) for found in PLACEHOLDER.findall(text)}
    assert len(kinds) == 5, "a value has the same placeholder in all sources"


def test_a_trial_with_placeholders_in_a_study_without_them_is_infeasible(personal, tmp_path):
    one = personal({})
    one.assign(tmp_path, anonymise="on")
    (event,) = one.of(e.TrialInfeasible)
    assert "loaded without placeholders" in event.why and '["off", "on"]' in event.why
