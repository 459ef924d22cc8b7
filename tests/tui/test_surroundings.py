"""Every screen of the real console where all around it is wrong: words, and the terminal as it was."""

from __future__ import annotations

import importlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from pkgutil import walk_packages

import msgspec
import pytest
from textual.screen import Screen

import tui
from core import paths
from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.store import run_folder
from core.store.journal_file import Journal
from tests.daemon.conftest import Engine
from tests.matrix import rest_slow
from tests.stranger import NOBODY
from tests.tui import walk
from tests.tui.ptys import DRAWN, Pty
from tests.tui.scene import NOW, no_card, state_of, study_events
from tests.tui.scored import scored_study
from tui import theme_colors

pytestmark = pytest.mark.real


def poison(home: Path) -> None:
    """Nothing is what it should be, but one study's journal, which is cut off in mid-record."""
    for name in ("memory.json", "sharing.json", "engine.lock", "engine.starting"):
        (home / name).write_bytes(b"\xff{[" * 1000)
    (home / "replaced").write_text("a file")
    folder = home / "studies" / "tidy-7b"
    (folder / "tb").write_text("a file")
    (folder / "trials").mkdir()
    (folder / "trials" / "0").write_text("a file")
    (folder / "trials" / "1" / "insides.json").mkdir(parents=True)
    with (folder / "journal.log").open("ab") as journal:
        journal.write(b"\x07\x00")
    for name in ("a", "b", "c", "d\udce9", "another"):
        (home / "studies" / name).mkdir()
    (home / "studies" / "a" / "journal.log").write_bytes(os.urandom(4096))
    (home / "studies" / "a" / "study.toml").write_text("[study]\nname = 'a'\n")
    (home / "studies" / "b" / "journal.log").mkdir()
    (home / "studies" / "c" / "study.toml").write_bytes(b"\xff" * 100)
    (home / "studies" / "another" / "study.toml").write_text("")
    (home / "studies" / "another" / "journal.log").write_text("")
    (home / "studies" / "loop").symlink_to("loop")
    if os.getuid() == 0:
        os.chown(home / "studies" / "another", NOBODY, NOBODY)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home with a study that has ended, poisoned all around it."""
    place = paths.make_private(tmp_path / "home")
    monkeypatch.setenv("TRIMTAB_HOME", str(place))
    first, *rest = scored_study(ends=["paused", "complete", "pruned", "complete", "failed"])
    folder = paths.make_private(paths.make_private(paths.studies()) / "tidy-7b")
    run_folder.write_spec(folder, spec_file.write(spec_file.parse(first.spec)))
    journal = Journal.open(folder / "journal.log")
    assert not list(journal.replay())
    spec = {**first.spec, "resources": {**first.spec["resources"], "devices": "cpu"}}
    first = msgspec.structs.replace(first, folder=str(folder), spec=spec)
    journal.append([first, *rest, e.StudyPaused(at=NOW, study="tidy-7b", by="console")])
    journal.close()
    poison(place)
    return place


@pytest.fixture
def engine(home) -> Iterator[Engine]:
    """The real one, started in that home; then the disk is full."""
    one = Engine(home).start()
    assert one.process is not None
    before = resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    yield one
    resource.prlimit(one.process.pid, resource.RLIMIT_FSIZE, before)
    one.end()


def full() -> None:
    """Every write to a file is one too many."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def console(*arguments: str, **environment: str) -> Pty:
    """A process that has no more of an environment than it is given."""
    given = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "PYTHONPATH": str(paths.find_root())}
    return Pty(arguments, {**given, **environment}, full)


def ended(pty: Pty, code: int) -> str:
    """All that it wrote, once it has left as it should."""
    shown = pty.until(None).decode(errors="replace")
    try:
        assert (pty.code(), pty.not_as_it_was()) == (code, []), shown[-3000:]
        assert "Traceback" not in shown and "fault of trimtab" not in shown, shown[-3000:]
    finally:
        os.close(pty.file)
    return shown


def test_every_screen_in_a_poisoned_home_without_home_locale_and_room(home, engine):
    one = console("-m", "tests.tui.walk", TRIMTAB_HOME=str(home), LC_ALL="C")
    shown = ended(one, 0)
    assert "the journal cannot be written: File too large" in shown
    last = shown.rpartition("\x1b[?1049l")[2]
    assert "detached — the study continues; reopen with `trimtab`" in last
    seen = set(last.partition(walk.SEEN)[2].split("\r\n")[0].split())
    found = [
        importlib.import_module(walk_package.name) for walk_package in walk_packages(tui.__path__, "tui.")
    ]
    own = {
        name
        for module in found
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, Screen) and kind.__module__ == module.__name__
    }
    bases = {"StudyScreen", "SteeringScreen", "BulkScreen", "TableScreen", "StartForm"}
    without_study = {"StudyFileScreen", "WizardScreen"}
    more = {"Preview", "AwayScreen"}  # a disk that is full; a first visit
    assert own - seen == bases | without_study | more | {"SignalDialog"}  # no process here has a GPU


def test_where_no_screen_can_be_opened_it_is_said_and_why(tmp_path):
    """In a terminal, by processes of their own: they differ in what is around them."""
    home = paths.make_private(tmp_path / "home")
    (tmp_path / "file").write_text("")
    (paths.make_private(tmp_path / "taken") / "engine.sock").mkdir()
    cases = {
        "this is a file or a broken link": (3, {"TRIMTAB_HOME": str(tmp_path / "file")}),
        "cannot create the folder": (3, {"HOME": "/proc/none"}),
        "engine's socket path is not a socket": (3, {"TRIMTAB_HOME": str(tmp_path / "taken")}),
        "cannot be written": (3, {"TRIMTAB_HOME": str(home)}),
    }  # fmt: skip
    if os.getuid() == 0:
        os.chown(paths.make_private(tmp_path / "another"), NOBODY, NOBODY)
        cases["belongs to another user"] = (3, {"TRIMTAB_HOME": str(tmp_path / "another")})
    started = {
        words: (code, console("-m", "tui.entry_point", **more)) for words, (code, more) in cases.items()
    }
    for words, (code, one) in started.items():
        shown = ended(one, code)
        assert DRAWN not in one.seen, shown
        assert shown.startswith("trimtab: ") and words in shown and "\r\n  -> " in shown.replace("→", "->"), (
            shown
        )


@pytest.mark.parametrize(
    "text", rest_slow([b"\xff\xfe", b"primary = 'no colour'", b"[", b"", b"primary = 3", b"x = 1"], 2)
)
async def test_a_damaged_theme_is_named_and_keeps_nobody_from_the_console(seat, tmp_path, monkeypatch, text):
    for name in ("harbour.toml", "odd.toml"):
        (tmp_path / name).write_bytes(text)
    (tmp_path / "folder.toml").mkdir()
    monkeypatch.setattr(theme_colors, "THEMES", tmp_path)
    async with seat(state_of(study_events(), no_card()), (120, 40)) as you:
        await you.sees("tidy-7b", "cannot be used", "folder.toml", "odd.toml")
