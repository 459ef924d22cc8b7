"""Finds out whether systemd ends a process when its user logs out. A detached engine does not escape that:
systemd goes by control groups, not by terminal sessions. See logind.conf(5) and loginctl(1)."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
FOLDERS = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd")  # the first match wins
SESSION = re.compile(r"/session-[^/]+\.scope")
MANAGER = re.compile(r"/user@(\d+)\.service")
YES = ("1", "yes", "y", "true", "t", "on")
FIX = "`loginctl enable-linger`, then start it with `systemd-run --user --scope trimtab`"


def explain_kill(pid: int | str = "self", root: Path = ROOT, user: str | None = None) -> str:
    """Why the process ends when its user logs out; empty if it does not. ``root`` is the folder that holds
    proc, etc and the others."""
    try:
        groups = (root / f"proc/{pid}/cgroup").read_text("utf-8", errors="replace")
    except OSError:  # not Linux, or the process has exited
        return ""
    user = _find_user() if user is None else user
    if SESSION.search(groups):
        file = _is_killing(root, user)
        return f"systemd ends it when you log out (KillUserProcesses=yes in {file})" if file else ""
    if MANAGER.search(groups) and not (root / "var/lib/systemd/linger" / user).exists():
        return f"systemd ends it with the last session of {user} (the user's service manager started it)"
    return ""


def _find_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _is_killing(root: Path, user: str) -> str:
    """The file that makes processes of ``user`` end with their session; empty if there is none."""
    settings = {"KillUserProcesses": ("no", ""), "KillOnlyUsers": ("", ""), "KillExcludeUsers": ("root", "")}
    for file in _list_files(root):
        for key, value in _read_settings(file):
            if key in settings:
                settings[key] = (value, "/" + str(file.relative_to(root)))
    only, spared = settings["KillOnlyUsers"][0].split(), settings["KillExcludeUsers"][0].split()
    value, file_ = settings["KillUserProcesses"]
    if value.lower() not in YES or user in spared or (only and user not in only):
        return ""
    return file_


def _list_files(root: Path) -> list[Path]:
    """The configuration files in systemd's order: the main file, then the drop-ins by name."""
    main = [root / folder / "logind.conf" for folder in FOLDERS]
    dropped: dict[str, Path] = {}
    for folder in reversed(FOLDERS):
        try:
            dropped |= {file.name: file for file in (root / folder / "logind.conf.d").glob("*.conf")}
        except OSError:
            continue
    return [*[file for file in main if file.is_file()][:1], *(dropped[name] for name in sorted(dropped))]


def _read_settings(file: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        key, sign, value = line.partition("=")
        if sign and not key.lstrip().startswith(("#", ";")):
            yield key.strip(), value.strip()
