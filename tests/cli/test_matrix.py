"""Every verb where everything is wrong: it ends soon, with a code of its own and words; never a traceback."""

from __future__ import annotations

import io
import os
import pwd
import resource
import socket
import sys
import tempfile
import time
from argparse import _SubParsersAction
from pathlib import Path

import pytest

from core import paths
from core.cli import exit_codes
from core.cli.inspect import best_and_generate
from core.cli.main import main
from core.cli.parsers.argument_parser import make_parser
from core.cli.steer import engine_status_stop as engine_verb
from core.contract.wire import console_api, engine_client, engine_health_check
from core.daemon.server import engine_launch
from core.errors import EngineError
from core.watch import doctor_checks
from core.watch.library_probe import Probed
from tests.cli import studies
from tests.cli.scripted_engine import ScriptedEngine
from tests.hostile import harm, hostile
from tests.tui import explored

SOON_S = 0.2
VERBS = {
    "run": ["run SPEC --detach", "run SPEC --headless", "run none.toml"],
    "attach": ["attach", "attach --host nowhere"],
    "hosts": ["hosts list", "hosts add", "hosts add x -oProxyCommand=y", "hosts remove x"],
    "fit": ["fit SPEC --gpu 24GiB"],
    "recommend": ["recommend MODEL ROWS --gpu 24GiB", "recommend MODEL ROWS --gpu 24GiB --out OUT"],
    "check": ["check SPEC", "check ."],
    "augment": ["augment SPEC -o OUT/more --rows 1", "augment SPEC"],
    "clean": ["clean SPEC -o OUT/rows", "clean SPEC --anonymise --dry-run", "clean SPEC"],
    "pause": ["pause 0", "pause --all"],
    "resume": ["resume 0"],
    "prune": ["prune 0"],
    "stop": ["stop"],
    "change": ["change study.trials=9 --yes"],
    "enqueue": ["enqueue lora_rank=8"],
    "clone": ["clone 0"],
    "edit": ["edit 0 learning_rate=1e-4"],
    "mark": ["mark 0 --note caf\udce9"],
    "unprune": ["unprune 0"],
    "status": ["status", "status --json"],
    "best": ["best", "best --json --study caf\udce9"],
    "boards": ["boards"],
    "insight": ["insight"],
    "insides": ["insides 0"],
    "logs": ["logs", "logs 0"],
    "generate": ["generate hello"],
    "export": ["export --out OUT", "export --html OUT"],
    "rerun": ["rerun OUT"],
    "merge": ["merge --out OUT"],
    "doctor": ["doctor"],
    "caches": ["caches list", "caches clear"],
    "hooks": ["hooks list", "hooks test none"],
    "engine": ["engine status", "engine stop", "engine socket"],
    "help": ["help", "help keys", "help nothing", "help --man"],
    "completion": ["completion bash"],
    "snapshot": ["snapshot --out OUT.txt", "snapshot --screen nothing"],
}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path, spec):
    """What takes seconds is left out; temporary files lie in a folder that can be looked at."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(best_and_generate, "run_with_torch", lambda *_: 0)
    monkeypatch.setattr(doctor_checks, "probe_libraries", lambda: Probed(versions={"torch": "2"}))

    def start(*_):
        raise EngineError.of(
            "the engine ended at once: its log is empty", "engine.log", "run `trimtab doctor`"
        )

    monkeypatch.setattr(engine_launch, "_start", start)
    monkeypatch.setattr(engine_verb, "LEAVE_DEADLINE_S", SOON_S)  # the scripted one never leaves
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    monkeypatch.chdir(tmp_path)
    spec.write_text(spec.read_text().replace("a/b", str(tmp_path)))


def test_the_matrix_has_every_verb():
    (verbs,) = [action for action in make_parser()._actions if isinstance(action, _SubParsersAction)]
    assert set(VERBS) == set(verbs.choices)


@pytest.fixture
def walk(tmp_path, spec, capsys, monkeypatch):
    """Run every verb; all that is wrong with what it says."""

    def one(line: str) -> list[str]:
        names = {"SPEC": spec, "MODEL": tmp_path, "ROWS": tmp_path / "rows.jsonl", "OUT": tmp_path / "out"}
        began = time.monotonic()
        code = main([str(names.get(word, word)) for word in line.split()])
        shown = capsys.readouterr()
        found = [] if code in exit_codes.TABLE else [f"code {code}"]
        found += [f"{time.monotonic() - began:.1f} s"] if time.monotonic() - began > 30 else []
        for text in (shown.out, shown.err):
            found += [text] if "Traceback" in text or "fault of trimtab" in text else []
            found += harm(text)
        told = "\ntrimtab: " in f"\n{shown.err}" or line in ("engine status", "doctor")
        found += [f"code {code}, and says {shown.err!r}"] if code and not told else []
        found += (
            [f"silent, code {code}"]
            if not (shown.out or shown.err or line.startswith(("gen", "merge")))
            else []
        )
        return [f"{line}: {what}" for what in found]

    def all_() -> None:
        wrong = [what for lines in VERBS.values() for line in lines for what in one(line)]
        left = [str(path) for place in (tmp_path, paths.home()) for path in place.rglob("*error-*.log")]
        assert not wrong and not left, "\n".join([*wrong, *(Path(path).read_text() for path in left)])

    return all_


@pytest.fixture
def alive(home):
    """An engine with a study that is poisoned wherever it can be."""
    with ScriptedEngine(paths.socket_path()) as running:
        running.state = hostile(
            studies.state(studies.created(), *studies.trial(0), studies.completed(0, 1.5))
        )
        running.reply = lambda request: console_api.Reply(0, True, answer=hostile(explored.answers(request)))
        running.leaves = True
        yield running


def test_an_engine_that_is_stopped(walk, home, monkeypatch):
    """It listens and never answers."""
    for module in (engine_client, engine_health_check, engine_launch):
        for name, value in vars(module).items():
            if name.endswith("_S") and isinstance(value, float):
                monkeypatch.setattr(module, name, SOON_S)
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(paths.socket_path()))
        line.listen(1000)
        walk()


def test_a_home_in_which_nothing_is_what_it_should_be(walk, home):
    (home / "engine.sock").mkdir()
    (home / "engine.log").mkdir()
    for name in ("memory.json", "sharing.json", "engine.lock"):
        (home / name).write_bytes(b"\xff{[" * 1000)
    for name in ("a", "b", "c", "d\udce9"):
        (home / "studies" / name).mkdir(parents=True)
    (home / "studies" / "a" / "journal.log").write_bytes(os.urandom(4096))
    (home / "studies" / "b" / "journal.log").mkdir()
    (home / "studies" / "c" / "study.toml").write_bytes(b"\xff" * 100)
    (home / "studies" / "file").write_text("")
    (home / "studies" / "loop").symlink_to("loop")
    walk()


def test_a_home_that_is_a_file(walk, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    walk()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_locale_without_the_signs(walk, alive, monkeypatch, encoding):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Narrow(getattr(sys, name), encoding))
    walk()


class Narrow(io.TextIOWrapper):
    """A stream that can write no more than its encoding, and passes on what it could."""

    def __init__(self, stream, encoding):
        super().__init__(io.BytesIO(), encoding)
        self._to = stream

    def write(self, text):
        self._to.write(text.encode(self.encoding, self.errors).decode(self.encoding))
        return len(text)


def test_no_home_folder_at_all(walk, tmp_path, monkeypatch):
    def unknown(_):
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TRIMTAB_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    walk()
    assert not (tmp_path / "~").exists()


def test_a_disk_that_is_full(walk, alive):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # every write to a file is one too many
    try:
        walk()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_second_user(walk, alive, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    walk()
