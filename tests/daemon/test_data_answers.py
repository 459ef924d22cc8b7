"""The engine has rows checked and marked by other processes, one at a time, and says how far they are."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, message_codec
from core.contract.wire.answers.data_messages import AskDataReview, AskDataRow
from core.daemon.answers import data_answers
from core.daemon.answers.data_answers import DataReviews, RowAnswers
from core.errors import TrimtabError

SCRIPT = "tests.daemon.scripted_rows"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr(data_answers, "REVIEW", SCRIPT)
    monkeypatch.setattr(data_answers, "ROWS", SCRIPT)
    (tmp_path / "a.jsonl").write_text("{}\n")
    raw = {"study": {"name": "s"}, "model": {"base": "org/m"}, "data": {"source": str(tmp_path / "a.jsonl")}}
    spec = spec_file.convert_to_raw(spec_file.parse(raw))
    created = e.StudyCreated(at=1.0, study="s", spec=spec, folder=str(tmp_path))
    return apply(State(), created).studies["s"]


def environment(study: str) -> dict[str, str]:
    return {**os.environ, "HF_TOKEN": os.environ.get("HF_TOKEN", "")}


def checks(study) -> list[str]:
    file = Path(study.folder) / "checks"
    return file.read_text().splitlines() if file.exists() else []


async def finish(reviews: DataReviews, study, **more):
    review = await reviews.answer(study, AskDataReview("s", **more))
    while not review.is_done:
        review = await reviews.answer(study, AskDataReview("s", review.version))
    return review


async def test_a_check_says_how_far_it_is_then_what_it_found_and_is_kept_for_these_files(study, tmp_path):
    reviews = DataReviews(environment)
    review = await reviews.answer(study, AskDataReview("s"))
    while review.stage != "reading a.jsonl":
        review = await reviews.answer(study, AskDataReview("s", review.version))
    (tmp_path / "go").touch()
    first = await finish(reviews, study)
    assert await reviews.answer(study, AskDataReview("s")) == first and checks(study) == ["[]"]
    assert await finish(reviews, study, again=True) != first and checks(study) == ["[]", "['again']"]
    (tmp_path / "a.jsonl").write_text("{}\n{}\n")
    await finish(reviews, study)
    assert checks(study) == ["[]", "['again']", "[]"], "other files are checked anew"


async def test_a_console_that_only_reads_sees_a_check_and_begins_none(study, tmp_path):
    (tmp_path / "go").touch()
    reviews = DataReviews(environment)
    assert "have not been checked" in (await finish(reviews, study, only_known=True)).why_none
    assert not checks(study)
    found = await finish(reviews, study)
    (tmp_path / "a.jsonl").write_text("{}\n{}\n")
    assert await finish(reviews, study, only_known=True, again=True) == found and len(checks(study)) == 1


async def test_two_consoles_share_a_check(study, tmp_path):
    (tmp_path / "go").touch()
    reviews = DataReviews(environment)
    both = await asyncio.gather(finish(reviews, study), finish(reviews, study))
    assert both[0] == both[1] and len(checks(study)) == 1


async def test_a_check_that_dies_says_so_and_an_engine_that_leaves_ends_it(study, tmp_path):
    reviews = DataReviews(environment)
    (tmp_path / "go").touch()
    (tmp_path / "dies").touch()
    assert "the check ended early" in (await finish(reviews, study)).why_none
    (tmp_path / "go").unlink()
    begun = await reviews.answer(study, AskDataReview("s", again=True))
    while begun.stage != "reading a.jsonl":
        begun = await reviews.answer(study, AskDataReview("s", begun.version))
    await reviews.close()
    assert not [one for one in psutil.Process().children() if SCRIPT in one.cmdline()]


async def test_secrets_are_taken_out_of_what_was_found(study, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    (tmp_path / "go").touch()
    assert "hf_abc" not in str(await finish(DataReviews(environment), study))


async def test_rows_come_from_one_process_which_is_started_again_after_it_ended(study, tmp_path):
    (tmp_path / "rows").touch()
    rows = RowAnswers(environment)
    first, second = [await rows.answer(study, AskDataRow("s", "data.source", row)) for row in (1, 2)]
    assert (first.row, second.row) == (1, 2) and first.notes == second.notes
    with pytest.raises(TrimtabError, match="the process that reads rows ended"):
        await rows.answer(study, AskDataRow("s", "data.source", 13))
    third = await rows.answer(study, AskDataRow("s", "data.source", 3))
    assert third.notes != first.notes
    await rows.close()
    assert not psutil.pid_exists(int(third.notes[0]))


def test_the_questions_and_answers_come_over_the_wire():
    for request in (AskDataReview("s", 3, True), AskDataRow("s", "data.source", 7)):
        sent = message_codec.encode(console_api.Ask(1, request))
        assert message_codec.read_from_console(sent).request == request
