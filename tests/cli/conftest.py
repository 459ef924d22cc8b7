"""A home of its own for every test, and an engine in it where one is wanted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from core import paths
from tests.cli.scripted_engine import ScriptedEngine


@pytest.fixture(autouse=True)
def home(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="tt-") as folder:  # pytest's own are too long for a socket
        monkeypatch.setenv("TRIMTAB_HOME", folder)
        yield Path(folder)


@pytest.fixture
def engine(home):
    with ScriptedEngine(paths.socket_path()) as running:
        yield running


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text('[study]\nname = "small"\ntrials = 3\n[model]\nbase = "a/b"\n[data]\nsource = "c/d"\n')
    return path
