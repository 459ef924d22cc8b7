"""One engine per home, whatever the file system can do: with locks, without them, and on another machine."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core import paths
from core.daemon.server import engine_launch, engine_lock
from core.daemon.server.engine_lock import EngineLock, FileLock, Lease
from core.errors import EngineError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return paths.make_private(tmp_path / "home") / "engine.lock"


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, 0])
def locks(request, monkeypatch):
    """File systems that refuse flock, and one that has it."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    if request.param:
        monkeypatch.setattr(fcntl, "flock", refuse)


def test_one_engine_at_a_time(path, locks):
    first = EngineLock(path)
    with pytest.raises(EngineError, match=rf"an engine runs already \(process {os.getpid()}\)"):
        EngineLock(path)
    first.renew()
    first.release()
    EngineLock(path).release()


@pytest.fixture
def no_locks(monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def leased(path: Path, **changes: object) -> Path:
    """A lease that somebody else holds."""
    lease = path.with_name("engine.lock.lease")
    Lease(lease).take()
    lease.write_text(json.dumps({**json.loads(lease.read_text()), **changes}))
    return lease


def test_the_lease_of_a_process_that_was_killed_is_taken_over(path, no_locks):
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    leased(path, pid=done.pid)
    EngineLock(path).release()


def test_the_lease_of_a_number_that_is_another_process_now_is_taken_over(path, no_locks):
    leased(path, born="long ago")
    EngineLock(path).release()


def test_the_lease_of_another_machine_holds_while_it_is_renewed(path, no_locks):
    lease = leased(path, host="elsewhere", pid=1)
    with pytest.raises(EngineError, match="an engine runs already"):
        EngineLock(path)
    os.utime(lease, (time.time() - 2 * engine_lock.LEASE_S,) * 2)
    EngineLock(path).release()
    assert [one.name for one in path.parent.iterdir()] == ["engine.lock"], "nothing is left"


def test_a_lease_holds_against_one_who_gets_a_lock(path):
    """The engine began while the file system had no locks."""
    leased(path)
    assert not FileLock(path).take()


def test_an_engine_that_stood_still_and_lost_the_home_leaves(path, no_locks):
    first = EngineLock(path)
    path.with_name("engine.lock.lease").write_text("{}")
    with pytest.raises(EngineError, match="another engine has taken over the home folder"):
        first.renew()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize("of", ["engine.lock", "engine.starting", "engine.log"])
def test_a_home_that_cannot_be_written_is_told_in_words(path, monkeypatch, code, of):
    opened = os.open

    def refuse(name, *rest, **more):
        if str(name).endswith(of):
            raise OSError(code, os.strerror(code), str(name))
        return opened(name, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(engine_launch.subprocess, "Popen", None)
    with pytest.raises(EngineError, match="the home folder cannot be written") as told:
        EngineLock(path) if of == "engine.lock" else engine_launch.ensure_running(path.parent)
    problem = told.value.problems[0]
    assert problem.where.endswith(of) and "TRIMTAB_HOME" in problem.fix and told.value.exit_code == 3


def test_two_consoles_start_one_engine_where_there_are_no_locks(path, no_locks, monkeypatch):
    started = []
    monkeypatch.setattr(engine_launch, "read_health", lambda socket: started or None)
    monkeypatch.setattr(engine_launch, "_start", lambda base, socket: started.append(base))
    engine_launch.ensure_running(path.parent)
    engine_launch.ensure_running(path.parent)
    assert started == [path.parent]
