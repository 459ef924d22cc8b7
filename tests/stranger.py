"""Another user of the machine: processes of a second uid, which only root can start."""

from __future__ import annotations

import os
import socket as sockets
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become a second user")


def as_stranger(code: str, *arguments: object, passed: sockets.socket | None = None) -> subprocess.Popen[str]:
    """Python code run by another user, who has nothing of ours; ``passed`` is its descriptor 3."""
    become = "import os, socket, sys\n"  # now: the libraries may lie where only we can read
    become += f"os.dup2({passed.fileno()}, 3, inheritable=True)\n" if passed is not None else ""
    become += f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", become + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        pass_fds=(passed.fileno(),) if passed is not None else (),
    )


def opened_up(folder: Path) -> None:
    """Let other users walk to ``folder``."""
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid():
            parent.chmod(parent.stat().st_mode | 0o011)
