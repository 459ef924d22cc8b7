"""Checks what a study needs besides processors: writable folders, file locks, a correct clock, a UTF-8
locale, and a session that survives logout."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
import time
from pathlib import Path

from core import paths
from core.contract.text import fullscreen_terminal_check
from core.errors import TrimtabError
from core.watch import systemd_logout
from core.watch.doctor_finding import FAIL, OK, WARN, Finding

SKEW_S = 5.0  # between two clocks: leases and file times have a resolution of seconds
AHEAD_S = 60.0


def cache() -> list[Finding]:
    """Check trimtab's own cache and that of huggingface_hub."""
    findings = []
    variables = {"cache": "TRIMTAB_CACHE", "hub cache": "HF_HOME"}
    for name, find in (("cache", paths.cache), ("hub cache", paths.hub_cache)):
        fix = f"set {variables[name]} to a folder of your own, on a disk with free space"
        try:
            place = find()
        except TrimtabError as error:
            findings.append(Finding(name, FAIL, error.problems[0].what, fix))
            continue
        if paths.is_writable(place):
            findings.append(Finding(name, OK, f"{place} is writable"))
        else:  # existing files can still be read
            findings.append(Finding(name, WARN, f"{place} is not writable", fix))
    return findings


def check_disk(home: Path) -> list[Finding]:
    """Check file locks and the file system's clock, in the home folder or where it would be created."""
    place = next((folder for folder in (home, *home.parents) if folder.is_dir()), Path("/"))
    before = time.time()
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            written_at = os.fstat(file.fileno()).st_mtime
            locks = _check_locks(file.fileno(), place)
    except OSError as error:
        why = f"{place}: cannot write a file ({error.strerror or error})"
        return [Finding("file locks", WARN, why, "set TRIMTAB_HOME to a folder you can write to")]
    return [locks, _check_clock(written_at - before, home)]


def _check_locks(file: int, place: Path) -> Finding:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        fix = "set TRIMTAB_HOME to a local disk, or study.storage = 'journal:FILE': SQLite needs locks"
        return Finding("file locks", WARN, f"not supported in {place}: {error.strerror or error}", fix)
    return Finding("file locks", OK, f"work in {place}")


def _check_clock(skew_s: float, home: Path) -> Finding:
    """Check the clock; ``skew_s`` is how far the file system's clock is ahead of this machine's."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    fix = "set the clock, e.g. with `timedatectl set-ntp true`"
    if abs(skew_s) > SKEW_S:
        skew = f"{now}; the clock of the disk of {home} differs by {skew_s:+.0f} s"
        return Finding("clock", WARN, skew, f"{fix}, here and on the file server")
    ahead_s = _find_newest(home) - time.time()
    if ahead_s > AHEAD_S:
        skew = f"{now}; trimtab's newest file is dated {ahead_s:.0f} s in the future"
        return Finding("clock", WARN, skew, f"{fix}: remaining times and event times are wrong")
    return Finding("clock", OK, now)


def _find_newest(home: Path) -> float:
    """The newest modification time of trimtab's files: a clock that shows an earlier time was set back."""
    newest = 0.0
    for place in (Path(__file__), paths.engine_log(home), *home.glob("studies/*/journal.log")):
        with contextlib.suppress(OSError):
            newest = max(newest, place.stat().st_mtime)
    return newest


def check_locale() -> Finding:
    """Check that all characters can be shown and all file names be read."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    names = sys.getfilesystemencoding()
    state_text = (
        f"text is {encoding}, file names are {names}, {fullscreen_terminal_check.find_locale_setting()}"
    )
    if _is_utf8(encoding) and _is_utf8(names):
        return Finding("locale", OK, state_text)
    return Finding(
        "locale",
        WARN,
        state_text,
        "export LC_ALL=C.UTF-8: otherwise symbols such as → become letters, and the console does not start",
    )


def _is_utf8(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") == "utf8"


def check_session(pid: int | None) -> Finding:
    """Check that the engine with this ``pid`` survives logout; None: an engine that would be started here."""
    why = systemd_logout.explain_kill("self" if pid is None else pid)
    if not why:
        return Finding("logout", OK, "the engine keeps running when you log out")
    return Finding("logout", WARN, f"the engine will stop: {why}", systemd_logout.FIX)
