"""Host and workers by psutil, on the machine that runs the test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import psutil

from core.contract.events import event_types
from core.watch.host_reader import read_disk_free_bytes
from core.watch.machine_reader import MachineReader
from core.watch.nvml_reader import GpuReader
from tests.watch.fake_nvml import FakeNvml


def test_a_reading_of_everything_goes_over_the_wire(tmp_path):
    reader = MachineReader(tmp_path, GpuReader(FakeNvml()))
    first = reader.read([], 1.0)
    second = reader.read([], 2.0)
    reader.close()
    assert first.host.cpu is None, "there is no share before the second reading"
    assert second.host.cpu is not None and 0 <= second.host.cpu <= 1
    assert second.at == 2.0 and len(second.devices) == 4 and second.why_none == ""
    assert second.host.cores >= 1 and 0 < second.host.used_bytes < second.host.total_bytes
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(second), type=event_types.AnyEvent) == second


def test_workers_that_live_and_one_that_is_gone(tmp_path):
    reader = MachineReader(tmp_path, GpuReader(FakeNvml(0)))
    program = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    rows = [("w0", child.pid, "cpu", "small"), ("w1", psutil.Process().pid, "cuda:0", "small")]
    reader.read(rows, 1.0)
    living = reader.read(rows, 2.0).workers
    assert [one.name for one in living] == ["w0", "w1"] and living[0].study == "small"
    assert all(one.rss_bytes > 1 << 20 and one.cpu is not None for one in living)
    child.communicate()
    gone = reader.read(rows, 3.0).workers[0]
    assert (gone.name, gone.rss_bytes, gone.cpu) == ("w0", None, None)


def test_no_gpu_says_why(tmp_path):
    read = MachineReader(tmp_path, GpuReader(FakeNvml(0))).read([], 1.0)
    assert read.devices == () and read.why_none == "no NVIDIA GPU: the driver lists none"


def test_the_disk_of_a_folder_that_is_not_made_yet(tmp_path):
    assert read_disk_free_bytes(tmp_path / "not" / "there") > 0
    assert read_disk_free_bytes(Path("/")) > 0
