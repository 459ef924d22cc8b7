"""``trimtab export``: works from the journal alone, takes nobody's folder, and gives no secret away."""

from __future__ import annotations

import json
import os
import zipfile

import pytest
import tomli_w
from msgspec.structs import replace

from core.cli import exit_codes
from core.cli.main import main
from core.contract.events import event_types as e
from core.store import run_folder
from core.store.bundle import bundle_writer
from core.store.journal_file import Journal
from tests.tui.scored import scored_study

ENDS = ["complete", "pruned", "complete", "failed", "complete"]


@pytest.fixture
def study(home, monkeypatch):
    """A study's folder with a journal, and an adapter of the best trial; no engine, and no drawing: that has
    tests of its own, and a bundle with its pictures one of tests/e2e."""
    monkeypatch.setattr(bundle_writer, "write_png", _not_drawn)
    first, *rest = scored_study(ends=ENDS)
    folder = run_folder.create("tidy-7b", tomli_w.dumps(first.spec))
    adapter = folder / "trials" / "4" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"r": 8}')
    head = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (adapter / "adapter_model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    told = [replace(first, folder=str(folder))]
    told += [replace(one, adapter=str(adapter)) if _best(one) else one for one in rest]
    keep(folder, told)
    return folder


def _not_drawn(plot, path):
    path.touch()
    return ""


def _best(event: e.Event) -> bool:
    return isinstance(event, e.TrialCompleted) and event.trial == 4


def keep(folder, told):
    journal = Journal.open(run_folder.journal_path(folder))
    for _ in journal.replay():
        pass
    journal.append(told)
    journal.close()


def test_a_bundle_holds_all_that_a_rerun_and_a_reader_need(study, tmp_path, capsys):
    out = tmp_path / "the out"
    assert main(["export", "tidy-7b", "--out", str(out)]) == exit_codes.OK
    printed = capsys.readouterr().out
    assert "trial 4 (complete), 5 trials in all" in printed and f"trimtab rerun '{out}'" in printed
    names = {one.relative_to(out).as_posix() for one in out.rglob("*") if one.is_file()}
    assert names >= {
        "study.toml", "versions.json", "data.json", "trials.csv", "trials.parquet", "trials.json",
        "decisions.jsonl", "decisions.md", "README.md", "report.html", "manifest.json",
        "curves/eval_loss.svg", "curves/eval_loss.png", "adapter/README.md",
        "adapter/adapter_model.safetensors",
    }  # fmt: skip
    sums = json.loads((out / "manifest.json").read_text())["files"]
    assert set(sums) == names - {"manifest.json"}
    lines = [json.loads(line) for line in (out / "decisions.jsonl").read_text().splitlines()]
    assert any(line["by"] == "the pruner" and line["why"].startswith("median pruner") for line in lines)
    assert json.loads((out / "versions.json").read_text())["packages"]["torch"]
    trials = {load["trial"]: load for load in json.loads((out / "trials.json").read_text())}
    assert trials[4]["ran"]["alone"] and set(trials[4]["adapter_sha256"]) == {"w"}


def test_without_out_it_goes_into_the_studys_own_folder(study, capsys):
    assert main(["export", "--trial", "2"]) == exit_codes.OK
    assert (study / "export" / "tidy-7b-trial-2" / "report.html").is_file()
    assert "no adapter: trial 2 (complete) has no saved adapter" in capsys.readouterr().out


def test_a_study_without_a_complete_trial_is_exported_as_far_as_it_is(home, tmp_path, capsys):
    first, *rest = scored_study(ends=["pruned"])
    folder = run_folder.create("tidy-7b", tomli_w.dumps(first.spec))
    keep(folder, [replace(first, folder=str(folder)), *rest])
    assert main(["export", "--out", str(tmp_path / "out")]) == exit_codes.OK
    printed = capsys.readouterr().out
    assert "no trial is complete" in printed and "rerun" not in printed
    assert (tmp_path / "out" / "trials.csv").read_text().count("\n") == 2
    assert main(["rerun", str(tmp_path / "out")]) == exit_codes.BAD_INPUT
    assert "the bundle has no complete trial" in capsys.readouterr().err


def test_a_zip_and_a_page_alone(study, tmp_path, capsys):
    assert main(["export", "--zip", "--out", str(tmp_path / "out")]) == exit_codes.OK
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        assert "out/report.html" in file.namelist()
    assert main(["export", "--html", str(tmp_path / "one.html")]) == exit_codes.OK
    assert (tmp_path / "one.html").read_text().startswith("<!doctype html>")
    assert main(["export", "--html", str(tmp_path / "one.html")]) == exit_codes.FAILURE
    assert "the file already exists" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one.html", "out.zip"]


def test_harmful_samples_leave_only_when_asked(study, tmp_path):
    place = study / "trials" / "4" / "evidence"
    place.mkdir()
    (place / "safety_toxicity.json").write_text("{}")
    main(["export", "--out", str(tmp_path / "without")])
    main(["export", "--out", str(tmp_path / "with"), "--evidence"])
    assert not (tmp_path / "without" / "evidence").exists()
    assert (tmp_path / "with" / "evidence" / "trial-4" / "safety_toxicity.json").is_file()


def test_no_secret_is_in_any_file(study, tmp_path, monkeypatch):
    secret = "hf_abcdefghijklmnopqrstuvwx"
    keep(study, [e.StudyNoted(at=9.0, study="tidy-7b", text=f"download with {secret}", level="warning")])
    failed = e.TrialRequeued(at=9.0, study="tidy-7b", trial=4, why=f"token {secret}", retry=1)
    keep(study, [failed])
    main(["export", "--out", str(tmp_path / "out")])
    for one in (tmp_path / "out").rglob("*"):
        assert not one.is_file() or secret[3:].encode() not in one.read_bytes(), one.name


def test_a_strange_folder_stays_and_what_is_unknown_is_said(study, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("a")
    assert main(["export", "--out", str(tmp_path / "mine")]) == exit_codes.FAILURE
    assert "is not a trimtab bundle" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["a"]
    assert (
        main(["export", "none"]) == exit_codes.BAD_INPUT
        and main(["export", "--trial", "9"]) == exit_codes.BAD_INPUT
    )
    assert main(["rerun", str(tmp_path / "mine")]) == exit_codes.BAD_INPUT
    assert "this is not a bundle" in capsys.readouterr().err


def test_a_bundle_may_not_have_code_run_unasked(study, tmp_path, capsys, home):
    spec = (study / "study.toml").read_text()
    assert "trust_remote_code = false" in spec
    first, *rest = scored_study(ends=["complete"])
    unsafe = {**first.spec, "study": {**first.spec["study"], "name": "other"}}
    unsafe["model"] = {**unsafe["model"], "trust_remote_code": True}
    unsafe["evaluate"] = {**unsafe.get("evaluate", {}), "tasks_path": "/tmp/tasks"}
    folder = run_folder.create("other", tomli_w.dumps(unsafe))
    told = [replace(one, study="other") for one in rest]
    keep(folder, [replace(first, study="other", spec=unsafe, folder=str(folder)), *told])
    assert main(["export", "other", "--out", str(tmp_path / "out")]) == exit_codes.OK
    assert main(["rerun", str(tmp_path / "out")]) == exit_codes.FAILURE
    told = capsys.readouterr().err
    assert "runs code from its repository" in told and "/tmp/tasks" in told
    assert "tasks of this bundle may run code" in told and "add --trust-remote-code" in told


@pytest.mark.parametrize("manifest", [True, False])
def test_a_bundle_with_a_pipe_for_a_file_is_refused_and_not_waited_for(study, tmp_path, capsys, manifest):
    main(["export", "--out", str(tmp_path / "out")])
    pipe = tmp_path / "out" / ("manifest.json" if manifest else "study.toml")
    pipe.unlink()
    os.mkfifo(pipe)
    assert main(["rerun", str(tmp_path / "out")]) == exit_codes.BAD_INPUT
    told = capsys.readouterr().err
    assert ("there is no manifest.json" if manifest else "files changed since the export: study.toml") in told


def test_a_page_is_not_written_through_a_link_that_another_user_made(study, tmp_path, capsys):
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    mine.write_text("mine")
    shared.mkdir()
    for name in (".r.html.new", "r.html"):
        (shared / name).symlink_to(mine)
    assert main(["export", "--html", str(shared / "r.html"), "--force"]) == exit_codes.OK
    assert mine.read_text() == "mine" and not (shared / "r.html").is_symlink()


def test_rerun_and_merge_say_what_is_missing(study, tmp_path, capsys):
    main(["export", "--out", str(tmp_path / "out")])
    assert main(["rerun", str(tmp_path / "out")]) == exit_codes.BAD_INPUT
    told = capsys.readouterr().err
    assert "data.source: train.jsonl is not on this machine" in told and "--data FILE" in told
    assert main(["merge", "--trial", "3", "--out", str(tmp_path / "m")]) == exit_codes.FAILURE
    assert "trial 3 (failed) has no adapter" in capsys.readouterr().err


def test_scores_that_are_pending_at_the_export_are_said(home, tmp_path, capsys):
    first, *rest = scored_study(ends=["complete", "pruned", "complete"])
    folder = run_folder.create("tidy-7b", tomli_w.dumps(first.spec))
    waits = [
        replace(one, scoring=400) if isinstance(one, e.TrialCompleted) and one.trial == 2 else one
        for one in rest
    ]
    keep(folder, [replace(first, folder=str(folder)), *waits])
    out = tmp_path / "out"
    assert main(["export", "--out", str(out)]) == exit_codes.OK
    line = "scores of trial 2 at step 400 were still pending"
    assert line in capsys.readouterr().out and f"At the export the {line}." in (out / "README.md").read_text()
    assert line in (out / "report.html").read_text()
    trials = {load["trial"]: load for load in json.loads((out / "trials.json").read_text())}
    assert trials[2]["scoring"] == {"step": 400, "done": 0, "total": 0} and trials[0]["scoring"] is None
    assert "scoring_step,scoring_done,scoring_total" in (out / "trials.csv").read_text().splitlines()[0]
