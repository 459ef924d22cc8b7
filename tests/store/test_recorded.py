"""A journal of an earlier version is read as that version read it."""

from typing import Any

from core.cli import reach_engine
from core.cli.main import main
from core.store.journal_replay import replay_all
from tests.store import recorded_home


def keep_known(now: Any, recorded: Any) -> Any:
    """What the earlier version told, too: later ones tell more."""
    if isinstance(now, dict) and isinstance(recorded, dict):
        return {key: keep_known(value, recorded[key]) for key, value in now.items() if key in recorded}
    return now


def test_the_recorded_journal_gives_the_recorded_state():
    study, recorded = (
        replay_all([recorded_home.events()]).studies[recorded_home.NAME],
        recorded_home.recorded(),
    )
    assert keep_known(recorded_home.summary(study), recorded) == recorded


def test_the_recorded_home_is_read_without_an_engine(tmp_path, monkeypatch, capsys):
    recorded_home.copy_to(tmp_path / "home")
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    assert list(reach_engine.read_journals().studies) == [recorded_home.NAME]
    assert main(["status"]) == 0
    assert recorded_home.NAME in capsys.readouterr().out
