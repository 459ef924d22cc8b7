"""The other hosts whose engines can be attached to: ``hosts.toml`` in the home folder."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import msgspec

from core import paths
from core.contract.text.sanitize import sanitize, show_value
from core.errors import TrimtabError

FILE = "hosts.toml"
LONGEST = 200
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,39}", re.ASCII)
ADDRESS = re.compile(
    r"(?:(?P<user>\w[\w.+-]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|\w[\w.-]*)(?::(?P<port>\d{1,5}))?", re.ASCII
)


class HostError(TrimtabError):
    """A host's name, address or list is wrong."""

    exit_code = 2


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``address`` is [user@]host[:port], or a name of ~/.ssh/config; ``home`` is TRIMTAB_HOME there and
    ``command`` its trimtab."""

    address: str
    home: str = ""
    command: str = "trimtab"
    name: str = ""

    def make_ssh_destination(self) -> list[str]:
        """Return the arguments of ssh that name the host; it never looks like an option."""
        address_match = ADDRESS.fullmatch(self.address)
        if address_match is None:
            fault = f"{show_value(self.address)} is not an address"
            raise HostError.of(fault, self.name, "such as me@gpu2:22")
        user, host, port = address_match["user"], address_match["host"].strip("[]"), address_match["port"]
        return [*(["-p", port] if port else []), *(["-l", user] if user else []), "--", host]

    def make_remote_command(self, *arguments: str) -> str:
        """Return the command line for the shell of the host that runs its trimtab."""
        start, slash, rest = self.command.partition("/")  # only an unquoted ~ is expanded
        program = f"{start}/{shlex.quote(rest)}" if slash and start == "~" else shlex.quote(self.command)
        home = ["env", f"TRIMTAB_HOME={shlex.quote(self.home)}"] if self.home else []
        return " ".join([*home, program, *map(shlex.quote, arguments)])


def read(home: Path) -> dict[str, Host]:
    """Return the hosts by name. Raises HostError for a file that cannot be used."""
    path = home / FILE
    try:
        with open(path, "rb", opener=paths.open_without_link) as file:
            raw = tomllib.load(file)
        return {name: check(msgspec.convert({**table, "name": name}, Host)) for name, table in raw.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HostError.of(f"the hosts cannot be read: {error.strerror}", str(path)) from error
    except (ValueError, TypeError) as error:  # not TOML, an unknown key
        fix = "correct it, or remove it and add the hosts again"
        raise HostError.of(
            f"the hosts cannot be read: {sanitize(str(error), 300)}", str(path), fix
        ) from error


def check(host: Host) -> Host:
    """Return ``host``. Raises HostError if a part of it is wrong."""
    if not NAME.fullmatch(host.name):
        fix = "letters, digits, '.', '_' and '-', 40 at most"
        raise HostError.of(f"{show_value(host.name)} is not a name for a host", "NAME", fix)
    host.make_ssh_destination()
    for part in (host.home, host.command):
        if len(part) > LONGEST or sanitize(part) != part:
            raise HostError.of(f"{show_value(part)} is not a path", host.name)
    if not host.command:
        raise HostError.of("the command is empty", host.name, "such as ~/venv/bin/trimtab")
    return host


def write(home: Path, hosts: dict[str, Host]) -> None:
    """Write the file, readable by its owner alone. Raises HostError."""
    lines = []
    for name, host in hosts.items():
        lines.append(f"[{msgspec.json.encode(name).decode()}]")  # a TOML string is written as in JSON
        for key in ("address", "home", "command"):
            if value := getattr(host, key):
                lines.append(f"{key} = {msgspec.json.encode(value).decode()}")
    path = paths.make_private(home) / FILE
    aside = path.with_name(f"{FILE}.new")
    try:
        with open(aside, "w", encoding="utf-8", opener=paths.open_without_link) as file:
            file.write("\n".join([*lines, ""]))
        aside.rename(path)
    except OSError as error:
        raise HostError.of(f"the hosts cannot be written: {error.strerror}", str(path)) from error
