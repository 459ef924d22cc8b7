"""``trimtab attach --host NAME``: the console, or the plain view, on the engine of another host."""

from __future__ import annotations

import argparse

from core import paths
from core.cli import activity_line
from core.cli.inspect import plain_view
from core.cli.parsers import console_options
from core.cli.remote.hosts_list import make_unknown_host_error
from core.cli.resolve_trial import UsageError
from core.contract.hosts import host_list
from core.contract.hosts.ssh_tunnel import Tunnel
from core.contract.text import fullscreen_terminal_check
from core.errors import Problem


def attach(arguments: argparse.Namespace) -> int:
    """Open a tunnel, attach through it, and close it. Raises UsageError or EngineError."""
    hosts_by_name = host_list.read(paths.home())
    host = hosts_by_name.get(arguments.host)
    if host is None:
        raise make_unknown_host_error(arguments.host, hosts_by_name)
    in_lines = arguments.plain or (
        fullscreen_terminal_check.is_interactive() and fullscreen_terminal_check.is_dumb()
    )
    problem = None if in_lines else fullscreen_terminal_check.find_obstacle()
    if not in_lines and (problem is not None or arguments.console is None):
        raise UsageError(
            problem or Problem("this program has no console", "", fullscreen_terminal_check.LINES)
        )
    activity_line.set_activity(f"connecting to {host.name}")
    tunnel = Tunnel(host, paths.make_private(paths.home()))
    try:
        tunnel.ensure()
        if in_lines:
            return plain_view.watch(tunnel.socket, arguments.study, ensure=tunnel.ensure)
        activity_line.stop_activity()  # the terminal is the console's
        options = console_options.list_chosen(arguments)
        code: int = arguments.console(tunnel.socket, arguments.study, tunnel=tunnel, **options)
        return code
    finally:
        tunnel.close()
