"""Ctrl+S saves the table, curves, the screen, and through `trimtab export` a report or bundle."""

from __future__ import annotations

import csv
import io

from textual._compositor import Compositor

from core.contract.events import event_types as e
from core.contract.views.trials.trial_csv import write_curves, write_trials
from tests.store import recorded_home
from tests.tui.conftest import render_update
from tests.tui.scene import NOW, no_card, state_of, study_events
from tui.export.saved_kinds import Shown, list_savings


def test_a_csv_has_full_values_in_the_order_shown_and_no_formula():
    note = e.TrialMarked(at=NOW, study="tidy-7b", trial=4, by="me", note="=SUM(A1)")
    study = state_of(study_events(), [note]).studies["tidy-7b"]
    rows = list(csv.DictReader(io.StringIO(write_trials(study, [4, 1, 9]))))
    assert [row["number"] for row in rows] == ["4", "1", "9"]
    assert float(rows[0]["learning_rate"]) == study.trials[4].params["learning_rate"]
    assert rows[0]["note"] == "'=SUM(A1)" and rows[1]["why"].startswith("median pruner")
    assert rows[2]["eval/loss.best"] == "" and rows[2]["state"] == "queued"
    points = list(csv.DictReader(io.StringIO(write_curves(study.trials[4]))))
    assert {"metric": "eval/loss", "step": "20"}.items() <= points[
        next(place for place, point in enumerate(points) if point["metric"] == "eval/loss")
    ].items()


def test_what_lies_on_another_host_is_not_offered():
    study = state_of(study_events("a b/../c")).studies["a b/../c"]
    here = list_savings(Shown("all", study, (1,), study.trials[1]))
    there = list_savings(Shown("all", study, (1,), study.trials[1], "gpu2"))
    assert [saving.kind for saving in here] == ["table", "curves", "picture", "text", "report", "bundle"]
    assert [saving.kind for saving in there] == ["table", "curves", "picture", "text"]
    assert here[0].path == "a-b-..-c-trials.csv" and "1 trial as CSV" in here[0].words


async def test_ctrl_s_saves_the_shown_trials_and_asks_before_a_file_is_replaced(seat, tmp_path, monkeypatch):
    monkeypatch.setattr(Compositor, "render_update", render_update)
    monkeypatch.chdir(tmp_path)
    async with seat(state_of(study_events(), no_card())) as you:
        await you.press("slash", *"complete", "enter", "ctrl+s")
        await you.sees("3 trials as CSV", "the curves of trial 0", "a picture (SVG)", "this folder is")
        await you.press("enter")
        await you.until((tmp_path / "tidy-7b-trials.csv").exists, "the file")
        await you.sees("saved")
        assert len((tmp_path / "tidy-7b-trials.csv").read_text().splitlines()) == 4
        await you.press("ctrl+s", "enter")
        await you.sees("exists: Enter again replaces it")
        await you.press("enter")
        await you.until(lambda: len(you.app.screen_stack) == 2, "it is replaced")
        await you.press("colon", *"save text", "enter")
        await you.sees("tidy-7b-all.txt")
        await you.press("enter")
        await you.until((tmp_path / "tidy-7b-all.txt").exists, "the screen")
        assert "best #4" in (tmp_path / "tidy-7b-all.txt").read_text()
        await you.until(lambda: len(you.app.screen_stack) == 2, "it is left")
        await you.press("colon", *"save bundle", "enter")
        await you.sees("tidy-7b-trial-0 ")
        await you.press("enter")
        await you.sees("no study exists yet")


async def test_a_report_and_a_bundle_are_written_and_said_to_be(seat, tmp_path, monkeypatch):
    recorded_home.copy_to(tmp_path / "home")
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    async with seat(state_of(recorded_home.events(), no_card()), (120, 40)) as you:
        for kind, name, part in (
            ("report", "recorded.html", ""),
            ("bundle", "recorded-trial-0", "README.md"),
        ):
            await you.press("g", "colon", *f"save {kind}", "enter")
            await you.sees(name)
            await you.press("enter")
            await you.until(lambda: len(you.app.screen_stack) == 2, "the dialog is left")
            await you.sees("saved")
            assert "recorded" in (tmp_path / name / part).read_text(), kind
