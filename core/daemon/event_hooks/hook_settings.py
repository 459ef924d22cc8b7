"""The hooks of ``on_event.toml`` in the home folder: which events run a command or are sent to a URL.

A study file cannot name a hook: it may come from someone else, and must never start a command.
"""

from __future__ import annotations

import os
import stat
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from core import paths
from core.contract.text.sanitize import sanitize, show_value

FILE = "on_event.toml"
LARGEST_FILE_BYTES, MOST_HOOKS = 64 << 10, 16
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
EventKind = Literal["study_ended", "trial_failed", "limit_broken", "engine_back"]
ALL_KINDS: tuple[EventKind, ...] = ("study_ended", "trial_failed", "limit_broken", "engine_back")


class Hook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either ``command`` or ``url`` is set; ``studies`` is a glob of study names."""

    name: str = ""
    command: tuple[str, ...] = ()
    url: str = ""
    events: tuple[EventKind, ...] = ALL_KINDS
    studies: str = "*"

    def wants(self, kind: str, studies: tuple[str, ...]) -> bool:
        """Tell whether the hook fires for an event of one of ``studies``."""
        return kind in self.events and any(fnmatchcase(study, self.studies) for study in studies)

    def target(self) -> str:
        """Return the program, or the host of the URL: the rest of a URL may be a token."""
        return sanitize(Path(self.command[0]).name if self.command else find_host(self.url), 80)


class Hooks(msgspec.Struct, frozen=True):
    """``problem`` says why the file is not used; ``exists`` is False without a file."""

    hooks: tuple[Hook, ...] = ()
    problem: str = ""
    exists: bool = True


def find_host(url: str) -> str:
    """Return the host of a URL, with its port if it names one; nothing else of it."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.hostname or '?'}{port}"


def read(home: Path) -> Hooks:
    """Read the file; a file that another user may have written is not used."""
    path = home / FILE
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if problem := _explain_distrust(os.fstat(file.fileno())):
                return _refuse(path, problem)
            content = file.read(LARGEST_FILE_BYTES + 1)
        if len(content) > LARGEST_FILE_BYTES:
            return _refuse(path, f"it has more than {LARGEST_FILE_BYTES >> 10} KiB")
        return Hooks(_parse(tomllib.loads(content.decode("utf-8"))))
    except FileNotFoundError:
        return Hooks(exists=False)
    except OSError as error:
        is_link = path.is_symlink()
        return _refuse(path, "it is a link" if is_link else error.strerror or type(error).__name__)
    except ValueError as error:  # not TOML, not UTF-8, an unknown key or value
        return _refuse(path, str(error))


def _open_at_once(path: str, flags: int) -> int:
    """Open without following a link, and without waiting for the writer of a pipe."""
    return paths.open_without_link(path, flags | os.O_NONBLOCK)


def _explain_distrust(file_stat: os.stat_result) -> str:
    """Return why a file of these attributes must not start a command."""
    if not stat.S_ISREG(file_stat.st_mode):
        return "it is not a file"
    if file_stat.st_uid not in (os.getuid(), 0):
        return f"it belongs to another user (uid {file_stat.st_uid})"
    if file_stat.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to it (mode {stat.S_IMODE(file_stat.st_mode):04o}): chmod 600 {FILE}"
    return ""


def _refuse(path: Path, why: str) -> Hooks:
    return Hooks(problem=f"{sanitize(str(path), 200)} is not used: {sanitize(why, 300)}")


def _parse(raw: dict[str, Any]) -> tuple[Hook, ...]:
    """Return a hook for each table. Raises ValueError for what is wrong."""
    if len(raw) > MOST_HOOKS:
        raise ValueError(f"it has {len(raw)} hooks; {MOST_HOOKS} are possible")
    return tuple(_parse_hook(name, table) for name, table in raw.items())


def _parse_hook(name: str, table: Any) -> Hook:
    if not isinstance(table, dict):
        raise ValueError(f"{name} = {show_value(table)} stands in no table: write [NAME] above it")
    if "name" in table:
        raise ValueError(f"[{name}] has an unknown key: name")
    try:
        hook = msgspec.convert({**table, "name": name}, Hook)
    except msgspec.ValidationError as error:
        raise ValueError(f"[{name}] {error}") from None
    if bool(hook.command) == bool(hook.url):
        raise ValueError(f"[{name}] needs either command or url")
    if hook.command and (not hook.command[0] or any("\0" in word for word in hook.command)):
        raise ValueError(f"[{name}] command = {show_value(hook.command)} names no program")
    if hook.url and (why := _find_url_fault(hook.url)):
        raise ValueError(f"[{name}] url: {why}")
    return hook


def _find_url_fault(url: str) -> str:
    """Return what is wrong with a URL, without showing more than its host."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is not a URL"
    if not (url.isascii() and url.isprintable()) or " " in url or not parts.hostname:
        return "it is not a URL such as https://host/path"
    if parts.username is not None:
        return "user names and passwords in a URL are not supported"
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS):
        return ""
    return f"{find_host(url)} must be reached by https; http is for localhost only"
