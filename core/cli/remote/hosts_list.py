"""``trimtab hosts list | add | remove``: the hosts whose engines are reached by SSH."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor

from core import paths
from core.cli import activity_line, exit_codes
from core.cli.resolve_trial import UsageError
from core.contract.hosts import host_list, ssh_commands
from core.contract.hosts.host_list import Host
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError, join_in_line

AT_ONCE = 8
USAGE = "trimtab hosts add NAME [user@]host[:port]"


def edit_hosts(arguments: argparse.Namespace) -> int:
    """Do what the action says. Raises HostError or UsageError."""
    home = paths.home()
    paths.check_home()
    hosts_by_name = host_list.read(home)
    if arguments.action == "list":
        return _list(hosts_by_name)
    if not arguments.name:
        raise UsageError.of("the name of the host is missing", "NAME", USAGE)
    if arguments.action == "remove":
        if arguments.name not in hosts_by_name:
            raise make_unknown_host_error(arguments.name, hosts_by_name)
        del hosts_by_name[arguments.name]
        host_list.write(home, hosts_by_name)
        print(f"{arguments.name} is removed")
        return exit_codes.OK
    if not arguments.address:
        raise UsageError.of("the address of the host is missing", "ADDRESS", USAGE)
    host = host_list.check(Host(arguments.address, arguments.home, arguments.command, arguments.name))
    host_list.write(home, {**hosts_by_name, host.name: host})
    print(f"{host.name} is added; `trimtab attach --host {host.name}` opens its console")
    activity_line.set_activity(f"asking {host.name}")
    ok, text = _describe(host)
    print(text)
    return exit_codes.OK if ok else exit_codes.NO_ENGINE


def make_unknown_host_error(name: str, hosts_by_name: dict[str, Host]) -> UsageError:
    """Explain that a host is not in the list."""
    names = ", ".join(hosts_by_name) or "none yet"
    return UsageError.of(
        f"there is no host {sanitize(name, 60)!r}", "hosts.toml", f"{USAGE}; there are: {names}"
    )


def _list(hosts_by_name: dict[str, Host]) -> int:
    if not hosts_by_name:
        print(f"no host; {USAGE}")
        return exit_codes.OK
    activity_line.set_activity("asking the hosts")
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _, text in threads.map(_describe, hosts_by_name.values()):
            print(text, flush=True)
    return exit_codes.OK


def _describe(host: Host) -> tuple[bool, str]:
    """Return whether the host answers, and a line about it."""
    start = f"{host.name:<12} {host.address:<24} "
    try:
        remote = ssh_commands.query(host)
    except TrimtabError as error:
        return False, f"{start}{sanitize(join_in_line(error), 400)}"
    return True, f"{start}{remote.describe()}, trimtab {sanitize(remote.version, 40)}"
