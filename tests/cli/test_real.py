"""The verbs with the real engine: started on demand, asked, stopped; then the journals alone."""

from __future__ import annotations

import json

import pytest

from core.cli import exit_codes
from core.cli.main import main
from core.daemon.server import engine_launch


@pytest.mark.real
def test_an_engine_is_started_asked_and_stopped(home, capsys):
    socket = engine_launch.ensure_running()
    try:
        assert main(["engine", "status"]) == exit_codes.OK
        assert str(socket) in capsys.readouterr().out
        assert main(["status", "--json"]) == exit_codes.OK
        assert json.loads(capsys.readouterr().out)["engine"] == {"running": True, "socket": str(socket)}
        assert main(["stop"]) == exit_codes.BAD_INPUT and "no study exists yet" in capsys.readouterr().err
    finally:
        assert main(["engine", "stop", "--force"]) == exit_codes.OK
    assert main(["engine", "status"]) == exit_codes.NO_ENGINE
