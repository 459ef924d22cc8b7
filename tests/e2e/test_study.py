"""A study of a real (tiny) model, from the first command to a generated text."""

import asyncio
import json
from pathlib import Path

import optuna
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.contract.spec.knob_table import KNOBS
from core.contract.state import engine_state as s
from tests.e2e.conftest import DEADLINE_S, House

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("e2e")]


def test_from_the_file_to_the_best_adapter(house: House):
    from_the_file_to_the_best_adapter(house)


def test_where_nothing_runs_yet_the_program_starts_all_itself(cold: House):
    from_the_file_to_the_best_adapter(cold)


def from_the_file_to_the_best_adapter(house: House) -> None:
    out = house.trimtab("run", str(house.write()), "--headless")
    assert "trial 0 running from step 0 of 20" in out and "study complete: 3 of 3 trials complete" in out
    status = json.loads(house.trimtab("status", "--json"))
    assert json.dumps(status).count("complete") >= 3
    best = json.loads(house.trimtab("best", "--json"))
    folder = house.home / "studies" / "tiny"
    assert best["adapter"].startswith(str(folder))
    text = house.trimtab("generate", "join the path", "--tokens", "8")
    assert text  # a random model may well say nothing but line ends
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{folder / 'optuna.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert study.best_value == pytest.approx(
        min(t.values[0] for t in house.state().studies["tiny"].trials.values())
    )
    for number in range(3):
        board = EventAccumulator(str(folder / "tb" / str(number)))
        board.Reload()
        steps = [one.step for one in board.Scalars("train/loss")]
        assert steps == sorted(set(steps)) and steps[-1] == 20
        assert [one.step for one in board.Scalars("eval/loss")] == [5, 10, 15, 20]
    assert set(house.state().studies["tiny"].trials[0].knobs) == set(KNOBS)
    the_next_study_is_trained_by_the_spare_worker(house)


def the_next_study_is_trained_by_the_spare_worker(house: House) -> None:
    log = house.home / "engine.log"
    house.until(lambda study: "libraries loaded in" in log.read_text(), "a spare worker waits")
    house.file.write_text(house.write(1, 5).read_text().replace('name = "tiny"', 'name = "next"'))
    assert "study complete: 1 of 1" in house.trimtab("run", str(house.file), "--headless")
    assert "of next: the spare process" in log.read_text()


def test_steered_by_keys_detached_and_found_again(house: House, monkeypatch):
    from tui.app import TrimtabApp

    house.trimtab("run", str(house.write(trials=3, steps=100_000, precision="nf4")), "--detach")
    house.until(lambda one: 1 in one.trials and one.trials[1].step > 0, "two trials run")

    async def first_visit() -> None:
        app = TrimtabApp(house.socket, "tiny")
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.study is not None and 1 in app.study.trials)
            await pilot.press("g", "p")
            await until(pilot, lambda: app.study.trials[0].state == s.PAUSED)
            await pilot.press("p")
            await until(pilot, lambda: app.study.trials[0].state == s.RUNNING)
            await pilot.press("p")
            await until(pilot, lambda: app.study.trials[0].state == s.PAUSED)
            await pilot.press("j", "x", "y")
            await until(pilot, lambda: app.study.trials[1].state == s.PRUNED)
            await pilot.press("q")

    async def second_visit() -> None:
        app = TrimtabApp(house.socket)
        async with app.run_test(size=(140, 40)) as pilot:
            await until(pilot, lambda: app.study is not None)
            assert app.study.trials[0].state == s.PAUSED and app.study.trials[1].state == s.PRUNED
            await until(pilot, lambda: 2 in app.study.trials and app.study.trials[2].step > 0)
            await pilot.press("s", *"tiny", "enter")
            await until(pilot, lambda: app.study.state == "stopped")

    async def until(pilot, true) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not true():
                await pilot.pause(0.05)

    asyncio.run(first_visit())
    before = house.state().studies["tiny"].trials[0].step
    asyncio.run(second_visit())
    study = house.state().studies["tiny"]
    assert study.trials[0].step == before, "a paused trial stands still"
    assert all(trial.state == s.PRUNED for trial in study.trials.values())


def test_killed_and_taken_up_it_ends_as_if_nothing_had_been(house: House):
    import os
    import signal

    from core.daemon.server.engine_launch import ensure_running, read_health

    house.trimtab("run", str(house.write(trials=1, steps=80)), "--detach")
    study = house.until(lambda one: one.trials and one.trials[0].checkpoint_step >= 10, "a checkpoint")
    worker = (
        next(worker.pid for worker in house.state().machine.workers)
        if house.state().machine.workers
        else None
    )
    os.kill(read_health(house.socket)["pid"], signal.SIGKILL)
    if worker is not None:
        os.kill(worker, signal.SIGKILL)
    ensure_running(house.home)
    study = house.until(lambda one: one.state == "complete", "the study ends")
    assert study.trials[0].values and study.trials[0].step == 80
    series = study.trials[0].series["eval/loss"]
    assert list(series.steps) == list(range(5, 81, 5))
    quiet = House(house.home.with_name("quiet"), house.base)
    quiet.start()
    try:
        quiet.trimtab("run", str(quiet.write(trials=1, steps=80)), "--headless")
        whole = quiet.state().studies["tiny"].trials[0]
    finally:
        quiet.end()
    assert (series, study.trials[0].values) == (whole.series["eval/loss"], whole.values), "the same bits"
    adapters = [Path(one.adapter) / "adapter_model.safetensors" for one in (study.trials[0], whole)]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def test_what_cannot_work_ends_the_study_with_the_reason(house: House):
    path = house.write()
    path.write_text(path.read_text().replace("rows.jsonl", "none.jsonl"))
    assert "the file does not exist" in house.trimtab("run", str(path), "--headless", code=5)
