"""Engines of other hosts, reached by SSH: listed, attached to, and cleaned up after."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from core import paths
from core.cli import exit_codes
from core.cli.main import main
from core.contract.hosts import host_list, ssh_commands, ssh_tunnel
from core.contract.hosts.host_list import Host, HostError
from core.contract.hosts.ssh_tunnel import Tunnel
from core.contract.wire import console_api, engine_client
from core.errors import EngineError
from tests.cli import ssh_hosts, studies
from tests.cli.scripted_engine import ScriptedEngine
from tests.cli.ssh_hosts import SshHost

needs_sshd = pytest.mark.skipif(not ssh_hosts.REAL, reason="needs the OpenSSH client and server")
KINDS = [pytest.param(True, marks=needs_sshd, id="openssh"), pytest.param(False, id="stand-in")]
DEADLINE_S = 90.0


@pytest.fixture
def far(request, monkeypatch, tmp_path):
    """A host whose engine has one running study."""
    real = getattr(request, "param", ssh_hosts.REAL)
    with tempfile.TemporaryDirectory(prefix="tt-far-") as folder:
        there = SshHost(tmp_path / "ssh", Path(folder), real)
        monkeypatch.setenv("PATH", f"{there.bin}:{os.environ['PATH']}")
        with ScriptedEngine(paths.socket_path(there.home)) as engine:
            engine.state = studies.state(studies.created(), *studies.trial(0))
            there.engine = engine
            yield there


@pytest.fixture
def tunnel(far, home):
    one = Tunnel(far.host(), home)
    yield one
    one.close()


def gone(pid: int) -> bool:
    """Has this process ended (or is a zombie)?"""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
    return False


# -- the list ----------------------------------------------------------------------------------------


def test_a_host_is_added_listed_with_its_state_and_removed(far, home, capsys):
    there = far.host()
    line = ["hosts", "add", "gpu2", there.address, "--home", there.home, "--command", there.command]
    assert main(line) == exit_codes.OK
    assert "1 of 1 study runs: small" in capsys.readouterr().out
    assert (home / "hosts.toml").stat().st_mode & 0o777 == 0o600
    assert host_list.read(home) == {"gpu2": there}
    assert main(["hosts", "list"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert shown.startswith("gpu2 ") and "1 of 1 study runs: small" in shown
    assert main(["hosts", "remove", "gpu2"]) == exit_codes.OK and host_list.read(home) == {}
    assert main(["attach", "--host", "gpu2"]) == exit_codes.BAD_INPUT
    assert "there is no host 'gpu2'" in capsys.readouterr().err


def test_a_host_that_is_asked_for_its_state_gets_no_engine_started(far):
    far.engine.__exit__()
    assert ssh_commands.query(far.host()).describe() == "no engine runs"
    assert not list(far.home.glob("engine.lock"))


@pytest.mark.parametrize("address", ["-oProxyCommand=touch x", "me@-x", "a b", "", "me@", "host:x", "a;b"])
def test_an_address_is_never_an_option_or_a_command(address, home):
    with pytest.raises(HostError, match="is not an address"):
        host_list.check(Host(address, name="gpu2"))


@pytest.mark.parametrize(
    "host",
    [
        Host("gpu2", name="../gpu2"), Host("gpu2", name="-gpu2"), Host("gpu2", name=""),
        Host("gpu2", name="gpu2", home="/a\x1b[2J"), Host("gpu2", name="gpu2", home="/" + "a" * 200),
        Host("gpu2", name="gpu2", command="a\nb"), Host("gpu2", name="gpu2", command=""),
    ],
)  # fmt: skip
def test_a_name_is_never_a_path_and_a_path_is_one_line_that_can_be_shown(host, home):
    with pytest.raises(HostError):
        host_list.check(host)


def test_an_address_becomes_arguments_of_ssh():
    assert Host("me@[::1]:2222").make_ssh_destination() == ["-p", "2222", "-l", "me", "--", "::1"]
    assert Host("gpu2").make_ssh_destination() == ["--", "gpu2"]


def test_the_shell_of_the_host_gets_paths_as_they_are():
    host = Host("gpu2", home="/data/my runs;x", command="~/my venv/bin/trimtab")
    line = host.make_remote_command("engine", "socket")
    assert line == "env TRIMTAB_HOME='/data/my runs;x' ~/'my venv/bin/trimtab' engine socket"


def test_a_faulty_list_is_named_and_not_overwritten(home, capsys):
    (home / "hosts.toml").write_text('[gpu2]\nadress = "x"\n')
    assert main(["hosts", "add", "gpu3", "gpu3"]) == exit_codes.BAD_INPUT
    assert "unknown field `adress`" in capsys.readouterr().err
    assert "adress" in (home / "hosts.toml").read_text()


# -- the tunnel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("far", KINDS, indirect=True)
def test_the_state_comes_through_the_tunnel_and_nothing_is_left_of_it(far, tunnel):
    tunnel.ensure()
    assert list(asyncio.run(engine_client.fetch_state(tunnel.socket)).studies) == ["small"]
    asyncio.run(engine_client.request(tunnel.socket, console_api.PauseTrial("small", 0)))
    assert far.engine.asked == [console_api.PauseTrial("small", 0)]
    assert tunnel.socket.stat().st_mode & 0o077 == 0
    pid = tunnel.pid
    tunnel.close()
    assert gone(pid) and list(tunnel.folder.iterdir()) == []
    with pytest.raises(EngineError, match="is closed"):
        tunnel.ensure()


def test_a_tunnel_that_broke_is_opened_again(tunnel):
    tunnel.ensure()
    first = tunnel.pid
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    deadline = time.monotonic() + 20.0
    while tunnel.pid == first and time.monotonic() < deadline:
        tunnel.ensure()  # a process may be a zombie while its other threads still end
    assert tunnel.pid != first
    assert list(asyncio.run(engine_client.fetch_state(tunnel.socket)).studies) == ["small"]


def test_ssh_ends_with_a_console_that_is_killed(far, home):
    code = (
        "import sys; from pathlib import Path; from core.contract.hosts.host_list import Host\n"
        "from core.contract.hosts.ssh_tunnel import Tunnel\n"
        "tunnel = Tunnel(Host(*sys.argv[2:]), Path(sys.argv[1])); tunnel.ensure()\n"
        "print(tunnel.pid, flush=True); sys.stdin.read()"
    )
    there = far.host()
    killed = subprocess.Popen(
        [sys.executable, "-P", "-c", code, home, there.address, there.home, there.command, there.name],
        env={**os.environ, "PYTHONPATH": str(paths.find_root())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    pid = int(killed.stdout.readline())
    killed.kill()
    killed.wait()
    assert gone(pid)
    again = Tunnel(there, home)  # it removes what was left
    again.ensure()
    assert [path.name for path in again.folder.glob("*.sock")] == [again.socket.name]
    again.close()


def test_a_home_whose_path_ssh_cannot_take_is_reached_all_the_same(far, tmp_path):
    for name in ("n" * 120, "${HOME}"):  # ssh would replace a variable
        tunnel = Tunnel(far.host(), paths.make_private(tmp_path / name))
        tunnel.ensure()
        assert list(asyncio.run(engine_client.fetch_state(tunnel.socket)).studies) == ["small"]
        tunnel.close()


# -- what goes wrong ---------------------------------------------------------------------------------


def refused(host: Host) -> str:
    with pytest.raises(EngineError) as caught:
        ssh_commands.query(host)
    problem = caught.value.problems[0]
    return f"{problem.what} → {problem.fix}"


@needs_sshd
def test_what_openssh_refuses_is_said_in_words(far, home):
    (far.folder / "allowed").write_text("")
    assert refused(far.host()).startswith("gpu2 refused the key → the console cannot ask for a password")
    (far.folder / "known").write_text("")
    assert "the key of gpu2 is not known, or it has changed" in refused(far.host())


@needs_sshd
def test_a_host_that_forbids_forwarding_is_said_to(far, tunnel):
    with (far.folder / "sshd_config").open("a") as config:
        config.write("AllowStreamLocalForwarding no\n")
    with pytest.raises(EngineError, match=r"sshd on gpu2 does not reach(.|\n)*AllowStreamLocalForwarding"):
        tunnel.ensure()
    assert tunnel.pid == 0 and list(tunnel.folder.iterdir()) == []


@needs_sshd
def test_a_host_gets_no_agent_no_display_and_no_command_of_the_configuration(far):
    with (far.folder / "config").open("a") as config:
        config.write(
            "  ForwardAgent yes\n  ForwardX11 yes\n  PermitLocalCommand yes\n  RemoteCommand date\n"
            "  RequestTTY force\n"
        )
    asked = subprocess.run(
        ["ssh", "-G", *ssh_commands.OPTIONS, "gpu2"], capture_output=True, text=True, check=True
    )
    settings = dict(line.split(" ", 1) for line in asked.stdout.splitlines() if " " in line)
    refused_names = ("forwardagent", "forwardx11", "permitlocalcommand", "requesttty")
    assert [settings[name] for name in refused_names] == ["no", "no", "no", "false"]
    assert settings["batchmode"] == "yes" and settings.get("remotecommand", "none") == "none"


@needs_sshd
def test_a_forwarding_of_ones_own_configuration_that_is_taken_already_keeps_nobody_out(far, tunnel):
    taken, free = far.folder / "taken.sock", far.folder / "free.sock"
    taken.touch()
    with (far.folder / "config").open("a") as config:
        config.write(f"  LocalForward {taken} /x\n  LocalForward {free} /x\n")
    ssh_commands.query(far.host())
    assert not free.exists(), "a question opens no forwarding"
    tunnel.ensure()
    assert list(asyncio.run(engine_client.fetch_state(tunnel.socket)).studies) == ["small"]


@needs_sshd
def test_a_socket_that_cannot_be_made_is_said_at_once(far, tunnel, monkeypatch):
    monkeypatch.setattr(ssh_tunnel, "_shorten", lambda socket: f"/no/such/{socket.name}")
    with pytest.raises(EngineError, match="cannot bind to path /no/such/"):
        tunnel.ensure()
    assert tunnel.pid == 0


def test_a_host_without_trimtab_says_how_to_name_it(far):
    shown = refused(far.host(command="/no/trimtab"))
    assert "there is no /no/trimtab on gpu2" in shown and "--command PATH" in shown


def test_another_version_is_named_and_not_attached_to(far):
    answer = {"protocol": 1, "version": "0.1", "running": True, "socket": "/x", "user": "u", "host": "h"}
    old = far._write_program("old", f"echo motd; echo '{json.dumps(answer)}'")
    assert "trimtab 0.1 on gpu2 speaks protocol 1" in refused(far.host(command=str(old)))
    older = far._write_program("older", "echo \"error: invalid choice: 'socket'\" >&2; exit 2")
    assert "the trimtab of gpu2 is too old" in refused(far.host(command=str(older)))
    chatty = far._write_program("chatty", "printf 'hello \\033[2J'")
    assert "the answer of gpu2 is 'hello \N{REPLACEMENT CHARACTER}[2J'" in refused(
        far.host(command=str(chatty))
    )


@pytest.mark.parametrize("socket", ["/far/${HF_TOKEN}", "far.sock", "/far/\x1b[2J", "/far/\0", "8080"])
def test_a_host_cannot_have_a_variable_of_this_one_put_into_the_path_of_its_socket(far, tunnel, socket):
    answer = {
        "protocol": console_api.PROTOCOL, "version": "1", "running": True, "socket": socket, "user": "u",
        "host": "h",
    }  # fmt: skip
    (far.folder / "answer").write_text(json.dumps(answer))
    hostile = far._write_program("hostile", f"cat {far.folder}/answer")
    tunnel.host = far.host(command=str(hostile))
    with pytest.raises(EngineError, match="names a socket that ssh cannot forward"):
        tunnel.ensure()
    assert tunnel.pid == 0


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ("ssh: Could not resolve hostname gpu9: Name or service not known", "there is no host of this name"),
        ("ssh: connect to host gpu9 port 22: Connection timed out", "gpu2 is not reached: ssh: connect to"),
        ("me@gpu9: Permission denied (publickey,password).", "gpu2 refused the key"),
    ],
)
def test_an_error_of_ssh_is_explained(errors, words):
    error = ssh_commands.explain(Host("me@gpu9", name="gpu2"), 255, f"** banner **\n{errors}\n")
    assert error.problems[0].what.startswith(words) and error.problems[0].where == "me@gpu9"


# -- attaching ---------------------------------------------------------------------------------------


def test_the_plain_view_of_a_host_shows_its_studies(far, home):
    host_list.write(home, {"gpu2": far.host()})
    program = "import sys; from core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    running = subprocess.Popen(
        [sys.executable, "-P", "-c", program, "attach", "--host", "gpu2", "--plain"],
        env={**os.environ, "PYTHONPATH": str(paths.find_root())},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None
    assert any("small  running" in running.stdout.readline() for _ in range(6))
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == exit_codes.INTERRUPTED
    assert not list((home / "hosts" / "gpu2").iterdir())


def test_the_console_opens_on_the_tunnel(far, home, monkeypatch):
    monkeypatch.setattr("core.contract.text.fullscreen_terminal_check.find_obstacle", lambda: None)
    host_list.write(home, {"gpu2": far.host()})
    opened = []

    def console(socket, study, tunnel, **options):
        opened.append((list(asyncio.run(engine_client.fetch_state(socket)).studies), study, options))
        assert tunnel.remote.place().count("@") == 1
        return 0

    assert main(["attach", "small", "--host", "gpu2", "--read-only"], console=console) == 0
    assert opened == [(["small"], "small", {"read_only": True})]
    assert not list((home / "hosts" / "gpu2").iterdir())
