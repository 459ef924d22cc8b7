"""``trimtab augment`` on a small base: a paraphrase is kept where the answer is no less likely after it."""

from __future__ import annotations

import json

import pytest

from core.contract.spec import spec_file
from core.train.commands import augment_rows, paraphrasing
from core.train.data.dataset import MASKED, collate, load_data
from core.train.progress_callback import report_nothing
from core.train.scoring.batched_scoring import BatchedAnswers, UnitResult
from core.train.step.compute_requests import Written
from core.train.step.forward_pass import count_targets
from tests.tiny import WORDS


@pytest.fixture(scope="session")
def folder(shallow):
    return shallow


@pytest.fixture
def saying(monkeypatch):
    """Have a base say these texts, and rate rows by itself."""

    def say(*texts):
        monkeypatch.setattr(paraphrasing, "SHOTS", ())  # the small base has 512 positions
        rate, count = BatchedAnswers.unit, iter(range(10**6))

        def unit(self, asked, limit_s=0.0):
            if asked[0].item is not None:
                return rate(self, asked, limit_s)
            answers = {}
            for question in asked:
                text = texts[next(count) % len(texts)]
                ids = self._base.tokenizer(text, add_special_tokens=False)["input_ids"]
                answers[question] = Written(ids[: question.tokens])
            return UnitResult(answers=answers)

        monkeypatch.setattr(BatchedAnswers, "unit", unit)

    return say


@pytest.fixture
def spec(study, tmp_path):
    """A study file of 12 rows."""
    rows = [{"prompt": f"join the {word}", "completion": f"key {word} value"} for word in WORDS[8:20]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = study(
        data={"source": str(tmp_path / "rows.jsonl"), "validation": 0.25}, train={"sequence_length": 64}
    )
    (tmp_path / "study.toml").write_text(spec_file.write(made))
    return tmp_path / "study.toml"


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_paraphrase_is_kept_where_the_answer_is_no_less_likely_and_the_report_says_why(
    bench, study, spec, saying, tmp_path, capsys
):
    saying(*(f"{word} what {word}s" for word in ("put", "bind", "say", "run", "show", "hold", "go")))
    assert augment_rows.main([str(spec), str(tmp_path / "out")]) == 0
    report, printed = read(tmp_path / "out" / "paraphrases.jsonl"), capsys.readouterr().out
    rated = [line for line in report if "loss" in line]
    kept = [line for line in report if line["verdict"] == "kept"]
    assert len(report) == 18 and rated and kept and len(kept) < len(rated)
    for line in rated:
        likely = line["loss"] <= line["before"] * 1.0001
        assert (line["verdict"] == "the answer is less likely") is not likely, line
    assert f"18 paraphrases tried, {len(kept)} kept" in printed and "→" in printed
    train, made = read(tmp_path / "out" / "train.jsonl"), spec_file.load(tmp_path / "out" / "study.toml")
    assert len(train) == 9 + len(kept) and made.study.name == "s-augmented"
    one = bench()
    before, after = (
        load_data(each, one.base.tokenizer, report_nothing) for each in (spec_file.load(spec), made)
    )
    texts = [[one.base.tokenizer.decode(row.ids) for row in data.validation] for data in (before, after)]
    assert texts[0] == texts[1], "the new study is judged on the rows of the old one"
    assert len(after.train) == len(train)
    data = {"source": str(tmp_path / "out" / "train.jsonl"), "validation": 0.5}
    split = load_data(study(data=data), one.base.tokenizer, report_nothing)
    assert any("rows of a group stay together" in note for note in split.notes)
    answers = [
        {tuple(row.ids[row.labels != MASKED].tolist()) for row in rows}
        for rows in (split.train, split.validation)
    ]
    assert all(answers) and not answers[0] & answers[1], "a row and its paraphrases are on one side"


def test_the_losses_are_those_of_the_answer_by_the_base_alone(bench, spec, saying, tmp_path):
    saying("run what runs")
    assert augment_rows.main([str(spec), str(tmp_path / "out"), "--rows", "2", "--per-row", "1"]) == 0
    one, said = bench(), read(tmp_path / "out" / "paraphrases.jsonl")
    rows = load_data(spec_file.load(spec), one.base.tokenizer, report_nothing).train
    for line in said:
        (row,) = [row for row in rows if f"{line['prompt']}<" in one.base.tokenizer.decode(row.ids)]
        batch = collate([row], one.base.pad_id, one.base.device)
        mean = one.base.model(**batch).loss.item()
        assert line["before"] == pytest.approx(mean * count_targets([row]), rel=1e-4)
    assert len(said) == 2 and [line["row"] for line in said] == sorted(line["row"] for line in said)


def test_nothing_is_written_where_the_base_is_missing_or_the_rows_are_plain_text(spec, tmp_path, capsys):
    text = spec.read_text()
    spec.write_text(text.replace("base = ", 'base = "/no/such/base" # '))
    assert augment_rows.main([str(spec), str(tmp_path / "out")]) != 0
    assert "/no/such/base" in capsys.readouterr().err
    (tmp_path / "rows.jsonl").write_text('{"text": "some words"}\n' * 4)
    assert augment_rows.main([str(spec), str(tmp_path / "out")]) == 2
    assert "plain text: there is no prompt" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.new").exists()
