"""How many threads a worker trains with, through the code that loads its model."""

import signal

import pytest
import torch

from core import cpu_count
from core.contract.events import event_types as e
from core.contract.wire import worker_api
from core.errors import TrimtabError
from core.store import input_change_check
from core.train.base import base_model
from core.train.commands.engine_link import Link
from core.train.commands.worker import Worker


@pytest.fixture
def loaded(study, tmp_path, monkeypatch):
    """What was set, and the notes told, when a worker loads on a machine of ``default`` physical cores."""

    def run(default: int, share: str, **resources) -> tuple[list[int], list[str]]:
        set_to: list[int] = []
        told: list[e.Event] = []
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setenv(cpu_count.THREADS, share)
        monkeypatch.setattr(torch, "get_num_threads", lambda: default)
        monkeypatch.setattr(torch, "set_num_threads", set_to.append)
        monkeypatch.setattr(base_model, "load_base", no_base)
        monkeypatch.setattr(Link, "tell", lambda link, event: told.append(event))
        worker = Worker(study(resources=resources), tmp_path / "socket", "cpu-1", "cpu")
        with pytest.raises(TrimtabError, match="no further"):
            worker._load()
        return set_to, [one.text for one in told if isinstance(one, e.StudyNoted)]

    return run


def no_base(*_):
    raise TrimtabError.of("no further", "here", "")


def test_a_worker_keeps_to_its_share_and_says_so(loaded):
    set_to, notes = loaded(4, "2")
    assert set_to == [2]
    assert notes == [f"cpu-1 uses 2 of 4 threads: its share of {cpu_count.count_cpus().describe()}"]


def test_a_share_above_torchs_own_number_changes_nothing(loaded):
    assert loaded(4, "8") == ([], [])


def test_the_study_has_the_last_word(loaded):
    assert loaded(4, "2", threads=3) == ([3], [])
    assert loaded(4, "2", threads=4) == ([], [])


def test_a_worker_does_not_load_other_rows_than_the_study_began_with(study, tmp_path, monkeypatch):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n')
    spec = study(data={"source": str(rows)})
    input_change_check.note(spec, tmp_path)
    input_change_check.add_hashes(spec, tmp_path, lambda: False)
    rows.write_text('{"text": "b"}\n')
    worker = Worker(spec, tmp_path / "socket", "cpu-1", "cpu", tmp_path)
    said: list[worker_api.Broken] = []
    monkeypatch.setattr(worker._link, "start", lambda: None)
    monkeypatch.setattr(worker._link, "say", said.append)
    monkeypatch.setattr(worker._link, "close", lambda within_s: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert worker.run() == 1
    assert said[0].keeps and "different content of the same size" in said[0].what
