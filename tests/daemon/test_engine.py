"""The engine: starts on demand, runs a study to its end, is steered, and says why it refuses."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.contract.state import engine_state as s
from core.contract.wire import console_api, engine_client
from core.daemon.server import engine_launch
from core.errors import RefusedError
from tests.daemon.conftest import DEADLINE_S, ROOT, SQLITE, Engine

pytestmark = pytest.mark.real
STORAGE = SQLITE  # as a study of users has it
LONG = {"steps": 1_000_000}


def test_a_study_runs_to_its_end_and_names_its_best(engine):
    engine.run()
    study = engine.until_study(lambda study: study.state == "complete", "the study ends")
    assert [trial.state for trial in study.trials.values()] == ["complete"] * 3
    assert study.why == "3 of 3 trials complete"
    best = max(study.trials.values(), key=lambda trial: trial.params["lora_rank"])
    assert min(trial.values[0] for trial in study.trials.values()) == best.values[0]
    engine.until(lambda: not engine.workers(), "the workers are gone")
    engine.until(lambda: not list(engine.home.rglob("*.pid")), "and their notes")


def test_the_engine_holds_no_torch(engine):
    engine.run(study={"sampler": "gp", "startup_trials": 1})
    engine.until_study(lambda study: study.state == "complete", "the study ends")
    assert "libtorch" not in Path(f"/proc/{engine.process.pid}/maps").read_text()


def test_pause_resume_and_prune_are_confirmed(engine):
    engine.run(train=LONG)
    engine.until_study(lambda study: study.trials and study.trials[0].step > 3, "trial 0 runs")
    engine.ask(console_api.PauseTrial("s", 0))
    engine.until(lambda: engine.trial(0).state == s.PAUSED, "it is paused")
    stood = engine.trial(0).step
    engine.until_study(lambda study: 1 in study.trials and study.trials[1].step > 20, "1 goes on")
    assert engine.trial(0).step == stood and engine.trial(0).asked == ""
    engine.ask(console_api.ResumeTrial("s", 0))
    engine.until(lambda: engine.trial(0).step > stood, "it goes on")
    engine.ask(console_api.PruneTrial("s", 0, why="enough"))
    engine.until(lambda: engine.trial(0).state == s.PRUNED, "it is pruned")
    assert engine.trial(0).why == "enough"
    engine.until_study(
        lambda study: study.trials.get(2) and study.trials[2].state == s.RUNNING, "its place is taken"
    )


def test_stop_ends_the_trials_and_keeps_the_results(engine):
    engine.run(train={"steps": 400}, study={"trials": 500}, resources={"pack": 3})
    engine.until_study(
        lambda study: any(t.state == s.COMPLETE for t in study.trials.values()), "one is complete"
    )
    engine.ask(console_api.StopStudy("s", by="me"))
    study = engine.until_study(lambda study: study.state == "stopped", "the study stops")
    assert s.COMPLETE in {trial.state for trial in study.trials.values()} <= {s.COMPLETE, s.PRUNED}
    assert study.why == "stopped by me"
    engine.run(train={"steps": 400}, study={"trials": 500}, resources={"pack": 3})
    assert engine.study().state == "running"


def test_the_pruner_acts_and_says_why(engine):
    engine.run(
        study={"trials": 30, "pruner": "median", "startup_trials": 1},
        train={"steps": 600}, evaluate={"every": 200},  # few readings: a slow machine keeps up with them
    )  # fmt: skip
    study = engine.until_study(
        lambda study: any(t.state == s.PRUNED for t in study.trials.values()), "a trial is pruned"
    )
    pruned = next(trial for trial in study.trials.values() if trial.state == s.PRUNED)
    assert pruned.why.startswith("median pruner: eval/loss") and "is worse than the median" in pruned.why


REFUSED = [
    (console_api.PauseTrial("none", 0), "there is no study 'none'"),
    (console_api.PauseTrial("s", 99), "trial 99 does not exist"),
    (console_api.ResumeTrial("s", 0), "trial 0 is running, not paused"),
    (console_api.StopEngine(), "studies still run: s"),
    (console_api.StartStudy({"study": {"name": "../x"}}), "must be 1 to 64"),
    (console_api.StartStudy({"study": {"name": "t"}, "model": {"base": "b"}, "data": {"source": "d"},
                      "resources": {"devices": [7]}}), "GPU 7 is not available"),
]  # fmt: skip


def test_what_cannot_be_done_is_refused_with_the_reason(engine):
    engine.run(train=LONG)
    engine.until_study(lambda study: study.trials and study.trials[0].state == s.RUNNING, "trial 0 runs")
    for wanted, told in REFUSED:
        with pytest.raises(RefusedError, match=told):
            engine.ask(wanted)
    assert engine.trial(0).state == s.RUNNING


def test_the_same_name_with_other_settings_is_refused(engine):
    engine.run(train=LONG)
    engine.run(train=LONG)  # the same again: nothing to do
    with pytest.raises(RefusedError, match=r"study\.trials = 2, and 3 trials are planned already"):
        engine.run(study={"trials": 2}, train=LONG)
    with pytest.raises(RefusedError, match=r"with other settings exists: train\.steps"):
        engine.run(train={"steps": 5})


def test_a_base_that_cannot_be_loaded_ends_the_study_with_the_reason(engine):
    engine.run(train={"steps": 5, "seed": 3})
    study = engine.until_study(lambda study: study.state == "failed", "the study fails")
    assert study.why == "the base model cannot be loaded (model.base) → check the id"
    assert all(trial.state == s.FAILED for trial in study.trials.values())
    (engine.home / "studies" / "s" / "mine.txt").write_text("kept")
    engine.run(study={"trials": 1}, train={"steps": 5}, model={"base": "corrected"})
    study = engine.until_study(lambda study: study.state == "complete", "the corrected file is taken")
    assert [trial.state for trial in study.trials.values()] == [s.COMPLETE] and study.total_trials == 1
    aside = engine.home / "replaced" / "s-1"
    assert (aside / "mine.txt").read_text() == "kept" and (aside / "journal.log").exists()
    told = [line.text for line in study.lines if line.text.startswith("started again")]
    assert told == [
        "started again: the study of this name had trained no step (failed: the base model cannot be loaded "
        f"(model.base) → check the id); its files are kept in {aside}"
    ]
    assert not (engine.home / "studies" / "s" / "mine.txt").exists()
    engine.kill()
    assert engine.start().study().spec["model"]["base"] == "corrected"
    with pytest.raises(RefusedError, match="with other settings exists"):
        engine.run(study={"trials": 1}, train={"steps": 6}, model={"base": "corrected"})


def test_a_second_engine_is_refused(engine):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRIMTAB_HOME": str(engine.home)}
    command = [sys.executable, "-P", "-m", "core.daemon"]
    command = [sys.executable, "-P", "-m", "core.daemon"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
    assert second.returncode == 3
    assert f"an engine runs already (process {engine.process.pid})" in second.stderr
    assert engine_launch.read_health(engine.socket)


def test_it_starts_on_demand_once_and_cleans_up_a_dead_ones_socket(tmp_path):
    home = tmp_path / "home"
    engine = Engine(home)
    try:
        socket = engine_launch.ensure_running(home)
        first = engine_launch.read_health(socket)["pid"]
        assert (
            engine_launch.ensure_running(home) == socket and engine_launch.read_health(socket)["pid"] == first
        )
        os.kill(first, 9)
        engine.until(lambda: engine_launch.read_health(socket) is None, "it is dead")
        assert socket.exists()
        engine_launch.ensure_running(home)
        second = engine_launch.read_health(socket)["pid"]
        assert second != first
        assert socket.stat().st_mode & 0o777 == 0o600 and home.stat().st_mode & 0o777 == 0o700
    finally:
        asyncio.run(engine_client.request(engine.socket, console_api.StopEngine(force=True)))
        engine.until(lambda: engine_launch.read_health(engine.socket) is None, "it is gone")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_another_user_is_refused(engine):
    engine.home.chmod(0o755)  # even when the folder were open
    for folder in engine.home.parents:
        folder.chmod(folder.stat().st_mode | 0o055)
    engine.socket.chmod(0o777)
    code = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
        "s.connect(sys.argv[1])\n"
        "s.sendall(b'GET /state HTTP/1.1\\r\\nHost: e\\r\\n\\r\\n'); print(s.recv(4096).decode())"
    )
    stranger = subprocess.run(
        [sys.executable, "-c", code, str(engine.socket)], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert "403 Forbidden" in stranger.stdout, stranger.stdout + stranger.stderr
