"""Other hosts in the console: listed with their state, attached to by Enter, and sent nothing of this one."""

from __future__ import annotations

import pytest

from core.contract.hosts import host_list, ssh_commands
from core.contract.hosts.host_list import Host
from core.contract.hosts.ssh_commands import Remote, StudyState
from core.contract.hosts.ssh_tunnel import Tunnel
from core.contract.wire import console_api
from core.errors import EngineError
from tests.tui.scene import no_card, state_of, study_events

GPU2 = Host("me@gpu2", command="~/venv/bin/trimtab", name="gpu2")
GPU3 = Host("gpu3", name="gpu3")


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """Two hosts: one answers, one refuses the key."""
    host_list.write(tmp_path, {host.name: host for host in (GPU2, GPU3)})

    def query(host: Host, start: bool = False) -> Remote:
        if host is GPU3 or host.name == "gpu3":
            raise EngineError.of("gpu3 refused the key", "gpu3", "load it")
        studies = (StudyState("night", "running"), StudyState("old", "complete"))
        return Remote(console_api.PROTOCOL, "1", True, "/far/engine.sock", "me", "node7", studies)

    monkeypatch.setattr(ssh_commands, "query", query)


class Opened(Tunnel):
    """A tunnel to the test's own engine."""

    def ensure(self) -> None:
        self.remote = ssh_commands.query(self.host, start=True)


async def test_hosts_stand_below_the_studies_and_enter_attaches(seat, hosts, monkeypatch):
    monkeypatch.setattr("core.contract.hosts.ssh_tunnel.Tunnel", Opened)
    async with seat(state_of(study_events(), no_card()), (120, 40)) as you:
        await you.press("S")
        await you.sees("studies and hosts", "gpu2", "1 of 2 studies run: night", "gpu3 refused the key")
        await you.press("end", "enter")
        await you.sees("gpu3 refused the key", "load it")
        assert you.app.next_engine is None
        await you.press("S", "down", "enter")
        await you.until(lambda: you.app.next_engine is not None, "the console leaves for the host")
        socket, tunnel = you.app.next_engine
        assert tunnel.host == GPU2 and socket == tunnel.socket and tunnel.remote.place() == "me@node7"


async def test_a_host_gets_no_path_and_no_variable_of_this_one(seat, hosts, tmp_path):
    async with seat(state_of(no_card()), (120, 40)) as you:
        await you.sees("Attach to another host", "gpu2, gpu3")
        you.app.engine.tunnel = Opened(GPU2, tmp_path)
        you.app.screen.show()
        await you.sees("start it on the host: ssh me@gpu2 ~/venv/bin/trimtab run SPEC")
        assert "Run the demo" not in you.screen()
        await you.press("colon", *"open", "enter")
        await you.sees("start it on the host")
        with pytest.raises(Exception, match=r"its file, paths and variables are there"):
            await you.app.engine.ask(console_api.StartStudy({}, "/here/s.toml", "me", {"HF_TOKEN": "x"}))
        assert you.backend.asked == []
        await you.press("9")
        await you.sees("gpu2 › trimtab › logs", "the logs are on gpu2: ssh me@gpu2 ~/venv/bin/trimtab logs")
        await you.press("escape", "S")
        await you.sees("this host", "attached; 1 of 2 studies run")
        await you.press("home", "enter")
        await you.until(lambda: you.app.next_engine is not None, "back to this host")
        assert you.app.next_engine == (tmp_path / "engine.sock", None)


async def test_open_starts_another_study_while_one_is_shown(seat, tmp_path):
    (tmp_path / "two.toml").write_text(
        '[study]\nname = "two"\n[model]\nbase = "a/b"\n[data]\nsource = "c/d"\n'
    )
    async with seat(state_of(study_events(), no_card())) as you:
        await you.press("m", "colon", *"open", "enter")
        await you.sees("start a study")
        await you.press("escape", "colon", *"open", "space", "w", "enter")
        await you.sees("a first study")
        await you.press("escape")
        you.app.engine.read_only = True
        await you.press("colon", *"open", "enter")
        await you.sees("this console only reads")
