"""The part of the app that runs commands, and goes to other studies and hosts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core import paths
from core.contract.hosts import host_list
from core.contract.hosts.daemon_thread import run_in_daemon_thread
from core.contract.hosts.host_list import Host
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError, join_in_line
from tui.base.confirm_dialog import Confirm
from tui.command_line.command_input import CommandScreen
from tui.command_line.command_parser import Parsed
from tui.command_line.console_commands import build_table, run_command
from tui.command_line.custom_command import run_in_terminal
from tui.command_line.save_file import open_save_dialog
from tui.command_line.screen_places import ScreenPlaces
from tui.console_settings import OwnCommand
from tui.engine_connection import Engine
from tui.export.background_command import run_in_background
from tui.keys.key_definition import Key
from tui.keys.own_commands import check_own_commands, fill, find_title
from tui.study.away_page_decision import AwayNotice
from tui.study.away_screen import AwayScreen
from tui.study.studies_screen import StudiesScreen

if TYPE_CHECKING:
    from core.contract.hosts.ssh_tunnel import Tunnel


class Navigation(ScreenPlaces):
    """An app that runs typed commands and commands of its user, and goes to studies and hosts."""

    engine: Engine
    next_engine: tuple[Path, Tunnel | None] | None = None  # to attach to after this console has left
    key_map: dict[str, str]
    own_commands: Sequence[OwnCommand] = ()
    next_study = ""  # which is shown there first
    clock: Callable[[], float]
    away_notice: AwayNotice | None = None

    def show_study(self, name: str) -> None:
        """Display the study ``name`` from now on."""
        raise NotImplementedError

    def action_help(self) -> None:
        """Show the keys."""
        raise NotImplementedError

    def action_detach(self) -> None:
        """Leave."""
        raise NotImplementedError

    def filter_trials(self, text: str) -> None:
        """Show the trials that match ``text``."""
        self._return_to_trials()
        self._find_trials_screen().filter_by(text)

    def sort_trials(self, field: str) -> None:
        """Order the trials by a knob or metric."""
        self._return_to_trials()
        if not self._find_trials_screen().order_by(field):
            self.say(f"no trial has a knob or metric {sanitize(field, 60)!r}")

    def action_command(self) -> None:
        """Ask for a command."""

        def run(parsed: Parsed | None) -> None:
            if parsed is not None:
                self.run_worker(run_command(self, parsed), group="commands", exit_on_error=True)

        self.push_screen(CommandScreen(build_table(self)), run)

    async def run_key(self, key: Key) -> None:
        """Do what a key does, on the present screen or everywhere."""
        owner = self.screen if hasattr(self.screen, key.method) else self
        if hasattr(owner, key.method):
            await self.run_action(key.action, owner)
        else:
            self.say(f"{key.label}: not on this screen")

    def action_save(self, kind: str = "") -> None:
        """Save the table, curves, the screen, a report or a bundle."""
        open_save_dialog(self, kind)

    def list_shown_trials(self) -> tuple[int, ...]:
        """Return the numbers of the trials that the table shows, in its order."""
        return tuple(self._find_trials_screen().table.selection.numbers)

    def take_own_commands(self, commands: Sequence[OwnCommand]) -> list[str]:
        """Bind the user's own commands to their keys; return what is wrong with some."""
        self.own_commands, faults = check_own_commands(commands, self.key_map)
        for place, command in enumerate(self.own_commands):
            self.bind(command.key, f"own({place})", description=find_title(command), show=False)
        return faults

    def action_own(self, place: int) -> None:
        """Run a command of the user on the selected trial, after a question where it wants one."""
        command, number, study = self.own_commands[place], self.find_selected_trial(), self.study
        if self.engine.read_only and not command.reads:
            self.say(f"this console only reads, and {find_title(command)} may change something")
            return
        trial = study.trials.get(number) if study is not None and number is not None else None
        words = fill(command, study, trial, self.engine.host)
        if isinstance(words, str):
            self.say(words)
            return

        def run(confirmed: bool | None = True) -> None:
            if confirmed and command.terminal:
                self._tell_end(command, run_in_terminal(self, words))
            elif confirmed:
                self.run_worker(self._run_own(command, words), group="own", exit_on_error=False)

        if command.confirm:
            self.push_screen(Confirm(f"Run {find_title(command)}?", sanitize(" ".join(words), 300)), run)
        else:
            run()

    async def _run_own(self, command: OwnCommand, words: list[str]) -> None:
        code, printed = await run_in_background(words)
        last = printed[-1] if printed else ""
        self._tell_end(command, f"exit code {code}{f': {last}' if last else ''}" if code else "", last)

    def _tell_end(self, command: OwnCommand, fault: str, last: str = "") -> None:
        words = sanitize(fault or last or "done", 300)
        severity: Literal["information", "warning"] = "warning" if fault else "information"
        if fault or not command.terminal:
            self.notify(words, title=find_title(command), severity=severity, timeout=5, markup=False)

    def action_studies(self) -> None:
        """Let the user choose one of the engine's studies, or another host."""
        if isinstance(self.screen, StudiesScreen):
            return
        screen = self._make_studies()
        if screen is None:
            self.say("no study exists yet; `trimtab hosts add` adds other hosts")
        else:
            self.push_screen(screen)

    def _make_studies(self) -> StudiesScreen | None:
        hosts = list(self._read_hosts().values())
        return StudiesScreen(hosts) if self.engine.state.studies or hosts or self.engine.host else None

    def open_study(self, host: str, study: str) -> None:
        """Show ``study``, on the engine of ``host`` (empty: this host's own); empty: what it shows first."""
        if host == self.engine.host:
            if study:
                self.show_study(study)
                self._return_to_trials()
            return
        if not host:
            self._leave_for(paths.socket_path(), None, study)
            return
        host_list = self._read_hosts()
        if host in host_list:
            self.say(f"connecting to {host} …")
            attaching = self._attach_host(host_list[host], study)
            self.run_worker(attaching, group="attach", exclusive=True, exit_on_error=False)

    def _read_hosts(self) -> dict[str, Host]:
        """Return the hosts by name; none where their list cannot be read, which is said."""
        try:
            return host_list.read(paths.home())
        except TrimtabError as error:
            self.say(join_in_line(error))
            return {}

    async def _attach_host(self, host: Host, study: str) -> None:
        """Connect to a host, and open the console on its engine."""
        from core.contract.hosts.ssh_tunnel import Tunnel

        tunnel = Tunnel(host, paths.home())
        try:
            await run_in_daemon_thread(tunnel.ensure)
        except TrimtabError as error:
            self.notify(
                sanitize(join_in_line(error), 400),
                title=host.name,
                severity="warning",
                timeout=8,
                markup=False,
            )
            return
        except asyncio.CancelledError:
            threading.Thread(target=tunnel.close, daemon=True).start()  # it waits for ssh
            raise
        self._leave_for(tunnel.socket, tunnel, study)

    def _leave_for(self, socket: Path, tunnel: Tunnel | None, study: str) -> None:
        self.next_engine, self.next_study = (socket, tunnel), study
        self.exit()

    def begin_study(self, way: str) -> None:
        """Open the way to start another study: "file", "wizard" or "demo"."""
        self._return_to_trials()
        self._find_trials_screen().begin_study(way)

    def show_what_happened(self) -> None:
        """Show once, after attaching, what happened since the user last looked."""
        if self.away_notice is None or self.study is None or not self.engine.attached:
            return
        summary = self.away_notice.summarize_once(self.study, self.clock(), self.engine.pid)
        if summary is not None and not self.screen.is_modal:
            self.push_screen(AwayScreen(summary, self.clock(), self.look), self._open_chosen)

    def _open_chosen(self, trial: int | None) -> None:
        if trial is not None and trial >= 0:
            self.open_trial(trial)
