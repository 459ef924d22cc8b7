"""The ticket runs without a card, loses nothing, and no part takes the time of another."""

import ast
import json
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from types import SimpleNamespace

import pytest
import torch

from core.contract.spec import spec_file
from tests.gpu import card, carried_wheels, parcel, part_record, ticket, ticket_table
from tests.gpu.part_record import CaseSkippedError, PartRecord
from tests.gpu.parts import card_tests, memory_grid, profile_counts, study_run, sweep_speed

ROWS = {"machine": {}, "launch": {"step_s": 0.01}}


@pytest.fixture(autouse=True)
def dry(monkeypatch):
    monkeypatch.setenv(card.DRY, "1")
    for name in ("set_environment", "silence_transformers"):  # they would change what other tests look at
        monkeypatch.setattr(ticket.quiet_libraries, name, lambda: None)
    monkeypatch.setattr(sweep_speed, "COUNTS", {True: (1,)})
    monkeypatch.setattr(sweep_speed, "KINDS", ("mixed",))
    monkeypatch.setattr(memory_grid, "DRY_LOADS", [("dry", "bf16")])
    monkeypatch.setattr(profile_counts, "CASES", ["dropout:0.5B:1"])


def test_parts_run_on_a_cpu_from_one_end_to_the_other(tmp_path, capfd):
    assert ticket.run(tmp_path, ["b", "c", "d", "f"], 300.0)
    found = {letter: part_record.read(tmp_path / f"{letter}.json") for letter in "bcdf"}
    assert found["c"]["rows"]["mixed:0.5B:1"]["ratio"] > 0
    assert found["b"]["rows"]["dropout:0.5B:1"]["kernels"] > 100
    assert not [row for part in found.values() for row in part["rows"].values() if row.get("faults")]
    short = found["f"]["rows"]["out of memory"]
    assert short["recovered"] and not short["requeued"] and short["largest_difference"] < 1e-2
    text = (tmp_path / ticket.TABLE).read_text()
    assert "dry run" in text and "| mixed:0.5B:1 |" in text
    assert not ticket.file_of(tmp_path, ticket.PARTS[0]).exists()


def test_every_test_on_the_card_has_a_row_with_its_outcome(tmp_path):
    report = {"nodeid": "tests/a.py::test_it", "location": ("a.py", 1, "test_it"), "keywords": {}}
    listener = card_tests.Listener(PartRecord(tmp_path / "a.json"))
    for when, outcome, why in (
        ("setup", "passed", None),
        ("call", "failed", "no"),
        ("teardown", "passed", None),
    ):
        listener.pytest_runtest_logreport(
            pytest.TestReport(**report, when=when, outcome=outcome, longrepr=why)
        )
    found = part_record.read(tmp_path / "a.json")["rows"]
    assert found == {"test_it": {"outcome": "failed", "test_s": 0, "why": "no"}}


def test_what_tests_on_the_card_load_is_carried_or_there():
    """With ``confcutdir`` pytest reads no conftest.py above that folder."""
    options = card_tests.OPTIONS
    folder = card_tests.ROOT / options[options.index("--confcutdir") + 1]
    found = set()
    for file in (folder / "conftest.py", card_tests.ROOT / options[-1]):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.partition(".")[0] for name in names}
    found -= {"core", "tests", *sys.stdlib_module_names}
    assert found and found <= {*parcel.NEEDED, *parcel.BROUGHT}


def test_the_study_of_the_ticket_is_one_that_the_program_takes(tmp_path):
    spec = spec_file.load(study_run.study_file(tmp_path))
    assert spec.study.name == study_run.NAME and spec.evaluate.boards


@pytest.fixture
def parts(monkeypatch):
    """Parts of one's own in the place of the ticket's; none of them needs a library."""

    def use(**works):
        for name, work in works.items():
            monkeypatch.setitem(sys.modules, f"tests.gpu.parts.{name}", SimpleNamespace(run=work))
        monkeypatch.setattr(ticket, "LIBRARIES", ())
        monkeypatch.setattr(ticket, "SLOW", 1.0)
        monkeypatch.setattr(ticket, "LEAST_S", 0.0)
        monkeypatch.setattr(ticket.quiet_libraries, "load_peft", lambda: None)
        made = [
            ticket.Part(letter, name, name, 2.0 if name == "hangs" else 60.0)
            for letter, name in zip("cde", works, strict=False)
        ]
        monkeypatch.setattr(ticket, "PARTS", tuple(made))

    return use


def test_a_part_that_hangs_is_ended_and_keeps_its_rows(tmp_path, parts):
    def hangs(record):
        record.case("first", lambda: ROWS["launch"])
        threading.Event().wait()

    def works(record):
        record.case("second", lambda: ROWS["launch"])
        record.close(1)

    parts(hangs=hangs, works=works)
    assert not ticket.run(tmp_path, ["c", "d"], 60.0)
    late = part_record.read(tmp_path / "c.json")
    assert (
        late["state"] == part_record.FAILED and "first" in late["rows"] and "ended after" in late["notes"][-1]
    )
    assert part_record.read(tmp_path / "d.json")["state"] == part_record.COMPLETE


def test_a_part_that_ends_its_process_is_told_as_failed(tmp_path, parts):
    parts(dies=lambda record: ticket.os._exit(9))
    assert not ticket.run(tmp_path, ["c"], 60.0)
    assert "ended with 9" in part_record.read(tmp_path / "c.json")["notes"]


def test_what_is_complete_is_not_run_again_and_what_failed_is(tmp_path):
    runs = []

    def work(name, error=None):
        runs.append(name)
        if error is not None:
            raise error
        return {"figure": 1}

    for turn in range(2):
        record = PartRecord(tmp_path / "a.json")
        record.case("good", lambda: work("good"))
        record.case("bad", lambda turn=turn: work("bad", None if turn else ValueError("no")))
        record.case("absent", lambda turn=turn: work("absent", None if turn else CaseSkippedError("no card")))
        record.close(3)
        assert record.content["state"] == (part_record.COMPLETE if turn else part_record.PARTIAL)
    assert runs == ["good", "bad", "absent", "bad", "absent"]


def test_a_case_that_needs_more_time_than_is_left_is_left_to_the_next_run(tmp_path):
    record = PartRecord(tmp_path / "a.json", limit_s=5.0)
    record.case("long", lambda: {"figure": 1}, needs_s=60.0)
    record.close(1)
    assert record.content["state"] == part_record.PARTIAL and "needs about 60 s" in record.content["notes"][0]


def test_a_table_can_be_made_of_parts_that_found_nothing():
    part = {"state": "failed", "rows": {}, "notes": ["why"], "about": {}}
    text = ticket_table.table(dict.fromkeys(ticket_table.VIEWS, part))
    assert text.count("- why") == len(ticket_table.VIEWS)
    assert "a \\| b" in ticket_table.text("a | b") and ticket_table.text(None) == "–"


def test_a_range_that_the_profiler_shows_on_the_device_is_no_kernel():
    def event(name, kind, device="CUDA"):
        return SimpleNamespace(
            name=lambda: name, activity_type=lambda: kind, duration_ns=lambda: 1_000_000,
            device_type=lambda: getattr(torch.autograd.DeviceType, device),
        )  # fmt: skip

    events = [event("gemm", "kernel"), event("gemm", "kernel"), event("Memcpy HtoD", "gpu_memcpy"),
              event("Optimizer.step#AdamW.step", "gpu_user_annotation"),
              event("cudaLaunchKernel", "cuda_runtime", "CPU"),
              event("cudaStreamSynchronize", "cuda_runtime", "CPU"),
              event("cudaDeviceSynchronize", "cuda_runtime", "CPU")]  # fmt: skip
    row = profile_counts.summed(events * profile_counts.ROUNDS, on_card=True)
    assert (row["kernels"], row["waits"], row["launches"], row["busy_ms"]) == (3, 1, 1, 3)


def test_the_counts_of_the_other_tests_stand_beside_those_of_the_profiler(tmp_path, monkeypatch):
    monkeypatch.setattr(profile_counts, "COUNTS", tmp_path / "counts.json")
    assert profile_counts.read_counts() is None
    known = {"uniform 8": {"kernels": 3617, "waits": 9, "bytes": 110}}
    profile_counts.COUNTS.write_text(json.dumps({"versions": {}, "cases": known}))
    counted = profile_counts.known_of("uniform:0.5B:8", profile_counts.read_counts())
    row = profile_counts.compared({"kernels": 3600}, counted)
    assert row == {"kernels": 3600, "counted": known["uniform 8"]}
    assert profile_counts.known_of("uniform:0.5B:3", profile_counts.read_counts()) is None


def test_every_package_that_trimtab_asks_for_is_carried_or_there():
    project = tomllib.loads((carried_wheels.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {
        re.split(r"[<>=!;\[ ]", line)[0].lower().replace("_", "-")
        for line in (*project["dependencies"], *project["optional-dependencies"]["train"])
    }
    known = (*parcel.NEEDED, *parcel.BROUGHT, *parcel.UNUSED, parcel.SECOND)
    assert asked <= {name.lower().replace("_", "-") for name in known}


def test_every_package_of_the_parcel_has_a_version():
    assert not set(parcel.NEEDED) - set(parcel.pins()) and parcel.SECOND in parcel.pins()


def test_a_wheel_is_only_installed_where_its_package_is_missing(tmp_path):
    assert carried_wheels.installed(tmp_path / "pytest_asyncio-1.0-py3-none-any.whl")
    assert not carried_wheels.installed(tmp_path / "no_such_package-1.0-py3-none-any.whl")


def test_packages_that_a_pth_file_leads_to_are_seen_beside_carried_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "led_to.py").write_text("")
    python = carried_wheels.build(tmp_path / "venv")
    assert subprocess.run([python, "-P", "-c", "import led_to"]).returncode == 0


def test_a_wheel_for_another_python_is_left_alone(tmp_path):
    own = carried_wheels.VERSION
    names = [
        f"one-1-cp{own}-cp{own}-linux_x86_64.whl",
        "one-1-py2.py3-none-any.whl",
        "one-1-cp38-abi3-linux.whl",
    ]
    assert all(carried_wheels.fits(tmp_path / name) for name in names)
    assert not carried_wheels.fits(tmp_path / "one-1-cp27-cp27m-linux_x86_64.whl")


def test_the_second_parcel_has_the_library_of_one_cuda_version(tmp_path):
    wheel = tmp_path / "bitsandbytes-1-py3-none-any.whl"
    names = [f"bitsandbytes/libbitsandbytes_{kind}.so" for kind in ("cpu", "cuda128", "cuda130")]
    with zipfile.ZipFile(wheel, "w") as file:
        for name in ("bitsandbytes/__init__.py", *names):
            file.writestr(name, "")
    with zipfile.ZipFile(parcel.slim(wheel, "130")) as file:
        assert file.namelist() == ["bitsandbytes/__init__.py", names[0], names[2]]
