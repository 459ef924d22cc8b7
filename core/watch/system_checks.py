"""What a study needs of the machine beside processors: folders that can be written, file locks, a clock that
goes right, a locale that has the signs, and a session that lasts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
import time
from pathlib import Path

from core import paths
from core.contract.text import terminal_check
from core.errors import TrimtabError
from core.watch import systemd_logout
from core.watch.doctor_finding import FAIL, OK, WARN, Finding

SKEW_S = 5.0  # between two clocks: leases and the order of files are told in seconds
AHEAD_S = 60.0


def cache() -> list[Finding]:
    """trimtab's own cache, and that of the hub's library."""
    found = []
    variables = {"cache": "TRIMTAB_CACHE", "hub cache": "HF_HOME"}
    for name, find in (("cache", paths.cache), ("hub cache", paths.hub_cache)):
        fix = f"set {variables[name]} to a folder of your own, on a disk with room"
        try:
            place = find()
        except TrimtabError as error:
            found.append(Finding(name, FAIL, error.problems[0].what, fix))
            continue
        if paths.is_writable(place):
            found.append(Finding(name, OK, f"{place} is writable"))
        else:  # what is in it already can be read
            found.append(Finding(name, WARN, f"{place} cannot be written", fix))
    return found


def disk(home: Path) -> list[Finding]:
    """File locks, and the file system's clock, in the home folder or where it would be made."""
    place = next((folder for folder in (home, *home.parents) if folder.is_dir()), Path("/"))
    before = time.time()
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            written_at = os.fstat(file.fileno()).st_mtime
            locks = _locks(file.fileno(), place)
    except OSError as error:
        why = f"{place}: nothing can be written ({error.strerror or error})"
        return [Finding("file locks", WARN, why, "set TRIMTAB_HOME to a folder you can write to")]
    return [locks, _clock(written_at - before, home)]


def _locks(file: int, place: Path) -> Finding:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        fix = "set TRIMTAB_HOME to a local disk, or study.storage = 'journal:FILE': SQLite needs locks"
        return Finding("file locks", WARN, f"none in {place}: {error.strerror or error}", fix)
    return Finding("file locks", OK, f"they work in {place}")


def _clock(skew_s: float, home: Path) -> Finding:
    """``skew_s`` is how far the file system's clock is ahead of this machine's."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    fix = "set the clock, such as with `timedatectl set-ntp true`"
    if abs(skew_s) > SKEW_S:
        what = f"{now}; the clock of the disk of {home} differs by {skew_s:+.0f} s"
        return Finding("clock", WARN, what, f"{fix}, here and on the file server")
    ahead_s = _newest(home) - time.time()
    if ahead_s > AHEAD_S:
        what = f"{now}; files of trimtab were written {ahead_s:.0f} s later than that"
        return Finding("clock", WARN, what, f"{fix}: times left and in the event lists are wrong")
    return Finding("clock", OK, now)


def _newest(home: Path) -> float:
    """When trimtab wrote last, or was installed: a clock that says less has been set back."""
    newest = 0.0
    for place in (Path(__file__), paths.engine_log(home), *home.glob("studies/*/journal.log")):
        with contextlib.suppress(OSError):
            newest = max(newest, place.stat().st_mtime)
    return newest


def locale() -> Finding:
    """Can all signs be shown, and every name of a file be read?"""
    shown = getattr(sys.stdout, "encoding", None) or "utf-8"
    names = sys.getfilesystemencoding()
    found = f"text is {shown}, names of files are {names}, {terminal_check.said()}"
    if _is_utf8(shown) and _is_utf8(names):
        return Finding("locale", OK, found)
    return Finding(
        "locale",
        WARN,
        found,
        "export LC_ALL=C.UTF-8: signs such as → are spelt as letters, and there is no console",
    )


def _is_utf8(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") == "utf8"


def session(pid: int | None) -> Finding:
    """Of the engine with this ``pid``, or where none runs, of one that would be started here."""
    why = systemd_logout.reason("self" if pid is None else pid)
    if not why:
        return Finding("logout", OK, "the engine goes on when you log out")
    return Finding("logout", WARN, f"the engine does not go on: {why}", systemd_logout.FIX)
