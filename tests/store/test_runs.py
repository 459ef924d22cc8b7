"""The run folder is private, and nobody is led out of it."""

import pytest

from core import paths
from core.errors import TrimtabError
from core.store import run_folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_study_has_a_folder_of_its_own_that_nobody_else_reads(home):
    folder = run_folder.create("demo", "a = 1\n")
    assert folder == home / "studies" / "demo"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "study.toml").read_text() == "a = 1\n"
    assert run_folder.create("demo", "a = 1\n") == folder


def test_another_study_of_the_same_name_is_refused():
    run_folder.create("demo", "a = 1\n")
    with pytest.raises(TrimtabError, match="contains another study"):
        run_folder.create("demo", "a = 2\n")


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "", "a\x1b[2J"])
def test_a_name_that_leaves_the_home_is_refused(name, home):
    with pytest.raises(TrimtabError):
        run_folder.create(name, "")
    assert not (home.parent / "x").exists()


def test_a_link_in_the_place_of_a_folder_is_refused(home, tmp_path):
    folder = run_folder.create("demo", "")
    (tmp_path / "elsewhere").mkdir()
    (folder / "trials" / "3").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TrimtabError, match="is a link"):
        run_folder.trial_folder(folder, 3)
    (paths.studies() / "linked").symlink_to(folder)
    (folder / "journal.log").write_bytes(b"")
    assert run_folder.list_studies() == [folder]


def test_the_socket_is_in_the_home_however_long_its_path(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 120)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert paths.socket_path(deep) == deep / "engine.sock"


@pytest.mark.parametrize("name", ["study.toml", "journal.log"])
def test_a_study_whose_files_are_links_is_not_read(name, home, tmp_path):
    folder = run_folder.create("demo", "a = 1\n")
    (folder / "journal.log").write_bytes(b"")
    assert run_folder.list_studies() == [folder]
    elsewhere = tmp_path / name
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    assert run_folder.list_studies() == []


def test_nothing_is_written_through_a_link(home, tmp_path):
    folder, elsewhere = run_folder.create("demo", "a = 1\n"), tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    for place in (folder / "study.toml.new", folder / "workers" / "cpu-1.log"):
        place.symlink_to(elsewhere)
    run_folder.write_spec(folder, "a = 2\n")
    with (
        pytest.raises(OSError),
        open(run_folder.worker_log(folder, "cpu-1"), "ab", opener=paths.open_without_link),
    ):
        pass
    assert elsewhere.read_text() == "mine" and (folder / "study.toml").read_text() == "a = 2\n"
