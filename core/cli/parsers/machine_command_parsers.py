"""The parsers of the commands about machine and program: doctor, caches, hooks, engine, hosts, help."""

from __future__ import annotations

from typing import Any

from core.cli.parsers.shared_options import add_command, add_json_option


def add_to(commands: Any) -> None:
    """Add them."""
    _add_machine(commands)
    _add_hosts(commands)
    _add_manual(commands)


def _add_machine(commands: Any) -> None:
    add_json_option(
        add_command(
            commands,
            "doctor",
            "plan.run_doctor:print_checks",
            "check driver, CUDA, libraries, disk and terminal",
        )
    )
    caches = add_command(
        commands,
        "caches",
        "plan.clear_caches:show_or_clear_caches",
        "show the size of what is kept of rows, or delete it",
    )
    caches.add_argument("action", choices=("list", "clear"))
    add_json_option(caches)
    hooks = add_command(
        commands,
        "hooks",
        "plan.check_hooks:list_or_test_hooks",
        "list what on_event.toml does at events, or test it",
    )
    hooks.add_argument("action", choices=("list", "test"))
    hooks.add_argument("name", metavar="NAME", nargs="?", help="only this hook")
    engine = add_command(
        commands,
        "engine",
        "steer.engine_status_stop:show_or_stop_engine",
        "print the state of the engine, or stop it",
    )
    engine.add_argument("action", choices=("status", "stop", "socket"))
    engine.add_argument("--start", action="store_true", help="socket: start the engine if none runs")
    engine.add_argument("--force", action="store_true", help="stop the engine even while a study runs")


def _add_hosts(commands: Any) -> None:
    hosts = add_command(
        commands,
        "hosts",
        "remote.hosts_list:edit_hosts",
        "list, add or remove hosts whose engines are reached by SSH",
    )
    hosts.add_argument("action", choices=("list", "add", "remove"))
    hosts.add_argument("name", metavar="NAME", nargs="?", help="your name for it")
    hosts.add_argument("address", metavar="ADDRESS", nargs="?", help="[user@]host[:port], for add")
    hosts.add_argument("--home", metavar="PATH", default="", help="TRIMTAB_HOME on the host")
    hosts.add_argument("--command", metavar="PATH", default="trimtab", help="trimtab's program on the host")


def _add_manual(commands: Any) -> None:
    page = add_command(commands, "help", "inspect.show_manual:show_manual", "print a page of the manual")
    page.add_argument("topic", metavar="TOPIC", nargs="?", help="without it: the list of topics")
    page.add_argument("--man", action="store_true", help="print the source of trimtab.1 for man")
    shell = add_command(
        commands,
        "completion",
        "inspect.shell_completion:print_completion",
        "print a completion script for a shell",
    )
    shell.add_argument("shell", choices=("bash", "zsh", "tcsh"))
