"""A worker's link tells the engine alone."""

from __future__ import annotations

import os
import time

from core.contract import events as e
from core.contract import localsocket
from core.train.link import Link
from tests.stranger import needs_root


@needs_root
def test_a_worker_tells_a_stranger_nothing(tmp_path, caplog):
    """Somebody else has put a socket in the place of the engine's."""
    address = tmp_path / "engine.sock"
    with localsocket.listening(address) as line:
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
