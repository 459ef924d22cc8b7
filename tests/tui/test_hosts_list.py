"""Other hosts in the console: listed with their state, attached to by Enter, and sent nothing of this one."""

from __future__ import annotations

import pytest

from core.contract.hosts import host_list, ssh_commands
from core.contract.hosts.host_list import Host
from core.contract.hosts.ssh_commands import Remote
from core.contract.hosts.ssh_tunnel import Tunnel
from core.contract.hosts.study_summary import StudyState
from core.contract.wire import console_api
from core.errors import EngineError
from tests.tui.scene import no_card, state_of, study_events
from tui.study import studies_screen

GPU2 = Host("me@gpu2", command="~/venv/bin/trimtab", name="gpu2")
GPU3 = Host("gpu3", name="gpu3")


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """Two hosts: one answers, one refuses the key."""
    host_list.write(tmp_path, {host.name: host for host in (GPU2, GPU3)})

    def query(host: Host, start: bool = False) -> Remote:
        if host is GPU3 or host.name == "gpu3":
            raise EngineError.of("gpu3 refused the key", "gpu3", "load it")
        old = StudyState("old", "complete")  # of a trimtab that tells no more
        studies = (old, StudyState("night", "running", 12, 20, 2, 0.61, "eval/loss", 1.234, 3700.0))
        return Remote(console_api.PROTOCOL, "1", True, "/far/engine.sock", "me", "node7", studies)

    monkeypatch.setattr(ssh_commands, "query", query)


class Opened(Tunnel):
    """A tunnel to the test's own engine."""

    def ensure(self) -> None:
        self.remote = ssh_commands.query(self.host, start=True)


async def test_one_table_has_the_studies_of_all_hosts_and_enter_attaches_to_one(seat, hosts, monkeypatch):
    monkeypatch.setattr("core.contract.hosts.ssh_tunnel.Tunnel", Opened)
    async with seat(state_of(study_events(), study_events("other"), no_card()), (120, 40)) as you:
        await you.press("S")
        await you.sees("4 on 3 hosts, 3 running or paused", "gpu3 refused the key")
        lines = [line.split() for line in you.screen().splitlines()]
        assert lines[2][:9] == ["this", "host", "other", "●", "running", "██▎░░░░░", "28%", "5/24", "1.206"]
        assert lines[4][:9] == [
            "gpu2",
            "night",
            "●",
            "running",
            "████▉░░░",
            "61%",
            "12/20",
            "1.234",
            "eval/loss",
        ]
        assert lines[5][:4] == ["gpu2", "old", "✓", "complete"], "the running one first"
        await you.sees("Enter shows other")
        await you.press("slash", *"gpu2 compl", "enter")
        await you.sees("1 shown: gpu2 compl", "Enter attaches by SSH (me@gpu2) and shows old")
        await you.press("escape", "end", "enter")
        await you.sees("gpu3 refused the key", "load it")
        assert you.app.next_engine is None
        await you.press("k", "k", "enter")
        await you.until(lambda: you.app.next_engine is not None, "the console leaves for the host")
        socket, tunnel = you.app.next_engine
        assert tunnel.host == GPU2 and socket == tunnel.socket and tunnel.remote.place() == "me@node7"
        assert you.app.next_study == "night"


async def test_enter_shows_another_study_of_this_engine(seat):
    async with seat(state_of(study_events(), study_events("other"), no_card())) as you:
        await you.press("S", "j")
        await you.sees("studies  2, 2 running or paused", "Enter shows tidy-7b")
        await you.press("enter")
        await you.until(
            lambda: you.app.study.name == "tidy-7b" and len(you.app.screen_stack) == 2, "the study"
        )


async def test_a_host_gets_no_path_and_no_variable_of_this_one(seat, hosts, tmp_path, monkeypatch):
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
        here = Remote(console_api.PROTOCOL, "1", True, "/s", "me", "box", (StudyState("mine", "paused"),))
        monkeypatch.setattr(studies_screen, "query_here", lambda: here)
        await you.press("escape", "S")
        await you.sees("gpu2", "no study yet", "this host", "mine", "‖ paused")
        await you.press("j", "enter")
        await you.until(lambda: you.app.next_engine is not None, "back to this host")
        assert you.app.next_engine == (tmp_path / "engine.sock", None) and you.app.next_study == "mine"


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
