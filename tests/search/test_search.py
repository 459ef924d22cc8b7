"""The engine's door: a real search process, killed, locked, lost and reconciled."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from functools import partial

import optuna
import psutil
import pytest

from core import paths
from core.errors import SpecError, TrimtabError
from core.search.process.search_client import Search
from tests.search import studies

DEADLINE_S = 120.0


@pytest.fixture
async def opened():
    """Opens searches and closes them."""
    made: list[Search] = []

    async def make(folder, *arguments, note=lambda text: None, **study):
        search = Search(studies.spec(*arguments, **study), folder, note)
        made.append(search)
        await search.open()
        return search

    yield make
    for search in made:
        await search.close()


def plain_study(folder):
    """The study as any Optuna program opens it."""
    return optuna.load_study(study_name="small", storage=f"sqlite:///{folder}/optuna.db")


def states(folder):
    return [trial.state.name for trial in plain_study(folder).trials]


async def test_a_study_runs_and_opens_with_plain_optuna(tmp_path, opened):
    search = await opened(tmp_path, "tpe", pruner="median")
    first, second = await asyncio.gather(search.ask(), search.ask())
    assert (first.number, second.number) == (0, 1)
    assert await search.report(0, 10, {"eval/loss": 2.0}) is None
    await search.tell(0, "complete", (2.0,))
    await search.tell(1, "infeasible")
    await search.tell(0, "failed")  # a second word is ignored
    await search.close()
    study = plain_study(tmp_path)
    assert states(tmp_path) == ["COMPLETE", "PRUNED"] and study.best_value == 2.0
    assert study.metric_names == ["eval/loss"]


async def test_complete_without_usable_values_is_a_failure(tmp_path, opened):
    search = await opened(tmp_path)
    for number, values in enumerate([(), (float("nan"),), (1.0, 2.0)]):
        await search.ask()
        await search.tell(number, "complete", values)
    assert states(tmp_path) == ["FAIL"] * 3


async def test_a_killed_process_is_replaced_and_nothing_is_lost(tmp_path, opened):
    search = await opened(tmp_path)
    await search.ask()
    os.kill(search.pid, signal.SIGKILL)
    assert (await search.ask()).number == 1
    held = search.pid
    os.kill(held, signal.SIGSTOP)  # the call below lies in the pipe of a process that will never read it
    waiting = asyncio.ensure_future(search.tell(0, "complete", (3.0,)))
    await asyncio.sleep(0)
    os.kill(held, signal.SIGKILL)
    await asyncio.wait_for(waiting, DEADLINE_S)
    assert search.pid != held and states(tmp_path) == ["COMPLETE", "RUNNING"]


async def test_a_trial_that_nobody_received_is_given_up(tmp_path, opened):
    search = await opened(tmp_path)
    await search.ask()
    plain_study(tmp_path).ask()  # as a process leaves it that dies between storing and answering
    assert (await search.ask()).number == 2
    assert states(tmp_path) == ["RUNNING", "FAIL", "RUNNING"]


async def test_a_cancelled_caller_leaves_no_half_answer(tmp_path, opened):
    search = await opened(tmp_path)
    cancelled = asyncio.ensure_future(search.ask())
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert (await search.ask()).params and await search.report(0, 10, {"eval/loss": 1.0}) is None


async def test_reconcile_follows_the_journal(tmp_path, opened):
    search = await opened(tmp_path)
    for _ in range(5):
        await search.ask()
    await search.tell(4, "complete", (4.0,))
    await search.close()
    again = await opened(tmp_path)
    journal = {
        0: ("complete", (0.5,), {}),
        1: ("running", (), {}),
        2: ("pruned", (), {}),
        4: ("complete", (4.0,), {}),
    }
    await again.reconcile(journal)
    assert states(tmp_path) == ["COMPLETE", "RUNNING", "PRUNED", "FAIL", "COMPLETE"]
    assert plain_study(tmp_path).best_trial.number == 0
    assert (await again.ask()).number == 5


async def test_a_lost_storage_is_made_again_from_the_journal(tmp_path, opened):
    search = await opened(tmp_path)
    params = (await search.ask()).params
    await search.close()
    (tmp_path / "optuna.db").unlink()
    again = await opened(tmp_path)
    await again.reconcile(
        {0: ("complete", (1.0,), params), 2: ("running", (), params), 3: ("pruned", (), {"x": 1})}
    )
    assert states(tmp_path) == ["COMPLETE", "FAIL", "RUNNING", "PRUNED"]
    found = plain_study(tmp_path).trials
    assert (found[0].values, found[0].params) == ([1.0], found[2].params) and len(found[0].params) == len(
        params
    )
    await again.tell(2, "complete", (0.5,))
    assert plain_study(tmp_path).best_trial.number == 2
    assert (await again.ask()).number == 4


async def test_readings_that_were_missed_are_told_again_for_trials_that_have_not_ended(tmp_path, opened):
    search = await opened(tmp_path)
    for _ in range(4):
        await search.ask()
    await search.report(0, 10, {"eval/loss": 3.0})
    await search.tell(1, "complete", (1.0,))
    await search.close()
    again = await opened(tmp_path)
    curve = ((10, 20, 30), (3.0, 2.0, float("nan")))
    states_now = {0: "running", 1: "complete", 2: "pruned", 3: "running", 4: "running"}
    await again.reconcile(
        {number: (state, (1.0,) if number == 1 else (), {}) for number, state in states_now.items()},
        dict.fromkeys((0, 1, 2, 4), curve),
    )
    found = [trial.intermediate_values for trial in plain_study(tmp_path).trials]
    assert [list(one) for one in found] == [[10, 20, 30], [], [10, 20, 30], [], [10, 20, 30]]
    assert found[0][20] == 2.0 and found[0][30] != found[0][30]
    assert states(tmp_path) == ["RUNNING", "COMPLETE", "PRUNED", "RUNNING", "RUNNING"]
    assert await again.report(0, 40, {"eval/loss": 1.5}) is None


async def test_a_grid_ends_and_a_lost_cell_comes_again(tmp_path, opened):
    search = await opened(tmp_path, "grid")
    cells = [(await search.ask()).params for _ in range(8)]
    assert len({str(cell) for cell in cells}) == 8 and await search.ask() is None
    await search.reconcile({number: ("complete", (1.0,), {}) for number in range(8) if number != 5})
    assert (await search.ask()).params == cells[5]
    assert await search.ask() is None


async def test_a_locked_database_is_waited_for(tmp_path, opened):
    search = await opened(tmp_path)
    line = sqlite3.connect(tmp_path / "optuna.db")
    line.execute("BEGIN EXCLUSIVE")
    waiting = asyncio.ensure_future(search.ask())
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done, "the proposal did not wait for the lock"
    line.rollback()
    line.close()
    assert (await asyncio.wait_for(waiting, DEADLINE_S)).number == 0


async def test_a_full_disk_is_waited_for_and_told_once(tmp_path, opened):
    told = asyncio.Queue()
    search = await opened(tmp_path, note=told.put_nowait)
    process = psutil.Process(search.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (1, psutil.RLIM_INFINITY))
    waiting = asyncio.ensure_future(search.ask())
    word = await asyncio.wait_for(told.get(), DEADLINE_S)
    assert "Optuna's storage failed" in word and "trying again until there is room" in word
    assert not waiting.done()
    process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    first = await asyncio.wait_for(waiting, DEADLINE_S)
    second = await search.ask()
    assert second.number == first.number + 1 and told.empty()
    await search.tell(first.number, "complete", (1.0,))
    assert plain_study(tmp_path).best_value == 1.0


async def test_other_directions_are_refused(tmp_path, opened):
    await (await opened(tmp_path)).close()
    with pytest.raises(SpecError) as caught:
        await opened(tmp_path, objectives=["eval/accuracy"])
    assert "directions are minimize, the study file's maximize" in str(caught.value)


async def test_a_storage_that_cannot_be_is_told_in_words(tmp_path, opened):
    with pytest.raises(TrimtabError) as caught:
        await opened(tmp_path / "nowhere")
    problem = caught.value.problems[0]
    assert "Optuna's storage failed: unable to open database file" in problem.what.replace(
        "(sqlite3.OperationalError) ", ""
    )
    assert "optuna.db" in problem.where and "study.storage" in problem.fix


def script(body):
    """Run a Python program that is not pytest."""
    command = [sys.executable, "-P", "-c", textwrap.dedent(body)]
    return {"args": command, "env": {**os.environ, "PYTHONPATH": str(paths.find_root())}, "text": True}


def test_the_gp_sampler_brings_no_torch_into_the_callers_process(tmp_path):
    done = subprocess.run(
        **script(f"""
            import asyncio, sys
            from pathlib import Path
            from core.search.process.search_client import Search
            from tests.search import studies
            async def main():
                search = Search(studies.spec("gp", startup_trials=1), Path({str(tmp_path)!r}))
                await search.open()
                for number in range(3):
                    proposal = await search.ask()
                    await search.tell(number, "complete", (studies.quadratic(proposal),))
                maps = Path(f"/proc/{{search.pid}}/maps").read_text()
                print("child has torch:", "libtorch" in maps)
                await search.close()
            asyncio.run(main())
            print("parent has:", sorted({{"torch", "optuna", "numpy", "sqlalchemy"}} & set(sys.modules)))
        """),
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.stdout.splitlines() == ["child has torch: True", "parent has: []"], done.stderr


def test_the_process_ends_with_its_parent_even_by_kill_9(tmp_path):
    parent = subprocess.Popen(
        **script(f"""
            import asyncio
            from pathlib import Path
            from core.search.process.search_client import Search
            from tests.search import studies
            async def main():
                search = Search(studies.spec(), Path({str(tmp_path)!r}))
                await search.open()
                print(search.pid, flush=True)
                await asyncio.Event().wait()
            asyncio.run(main())
        """),
        stdout=subprocess.PIPE,
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    psutil.wait_procs([child], timeout=DEADLINE_S)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_an_empty_space_has_one_trial_whatever_was_planned(tmp_path, opened):
    search = await opened(tmp_path, "tpe", {}, trials=5)
    assert (await search.ask()).params == {}
    assert await search.ask() is None


@pytest.mark.parametrize(
    "answer",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02\xc1\xc1", b"\x00\x00\x00\x0f\x81\xa5value\xa7nothing"],
    ids=["endless", "no msgpack", "of another type"],
)
async def test_a_search_process_that_answers_nonsense_is_replaced_and_given_up_in_words(
    tmp_path, monkeypatch, answer
):
    talk = f"import sys; sys.stdout.buffer.write({answer!r}); sys.stdout.flush(); sys.stdin.read()"
    monkeypatch.setattr(Search, "command", ("-S", "-c", talk))
    search = Search(studies.spec(), tmp_path)
    search._begin = partial(_begun, search)
    with pytest.raises(TrimtabError, match="died 3 times during the call 'count'"):
        await search.open()
    assert search.pid is None


async def _begun(search: Search) -> None:
    """Without the call that opens the study: the nonsense is the answer to the first."""
    search._process = await asyncio.create_subprocess_exec(
        sys.executable, *search.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
