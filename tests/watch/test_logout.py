"""Does systemd end the engine at logout? From the files of a made-up machine."""

from __future__ import annotations

import os

import pytest

from core.cli.main import main
from core.cli.steer import run_study
from core.watch import systemd_logout
from tests.cli.conftest import engine, home, spec  # noqa: F401  (fixtures)

SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
MANAGER = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n"
SYSTEM = "0::/system.slice/ssh.service\n"
YES = "[Login]\n#KillUserProcesses=no\nKillUserProcesses = yes\n"


@pytest.fixture
def machine(tmp_path):
    def make(groups: str, **files: str):
        for name, text in {"proc/7/cgroup": groups, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return lambda user="ann": systemd_logout.explain_kill(7, tmp_path, user)

    return make


def test_kill_user_processes_is_named_with_its_file(machine):
    reason = machine(SESSION, **{"etc/systemd/logind.conf": YES})
    assert reason() == "systemd ends it when you log out (KillUserProcesses=yes in /etc/systemd/logind.conf)"
    assert reason("root") == ""  # spared unless the file says otherwise


def test_what_is_dropped_in_goes_over_the_main_file(machine):
    files = {
        "usr/lib/systemd/logind.conf": YES,
        "usr/lib/systemd/logind.conf.d/50-a.conf": "[Login]\nKillUserProcesses=no\n",
        "run/systemd/logind.conf.d/60-b.conf": YES,
    }
    assert "/run/systemd/logind.conf.d/60-b.conf" in machine(SESSION, **files)()
    files["etc/systemd/logind.conf.d/60-b.conf"] = ""  # of one name the one in etc counts
    assert machine(SESSION, **files)() == ""


@pytest.mark.parametrize(
    ("more", "user", "ends"),
    [
        ("KillOnlyUsers=bob", "ann", False),
        ("KillOnlyUsers=bob ann", "ann", True),
        ("KillExcludeUsers=ann", "ann", False),
        ("KillExcludeUsers=", "root", True),
    ],
)
def test_users_that_are_meant(machine, more, user, ends):
    reason = machine(SESSION, **{"etc/systemd/logind.conf": f"{YES}{more}\n"})
    assert bool(reason(user)) == ends


def test_what_the_users_own_manager_started_ends_without_lingering(machine):
    reason = machine(MANAGER)
    assert reason() == (
        "systemd ends it with the last session of ann (the user's service manager started it)"
    )
    machine(MANAGER, **{"var/lib/systemd/linger/ann": ""})
    assert reason() == ""


def test_a_service_and_a_machine_without_systemd_are_quiet(machine, tmp_path):
    assert machine(SYSTEM, **{"etc/systemd/logind.conf": YES})() == ""
    assert systemd_logout.explain_kill(8, tmp_path) == ""


def test_whoever_starts_a_study_in_such_a_session_is_told(engine, spec, monkeypatch, capsys):  # noqa: F811
    asked = []
    monkeypatch.setattr(systemd_logout, "explain_kill", lambda pid: asked.append(pid) or "systemd ends it")
    assert main(["run", str(spec), "--detach"]) == 0
    shown = capsys.readouterr()
    assert "small is running; the study continues" in shown.out
    assert shown.err.startswith("the engine will stop when you log out: systemd ends it\n  → `loginctl")
    assert asked == [os.getpid()]  # the engine's, which may be older than this session
    monkeypatch.setattr(run_study.fullscreen_terminal_check, "is_interactive", lambda: True)
    monkeypatch.setattr(run_study.fullscreen_terminal_check, "is_canvas", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert main([], console=lambda *_: 0) == 0
    assert "will stop when you log out" in capsys.readouterr().err
