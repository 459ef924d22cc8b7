"""A study of an earlier version goes on under this one's engine."""

from core.contract.state import engine_state as s
from tests.daemon.conftest import Engine
from tests.store import recorded_home


def test_a_recorded_study_goes_on(tmp_path):
    recorded_home.copy_to(tmp_path / "home")
    engine = Engine(tmp_path / "home").start()
    try:
        done = engine.until(lambda: _ended(engine), "the study has ended")
    finally:
        engine.end()
    assert done.state == s.COMPLETE
    before = recorded_home.recorded()["status"]["trials"]["complete"]
    assert sum(trial.state == s.COMPLETE for trial in done.trials.values()) > before


def _ended(engine: Engine) -> s.Study | None:
    study = engine.study(recorded_home.NAME)
    return None if study.state in s.LIVE_STUDY else study
