"""A journal of an earlier version is read as that version read it."""

from core.cli import offline_state
from core.cli.main import main
from core.store.journal_replay import replay_all
from tests.store import recorded_home


def test_the_recorded_journal_gives_the_recorded_state():
    study = replay_all([recorded_home.events()]).studies[recorded_home.NAME]
    assert recorded_home.summary(study) == recorded_home.recorded()


def test_the_recorded_home_is_read_without_an_engine(tmp_path, monkeypatch, capsys):
    recorded_home.copy_to(tmp_path / "home")
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    assert list(offline_state.state().studies) == [recorded_home.NAME]
    assert main(["status"]) == 0
    assert recorded_home.NAME in capsys.readouterr().out
