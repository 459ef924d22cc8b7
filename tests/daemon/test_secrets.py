"""A token in the environment, in an exception or in what a library prints is in no file below the home."""

import pytest

from core.contract.text.secret_redaction import HIDDEN
from tests.daemon.conftest import Engine

TOKEN = "hf_" + "Qw3rTy7uIoP9aSdF1gHjK5lZx"


@pytest.fixture
def leaking(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    engine = Engine(tmp_path / "home", worker="tests.daemon.leaking_worker").start()
    yield engine
    engine.end()


@pytest.mark.real
def test_no_file_holds_the_token(leaking):
    leaking.run(study={"trials": 1}, resources={"retries": 0})
    study = leaking.until_study(lambda study: study.state in ("failed", "complete"), "the study ends")
    assert HIDDEN in study.trials[0].error and HIDDEN in study.trials[0].traceback
    leaking.end()
    files = [path for path in leaking.home.rglob("*") if path.is_file()]
    assert {"journal.log", "optuna.db", "engine.log"} <= {path.name for path in files}
    assert any(HIDDEN.encode() in path.read_bytes() for path in files if path.parent.name == "workers")
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
