"""Signals to this user's own processes on the devices; trimtab's own are steered by other keys."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.devices.processes_by_user import Holder, group_by_user

SIGNALS = {
    "TERM": (signal.SIGTERM, "It may save its work and end."),
    "INT": (signal.SIGINT, "As Ctrl-C in its terminal: it may save its work and end."),
    "KILL": (signal.SIGKILL, "It ends at once: nothing is saved. There is no undo."),
}
STEER = "trimtab's own worker is not signalled: x prunes a trial, p pauses it, s stops the study"


@dataclass(frozen=True)
class Target:
    """A process and all devices that it holds."""

    pid: int
    name: str
    devices: tuple[int, ...]
    used_bytes: int
    ours: bool


def list_own_targets(state: s.State, user: str) -> list[Target]:
    """Return the processes of ``user`` that hold device memory, the most first."""
    by_pid: dict[int, list[Holder]] = {}
    for holds in group_by_user(state):
        for holder in holds.holders if holds.user == user else ():
            by_pid.setdefault(holder.process.pid, []).append(holder)
    return [
        Target(
            pid,
            holders[0].process.name,
            tuple(holder.device for holder in holders),
            sum(holder.process.used_bytes or 0 for holder in holders),
            holders[0].ours,
        )
        for pid, holders in by_pid.items()
    ]


def explain_refusal(target: Target, engine_pid: int) -> str:
    """Return why a process is not signalled; empty if it may be."""
    if target.ours or target.pid in (engine_pid, os.getpid(), os.getppid()):
        return STEER
    return ""


def send_signal(target: Target, name: str) -> str:
    """Send a signal to the process that was shown; return why it was not sent, empty if it was."""
    try:
        with _pin_process(target.pid) as descriptor:
            process = psutil.Process(target.pid)
            if process.uids().real != os.getuid():
                return f"process {target.pid} belongs to another user"
            if sanitize(process.name(), 80) != target.name:
                return f"process {target.pid} is another one now"
            if descriptor is None:
                os.kill(target.pid, SIGNALS[name][0])
            else:
                signal.pidfd_send_signal(descriptor, SIGNALS[name][0])
    except (ProcessLookupError, psutil.NoSuchProcess):
        return f"process {target.pid} has ended already"
    except (OSError, psutil.Error) as error:
        return f"not sent: {getattr(error, 'strerror', None) or error}"
    return ""


@contextlib.contextmanager
def _pin_process(pid: int) -> Iterator[int | None]:
    """Yield a descriptor of this process, even if its number is used again; None where there is none."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
