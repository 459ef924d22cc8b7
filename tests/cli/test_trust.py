"""What a verb believes and how it says so: homes, engines and files that may be another user's."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from core import paths
from core.cli import exit_codes
from core.cli.main import main
from core.contract.wire import local_socket
from core.store import run_folder
from tests.stranger import as_stranger, needs_root, opened_up

VERBS = [
    ["status"], ["status", "--json"], ["engine", "status"], ["engine", "stop"], ["best"], ["logs"],
    ["pause", "0"], ["resume", "0"], ["prune", "0"], ["stop"], ["export"], ["generate", "hello"],
    ["merge", "--out", "x"], ["boards"], ["insight"], ["mark", "0", "--star"],
]  # fmt: skip
verbs = pytest.mark.parametrize("argv", VERBS, ids=" ".join)


def refused(capsys, argv: list[str]) -> str:
    """What stands on standard error, in three parts, where nothing is on standard output."""
    assert main(argv) == exit_codes.NO_ENGINE
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("trimtab: ") and "  → " in told.err, told
    return told.err


@verbs
def test_a_home_that_is_a_file_is_told_in_words(home, capsys, monkeypatch, argv):
    (home / "file").write_text("")
    monkeypatch.setenv("TRIMTAB_HOME", str(home / "file"))
    assert "the home folder is a file, not a folder" in refused(capsys, argv)


@needs_root
@verbs
def test_the_home_of_another_user_is_told_in_words(home, capsys, argv):
    os.chown(home, 65534, 65534)
    assert "the home folder belongs to another user (uid 65534)" in refused(capsys, argv)


@pytest.fixture
def silent_engine(home, monkeypatch):
    """An engine that is stopped: its socket takes connections, and no word ever comes."""
    for module in ("core.contract.wire.engine_client", "core.contract.wire.engine_health_check"):
        monkeypatch.setattr(f"{module}.SILENT_S", 0.1)
    monkeypatch.setattr("core.contract.wire.engine_client.LOOK_S", 0.02)
    with local_socket.open_listening(paths.socket_path()) as line:
        line.listen()
        yield


@verbs
def test_an_engine_that_does_not_answer_is_named_by_every_verb(silent_engine, capsys, argv):
    told = refused(capsys, argv)
    assert f"the engine (process {os.getpid()}) does not answer" in told and "kill" in told


def test_a_study_is_not_given_to_an_engine_that_does_not_answer(silent_engine, capsys, spec):
    assert "does not answer" in refused(capsys, ["run", str(spec), "--detach"])


def test_an_engine_that_is_stopped_is_told_apart_from_one_that_is_busy(silent_engine, capsys, monkeypatch):
    monkeypatch.setattr("core.contract.wire.engine_client.is_stopped", lambda pid: True)
    monkeypatch.setattr("core.contract.wire.engine_health_check.is_stopped", lambda pid: True)
    assert f"`kill -CONT {os.getpid()}` lets it continue" in refused(capsys, ["status"])


@pytest.fixture
def shared(monkeypatch):
    """A temporary folder of all users."""
    with tempfile.TemporaryDirectory(prefix="tt-shared-") as folder:
        Path(folder).chmod(0o1777)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@needs_root
def test_a_stranger_in_a_folder_of_all_users_is_never_asked(home, shared, capsys, monkeypatch):
    """Another user makes the folder first that a long home's socket once lay in, and answers there."""
    deep = paths.make_private(home / ("d" * 120))
    monkeypatch.setenv("TRIMTAB_HOME", str(deep))
    digest = hashlib.sha256(os.fsencode(deep)).hexdigest()[:16]
    squat = (
        "os.mkdir(sys.argv[1]); line = socket.socket(socket.AF_UNIX)\n"
        "line.bind(sys.argv[1] + '/engine.sock')\n"
        "os.chmod(sys.argv[1] + '/engine.sock', 0o777); line.listen(); line.settimeout(60)\n"
        "print('ready', flush=True); line.accept(); print('asked', flush=True)"
    )
    stranger = as_stranger(squat, shared / f"trimtab-{os.getuid()}-{digest}")
    try:
        assert stranger.stdout is not None and stranger.stdout.readline() == "ready\n"
        assert main(["status"]) == exit_codes.OK
        assert "the engine is not running" in capsys.readouterr().out
        assert stranger.poll() is None, "nobody has asked it"
    finally:
        stranger.kill()
        stranger.communicate()


@needs_root
def test_nothing_of_a_home_can_be_read_or_reached_by_another_user(home, engine):
    run_folder.create("small", "a = 1\n")
    opened_up(home)
    look = (
        "found = []\n"
        "for name in ('', 'studies', 'studies/small/study.toml', 'engine.sock'):\n"
        "    try: os.stat(f'{sys.argv[1]}/{name}') if name else os.listdir(sys.argv[1]); found.append(name)\n"
        "    except PermissionError: pass\n"
        "print(found)"
    )
    told, failed = as_stranger(look, home).communicate(timeout=60)
    assert (told, failed) == ("[]\n", "")


@needs_root
@pytest.mark.parametrize("name", ["", "study.toml", "journal.log"])
def test_a_study_that_another_user_wrote_is_not_taken_for_ones_own(home, capsys, name):

    folder = run_folder.create("small", "a = 1\n")
    (folder / "journal.log").write_bytes(b"")
    assert run_folder.list_studies() == [folder]
    os.chown(folder / name, 65534, 65534)
    assert run_folder.list_studies() == []


def test_what_is_made_is_its_owners_alone(home):
    before = os.umask(0)
    try:
        folder = run_folder.create("small", "a = 1\n")
        with local_socket.open_listening(paths.socket_path()):
            made = [home, *home.rglob("*")]
            modes = {one.relative_to(home).as_posix(): one.lstat().st_mode & 0o077 for one in made}
    finally:
        os.umask(before)
    assert folder.is_dir() and set(modes.values()) == {0}, modes
