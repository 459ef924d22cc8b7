"""The real worker process and a small engine: assigned, steered, cut off, ended."""

import asyncio
import signal
from contextlib import asynccontextmanager

import pytest

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.wire import worker_api
from core.train import checkpoint_files
from tests.train.engine import DEADLINE_S, Engine, start_worker

pytestmark = pytest.mark.real
LONG = 1_000_000  # steps: a trial that ends only when it is told to


@pytest.fixture
def at_work(study, tmp_path):
    """A worker at work for an engine, about the tiny model."""

    @asynccontextmanager
    async def start(**sections):
        engine = Engine(tmp_path / "engine.sock")
        (tmp_path / "study.toml").write_text(spec_file.write(study(**sections)))
        await engine.open()
        process = await start_worker(tmp_path, engine.socket)
        try:
            yield engine, process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await engine.close()

    return start


@pytest.fixture
def assign(study, tmp_path):
    def make(trial: int = 0, paused: bool = False, **knobs) -> worker_api.Assign:
        place = tmp_path / "trials" / str(trial)
        place.mkdir(parents=True, exist_ok=True)
        return worker_api.Assign(trial, {**study().train, **knobs}, str(place), paused=paused)

    return make


async def ended(process) -> int:
    async with asyncio.timeout(DEADLINE_S):
        return await process.wait()


async def test_trials_are_steered_complete_and_go_on_without_the_engine(at_work, assign, tmp_path):
    """One process for both: most of what a worker costs is the import of torch."""
    async with at_work() as (engine, process):
        await engine.until(lambda: engine.hellos)
        hello = engine.hellos[0]
        assert (hello.worker, hello.study, hello.device) == ("cpu-1", "s", "cpu")
        assert hello.pid == process.pid
        await a_trial_is_steered_and_completes(engine, assign, tmp_path)
        await training_goes_on_without_the_engine_and_all_is_told_again(engine, assign)
        await engine.say(worker_api.Shutdown("the study has ended"))
        assert await ended(process) == 0
        assert sorted(engine.told) == list(range(1, max(engine.told) + 1))


async def a_trial_is_steered_and_completes(engine, assign, tmp_path):
    await engine.say(assign(0, steps=LONG), assign(0, steps=LONG))  # twice is once
    running = await engine.first(e.TrialRunning)
    assert (running.total_steps, len(engine.of(e.TrialRunning))) == (LONG, 1)
    stages = [one.stage for one in engine.of(e.Preparing)]
    assert stages[0] == "loading torch and transformers" and stages[-1] == ""
    await engine.first(e.TrialEvaluated)

    await engine.say(worker_api.Pause(0))
    paused = await engine.first(e.TrialPaused)
    assert max(one.step for one in engine.of(e.TrialReported)) <= paused.step
    await engine.say(worker_api.Resume(0))
    resumed = await engine.first(e.TrialResumed)
    assert resumed.step == paused.step

    await engine.say(
        assign(1, steps=6),
        worker_api.Prune(0, "worse than the median"),
        worker_api.Prune(7, "unknown"),
    )
    assert (await engine.first(e.TrialPruned)).why == "worse than the median"
    done = await engine.first(e.TrialCompleted, trial=1)
    assert done.step == 6 and done.values == (engine.of(e.TrialEvaluated, 1)[-1].metrics["eval/loss"],)
    assert (tmp_path / "trials/1/adapter/adapter_model.safetensors").is_file()


async def training_goes_on_without_the_engine_and_all_is_told_again(engine, assign):
    await engine.say(assign(2, steps=60))
    await engine.first(e.TrialReported, trial=2)
    engine.deaf = True
    before = max(engine.told)
    await engine.first(e.TrialReported, trial=2, after=before)
    await engine.close()
    engine.deaf = False
    await engine.open()
    await engine.until(lambda: len(engine.hellos) == 2 and engine.repeated)  # what was not acknowledged
    done = await engine.first(e.TrialCompleted, trial=2)
    assert done.step == 60
    assert sorted(engine.told) == list(range(1, max(engine.told) + 1))
    assert [one.step for one in engine.of(e.TrialReported, 2)] == list(range(1, 61))


async def test_a_terminated_worker_keeps_its_trials(at_work, assign, tmp_path):
    async with at_work() as (engine, process):
        await engine.until(lambda: engine.hellos)
        await engine.say(assign(0, steps=LONG), assign(1, steps=LONG, paused=True))
        await engine.first(e.TrialPaused, trial=1)
        await engine.first(e.TrialEvaluated)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
        kept = checkpoint_files.list_checkpoints(tmp_path / "trials" / "0")[0]
        assert checkpoint_files.read(kept).numbers["step"] >= 4
        await engine.until(lambda: str(kept) in [one.path for one in engine.of(e.TrialCheckpointed)])
        assert not engine.of(e.TrialReported, 1) and not engine.of(e.TrialFailed)


async def test_a_worker_that_cannot_work_says_why_and_leaves(at_work, tmp_path):
    async with at_work(model={"base": str(tmp_path / "nothing")}) as (engine, process):
        broken = await engine.until(lambda: engine.broken)
        assert broken.what == "the folder has no config.json"
        assert "nothing" in broken.where and "save_pretrained" in broken.fix
        assert await ended(process) == 1
