"""No way to the hub is known within seconds, and said in words."""

from __future__ import annotations

import socket
import threading

import pytest
from huggingface_hub import constants

from core.cli.main import main
from core.memory.base import hub_reachability


@pytest.fixture
def free_of(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    return monkeypatch


@pytest.fixture
def closed() -> int:
    """A port where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_hub_that_listens_is_no_fault(free_of):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        free_of.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{one.getsockname()[1]}")
        assert hub_reachability.find_fault() == ""


def test_none_is_told_and_the_proxy_is_asked_where_there_is_one(free_of, closed):
    free_of.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed}")
    assert (
        hub_reachability.find_fault() == f"the hub 127.0.0.1:{closed} cannot be reached (Connection refused)"
    )
    free_of.setenv("http_proxy", f"127.0.0.2:{closed}")
    assert hub_reachability.find_fault().startswith(f"the proxy 127.0.0.2:{closed} cannot be reached")
    free_of.setenv("no_proxy", "127.0.0.1")
    assert hub_reachability.find_fault().startswith("the hub ")


def test_a_name_server_that_never_answers_is_not_waited_for(free_of):
    free_of.setattr(hub_reachability, "CONNECT_S", 0.01)
    free_of.setattr(hub_reachability, "LOOK_UP_S", 0.01)
    free_of.setattr(hub_reachability, "_try_connecting", lambda *_: str(threading.Event().wait(60.0)))
    assert "no answer in" in hub_reachability.find_fault()


@pytest.mark.parametrize("verb", ["fit", "recommend"])
def test_verbs_say_it(free_of, closed, tmp_path, capsys, verb):
    file, rows = tmp_path / "s.toml", tmp_path / "rows.jsonl"
    file.write_text('[study]\nname = "s"\n[model]\nbase = "a/b"\n[data]\nsource = "rows.jsonl"\n')
    rows.write_text('{"text": "a"}\n')
    command = {"fit": ["fit", str(file)], "recommend": ["recommend", "a/b", str(rows)]}[verb]
    free_of.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed}")
    assert main([*command, "--gpu", "24 GiB"]) == 1
    shown = capsys.readouterr().err
    assert (
        "could not be fetched: no network: the hub 127.0.0.1:" in shown and "give the model's folder" in shown
    )
    free_of.setenv("HF_HUB_OFFLINE", "1")
    assert main([*command, "--gpu", "24 GiB"]) == 1
    assert "could not be fetched: HF_HUB_OFFLINE is set" in capsys.readouterr().err
