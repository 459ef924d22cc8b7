"""Where trimtab keeps things when the usual places are not there or cannot be written."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest

from core import paths
from core.cli.main import main
from core.contract.text import error_reports
from core.errors import TrimtabError


@pytest.fixture
def bare(monkeypatch):
    """No variable says where anything is."""
    for name in ("TRIMTAB_HOME", "TRIMTAB_CACHE", "HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def nobody(bare):
    """Nor does the system know a home folder, as in a container run under any number."""

    def unknown(_):
        raise KeyError

    bare.setattr(pwd, "getpwuid", unknown)
    return bare


def test_the_cache_follows_a_home_that_is_said_where_the_usual_place_is_read_only(bare, tmp_path):
    (tmp_path / "file").write_text("")
    bare.setenv("HOME", str(tmp_path / "file"))  # nothing can be made there, not even by root
    bare.setenv("TRIMTAB_HOME", str(tmp_path))
    assert paths.cache() == tmp_path / "cache"
    bare.setenv("TRIMTAB_CACHE", str(tmp_path / "own"))
    assert paths.cache() == tmp_path / "own"


def test_the_cache_stays_where_it_was_else(bare, tmp_path):
    bare.setenv("HOME", str(tmp_path))
    bare.setenv("TRIMTAB_HOME", str(tmp_path / "home"))
    assert paths.cache() == tmp_path / ".cache" / "trimtab"


def test_without_any_home_folder_the_variable_is_named_and_nothing_is_made(nobody, tmp_path, capsys):
    nobody.chdir(tmp_path)
    for place in (paths.home, paths.cache):
        with pytest.raises(TrimtabError, match="set TRIMTAB_HOME"):
            place()
    assert main(["status"]) == 1
    shown = capsys.readouterr().err
    assert "this user has no home folder" in shown and "TRIMTAB_HOME" in shown
    assert not list(tmp_path.iterdir())  # no folder called "~"
    nobody.setenv("TRIMTAB_HOME", str(tmp_path))
    assert paths.cache() == tmp_path / "cache" and paths.hub_cache()
    assert main(["status"]) == 0


@pytest.mark.parametrize("name", ["~no-such-user/model", "~/model"])
def test_the_folder_of_no_user_is_no_traceback(nobody, tmp_path, capsys, name):
    nobody.setenv("TRIMTAB_HOME", str(tmp_path))
    file = tmp_path / "study.toml"
    file.write_text(f'[study]\nname = "s"\n[model]\nbase = "{name}"\n[data]\nsource = "{name}.jsonl"\n')
    assert main(["check", str(file)]) == 0
    assert main(["fit", str(file), "--gpu", "24 GiB"]) == 1
    assert main(["recommend", name, f"{name}.jsonl"]) == 2
    shown = capsys.readouterr().err
    assert "has no config.json" in shown and "the file does not exist" in shown
    assert not list(tmp_path.glob("error-*"))


def test_a_cache_that_cannot_be_written_is_named_with_its_variable():
    inner = PermissionError(errno.EROFS, os.strerror(errno.EROFS), "/ro/hub")
    outer = RuntimeError("the library failed")
    outer.__cause__ = inner
    assert error_reports.give_advice(outer, "check the network").startswith(
        "/ro/hub cannot be written: set HF_HOME"
    )
    assert error_reports.give_advice(OSError("no answer"), "check the network") == "check the network"


def test_what_is_writable(tmp_path):
    (tmp_path / "file").write_text("")
    assert paths.is_writable(tmp_path / "a" / "b") and not paths.is_writable(tmp_path / "file" / "a")
    assert not paths.is_writable(Path("~/x"))
