"""A worker's link tells the engine alone, and goes on whatever it is given to tell."""

from __future__ import annotations

import os
import time

from core.contract.events import event_types as e
from core.contract.wire import local_socket
from core.train.commands.engine_link import Link
from tests.stranger import needs_root
from tests.train.engine import Engine


@needs_root
def test_a_worker_tells_a_stranger_nothing(tmp_path, caplog):
    """Somebody else has put a socket in the place of the engine's."""
    address = tmp_path / "engine.sock"
    with local_socket.open_listening(address) as line:
        line.listen()
        line.settimeout(0.5)
        os.chown(address, 65534, 65534)
        link = Link(address, "cpu-1", "s", "cpu", lambda: ())
        link.tell(e.StudyNoted(at=time.time(), study="s", text="a secret"))
        link.start()
        try:
            connection, _ = line.accept()
        except TimeoutError:
            connection = None
        assert connection is None, "the link did not even connect"
        assert link._thread.is_alive(), "it goes on trying"


async def test_what_cannot_be_sent_is_told_in_its_place_and_the_rest_comes(tmp_path):
    engine = Engine(tmp_path / "e.sock")
    await engine.open()
    link = Link(engine.socket, "cpu-1", "s", "cpu", lambda: ())
    common = {"at": 1.0, "study": "s", "trial": 0}
    large = {"step": 2**70, "elapsed_s": 1.0, "metrics": {}}
    link.tell(e.TrialReported(**common, **large))
    link.tell(e.TrialCompleted(**common, step=2**70, values=(1.0,)))
    link.tell(e.StudyNoted(at=2.0, study="s", text="after it"))
    link.start()
    try:
        noted, failed, last = await engine.until(
            lambda: len(engine.told) == 3 and [one for _, one in sorted(engine.told.items())]
        )
    finally:
        await engine.close()
    assert noted.level == "error" and "TrialReported of cpu-1 cannot be sent: " in noted.text
    assert isinstance(failed, e.TrialFailed) and failed.again and "TrialCompleted" in failed.error
    assert last.text == "after it" and link._thread.is_alive()
