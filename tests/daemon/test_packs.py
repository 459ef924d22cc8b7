"""A pack finds its size: it grows while that pays, waits for memory, and the list of events says why."""

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply
from core.contract.wire import console_api, message_codec, worker_api
from core.daemon.console_broadcast import Hub
from core.daemon.event_committer import EventCommitter
from core.daemon.server.worker_inbox import WorkerInbox
from core.daemon.workers.trial_requeue import requeue_or_prune
from core.daemon.workers.worker_pool import Worker
from tests.daemon.conftest import Engine
from tests.daemon.packs import pack

LONG = {"steps": 1_000_000}
AUTO = {"pack": "auto"}


@pytest.fixture
def measuring(tmp_path):
    engine = Engine(tmp_path / "home", worker="tests.daemon.measuring_worker").start()
    yield engine
    engine.end()


def texts(study: s.Study) -> list[str]:
    return [line.text for line in study.lines]


def running(study: s.Study) -> list[int]:
    return [trial.number for trial in study.trials.values() if trial.state == s.RUNNING]


@pytest.mark.real
def test_the_pack_grows_while_that_pays_and_every_step_says_why(measuring):
    measuring.run(study={"trials": 40}, train=LONG, space={"lora_rank": [2]}, resources=AUTO)
    study = measuring.until_study(
        lambda study: any("not worth it" in text for text in texts(study)), "the pack has found its size"
    )
    told = "\n".join(texts(study))
    assert "trial 0 starting on cpu: 0 of 2 slots taken on cpu; auto: starts with 2 at once" in told
    assert "cpu: 4 trials at once (2 gave 2.0k tokens/s, 4 give 4.0k); trying 8" in told
    because = "auto: 4 at once gave 2.0 × the tokens/s of 2"
    assert f"trial 4 starting on cpu: 4 of 8 slots taken on cpu; {because}" in told
    assert running(study) == list(range(8)), "nobody is sent away"
    (held,) = study.packs.values()
    assert (held.worker, held.device, held.trials) == (study.trials[0].worker, "cpu", 8)
    measuring.ask(console_api.PruneTrial("s", 0))
    measuring.until_study(lambda study: study.trials[0].state == s.PRUNED, "it is pruned")
    assert len(measuring.study().trials) == 8, "its place is not filled again"


@pytest.mark.real
def test_a_trial_that_does_not_fit_waits_while_others_go_first(measuring):
    measuring.run(
        study={"trials": 4, "sampler": "grid", "seed": 5}, train=LONG,
        space={"lora_rank": [20, 30, 90, 10]}, resources=AUTO,
    )  # fmt: skip
    study = measuring.until_study(
        lambda study: len(running(study)) == 3 and any("waits" in text for text in texts(study)), "one waits"
    )
    (waiting,) = [trial for trial in study.trials.values() if trial.state == s.QUEUED]
    assert waiting.params["lora_rank"] == 90
    told = [text for text in texts(study) if "waits" in text]
    assert len(told) == 1 and told[0].startswith(f"trial {waiting.number} waits: needs about 90 MiB, ")
    for number in running(study):
        measuring.ask(console_api.PruneTrial("s", number))
    measuring.until(lambda: measuring.trial(waiting.number).state == s.RUNNING, "it runs")


@pytest.mark.real
def test_what_a_lost_worker_held_is_forgotten_and_its_trials_go_on(measuring):
    measuring.run(study={"trials": 3}, train=LONG, space={"lora_rank": [2]}, resources=AUTO)
    first = measuring.until_study(lambda study: study.packs and len(running(study)) == 3, "three run")
    for worker in measuring.workers():
        worker.kill()
    again = measuring.until_study(
        lambda study: study.packs and study.packs.keys() != first.packs.keys() and len(running(study)) == 3,
        "another worker has them",
    )
    assert set(again.packs) == {again.trials[0].worker}


async def test_a_reading_of_the_moment_acknowledges_nothing_that_is_not_on_disk(tmp_path):
    """Heard(2) would let the worker forget 1, and 1 is still being written."""
    may_write, sent = threading.Event(), []
    journal = SimpleNamespace(append_frames=lambda frames, heard: may_write.wait())
    created = e.StudyCreated(at=1.0, study="a", spec={"study": {"name": "a", "trials": 1}}, folder="/a")
    committer = EventCommitter(Hub(), apply(s.State(), created))
    committer.keep("a", journal)
    writing = asyncio.create_task(committer.run())

    async def send(raw: bytes) -> None:
        sent.append(message_codec.read_to_worker(raw))

    worker = Worker("gpu0-w", "a", "gpu0", Path(tmp_path), 60.0, send=send)
    crew = SimpleNamespace(workers={worker.name: worker})
    studies = SimpleNamespace(crew=crew, heard={}, runner_of=lambda study: None)
    telling = WorkerInbox(committer, studies)
    telling.receive(worker, worker_api.Told(1, e.StudyNoted(at=time.time(), study="a", text="kept")))
    telling.receive(worker, worker_api.Told(2, pack(2)))
    for _ in range(50):
        await asyncio.sleep(0)
    before = list(sent)
    may_write.set()
    await committer.wait_until_written()
    while len(sent) < 2:
        await asyncio.sleep(0)
    assert (
        before == []
        and sent == [worker_api.Heard(1), worker_api.Heard(2)]
        and committer.state.studies["a"].packs
    )
    writing.cancel()


@pytest.mark.parametrize(
    ("asked", "becomes"), [(e.PauseAsked, e.TrialRequeued), (e.PruneAsked, e.TrialPruned)]
)
def test_a_trial_that_leaves_for_want_of_memory_waits_unless_it_was_to_be_pruned(asked, becomes):
    state = apply(s.State(), e.StudyCreated(at=1.0, study="a", spec={"study": {"trials": 1}}, folder="/a"))
    why = {"why": "worse"} if asked is e.PruneAsked else {}
    for event in (
        e.TrialQueued(at=1.0, study="a", trial=0, params={}, knobs={}),
        e.TrialStarting(at=1.0, study="a", trial=0, worker="w", device="cpu"),
        asked(at=1.0, study="a", trial=0, by="me", **why),
    ):
        state = apply(state, event)
    told = e.TrialRequeued(at=2.0, study="a", trial=0, why="memory ended", retry=0)
    found = requeue_or_prune(state.studies["a"], told, "worse")
    assert type(found) is becomes and found.why == ("worse" if why else "memory ended")
    after = apply(state, found).studies["a"].trials[0]
    assert (after.state, after.asked) == ((s.PRUNED, "") if why else (s.QUEUED, "pause"))
