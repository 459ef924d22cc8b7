"""Folders, locks, clock, locale and MIG: what the doctor says of each."""

from __future__ import annotations

import errno
import io
import os
import sys
import time

import pytest

from core.watch import doctor_checks, folder_clock_locale_checks
from core.watch.nvml_reader import GpuReader
from tests.watch.fake_nvml import FakeNvml


def test_caches_that_cannot_be_written_name_their_variables(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "file" / "a"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file"))
    own, hub = folder_clock_locale_checks.cache()
    assert (own.level, hub.level) == ("warn", "warn") and "is not writable" in own.found
    assert "TRIMTAB_CACHE" in own.fix and "HF_HOME" in hub.fix
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "b"))
    assert {one.level for one in folder_clock_locale_checks.cache()} == {"ok"}


def test_a_disk_without_file_locks(tmp_path, monkeypatch):
    assert [one.level for one in folder_clock_locale_checks.check_disk(tmp_path)] == ["ok", "ok"]

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folder_clock_locale_checks.fcntl, "flock", refuse)
    locks, _ = folder_clock_locale_checks.check_disk(tmp_path / "not" / "made")
    assert locks.level == "warn" and f"not supported in {tmp_path}: No locks available" in locks.found
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder_clock_locale_checks.tempfile, "TemporaryFile", refuse)
    (one,) = folder_clock_locale_checks.check_disk(tmp_path)
    assert one.level == "warn" and "cannot write a file (No space left on device)" in one.found


def test_clocks_that_differ_and_one_that_was_set_back(tmp_path, monkeypatch):
    assert "differs by +90 s" in folder_clock_locale_checks._check_clock(90.0, tmp_path).found
    log = tmp_path / "engine.log"
    log.write_text("")
    os.utime(log, (time.time() + 7200,) * 2)
    found = folder_clock_locale_checks._check_clock(0.0, tmp_path)
    assert found.level == "warn" and "in the future" in found.found and "timedatectl" in found.fix
    monkeypatch.setattr(folder_clock_locale_checks.time, "time", lambda: 0.0)  # a machine without a battery
    assert folder_clock_locale_checks._check_clock(0.0, tmp_path / "new").level == "warn"


def test_a_locale_without_the_signs(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "latin-1"))
    monkeypatch.setenv("LC_ALL", "de_DE.ISO-8859-1")
    found = folder_clock_locale_checks.check_locale()
    assert found.level == "warn" and "iso8859-1" in found.found.lower().replace("latin-1", "iso8859-1")
    assert "LC_ALL=de_DE.ISO-8859-1" in found.found and "C.UTF-8" in found.fix
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert folder_clock_locale_checks.check_locale().level == "ok"


def test_a_session_that_ends(monkeypatch):
    monkeypatch.setattr(
        folder_clock_locale_checks.systemd_logout, "explain_kill", lambda pid: f"systemd ends {pid}"
    )
    assert folder_clock_locale_checks.check_session(None).found == "the engine will stop: systemd ends self"
    assert folder_clock_locale_checks.check_session(7).found.endswith("systemd ends 7")


@pytest.mark.parametrize(
    ("instances", "level", "words"),
    [(0, "fail", "only its instances compute (none exist)"), (2, "ok", "compute (gpu 300, gpu 301)")],
)
def test_a_card_in_mig_mode(instances, level, words):
    nvml = FakeNvml()
    nvml.mig[2] = instances
    found = {one.name: one for one in doctor_checks._check_gpus(*GpuReader(nvml).read())}
    assert found["gpu 2"].level == level and words in found["gpu 2"].found
    assert found["gpu 0"].level == "ok" and "MIG" not in found["gpu 0"].found
    assert len(found) == 4 + instances
