"""What is kept of rows stays within a limit, and nothing is deleted that a process uses."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core import paths
from core.cli import exit_codes
from core.cli.main import main
from core.cli.plan import clear_caches
from core.data.cache import cache_limit, token_cache
from core.data.cache.token_arrays import PartBuilder, RowFacts, TokenizedRows
from core.errors import TrimtabError

EMPTY = np.zeros(0, bool)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(cache_limit.VARIABLE, raising=False)
    return paths.make_private(tmp_path / "cache")


def put_tokens(key, count=1000):
    """Write a token cache of one row; its rows, mapped."""
    part = PartBuilder(1)
    ids = np.arange(count, dtype=np.int32)
    part.add([0], ids, ids > 0, np.array([count]), [()], np.zeros(1, bool), {})
    return token_cache.save(key, TokenizedRows(part.build(), PartBuilder(0).build(), RowFacts(count, "text")))


def put_file(cache, name, used_at, size=1000):
    place = cache / name
    cache_limit.keep(place, b"x" * size)
    os.utime(place, (used_at, used_at))
    return place


def test_what_was_used_least_recently_makes_room(cache, monkeypatch):
    names = ("checks-a.json", "review-b.json", "rows-c.txt", "checks-d.json")
    placed = [put_file(cache, name, used_at) for name, used_at in zip(names, (40, 10, 30, 20), strict=True)]
    cache_limit.touch(placed[1])
    monkeypatch.setenv(cache_limit.VARIABLE, "3000")
    put_file(cache, "checks-e.json", 50)
    assert {place.name for place in cache.iterdir()} == {"checks-a.json", "review-b.json", "checks-e.json"}


def test_reading_a_result_is_a_use_of_it(cache):
    from core.data.checks import start_review

    known = start_review.Known(3, [], [], [], [])
    start_review._keep(cache / "checks-a.json", known)
    os.utime(cache / "checks-a.json", (10, 10))
    assert start_review._read(cache / "checks-a.json") == known
    assert (cache / "checks-a.json").stat().st_mtime > 10


def test_rows_that_are_in_use_stay_and_are_deleted_when_nothing_uses_them(cache, monkeypatch, capsys):
    rows = put_tokens("a" * 64)
    put_file(cache, "checks-a.json", 10)
    ids = rows.training.ids[5:]
    del rows
    monkeypatch.setenv(cache_limit.VARIABLE, "1")
    cache_limit.make_room()
    assert [entry.kind for entry in cache_limit.list_entries()] == ["tokens"], "a view of its ids is left"
    assert main(["caches", "clear"]) == exit_codes.OK
    assert "0 entries deleted" in (text := capsys.readouterr().out) and "1 are in use" in text
    assert ids[0] == 5
    del ids
    assert main(["caches", "clear", "--json"]) == exit_codes.OK
    assert json.loads(capsys.readouterr().out)["deleted"] == 1
    assert cache_limit.list_entries() == [] and not [*(cache / "tokens").iterdir()]


def test_a_cache_that_is_being_deleted_is_not_read(cache):
    put_tokens("a" * 64)
    with (cache / "tokens" / ("a" * 64) / "manifest.json").open("rb") as deleting:
        assert cache_limit.lock(deleting.fileno(), cache_limit.fcntl.LOCK_EX)
        assert token_cache.load("a" * 64, 10) is None
    assert token_cache.load("a" * 64, 10) is not None


def test_processes_that_keep_and_clear_at_the_same_time_disturb_nobody(cache, monkeypatch):
    monkeypatch.setenv(cache_limit.VARIABLE, "5 KB")

    def work(number):
        for at in range(15):
            cache_limit.keep(cache / f"checks-{number}-{at}.json", b"x" * 1000)
            put_tokens(f"{at % 3}" * 64, 100)
            if at % 5 == number:
                cache_limit.clear()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    cache_limit.make_room()
    assert sum(entry.size_bytes for entry in cache_limit.list_entries()) <= 5000


def test_what_a_killed_process_left_behind_is_deleted_a_day_later_and_a_link_is_never_followed(cache):
    outside = paths.make_private(cache.parent / "outside")
    (outside / "mine").write_text("x")
    (cache / "tokens").mkdir()
    (cache / "tokens" / "link").symlink_to(outside)
    old, new = cache / "checks-a.json.1.new", cache / "checks-b.json.2.new"
    folder = cache / "tokens" / ".a.1.old"
    for place in (old, new):
        place.write_text("x")
    folder.mkdir()
    for place in (old, folder):
        os.utime(place, (10, 10))
    cache_limit.make_room()
    assert not old.exists() and not folder.exists() and new.exists()
    cache_limit.clear()
    assert (outside / "mine").exists() and new.exists()


def test_a_size_that_is_none_is_refused_by_name_and_reported_by_doctor(monkeypatch, capsys):
    monkeypatch.setenv(cache_limit.VARIABLE, "lots")
    with pytest.raises(TrimtabError, match="must be a size"):
        cache_limit.find_limit()
    (finding,) = clear_caches.list_findings()
    assert finding.level == "warn" and "TRIMTAB_CACHE_SIZE = 'lots'" in finding.found
    assert main(["caches", "list"]) == exit_codes.FAILURE
    assert "20 GiB" in capsys.readouterr().err


def test_the_sizes_are_shown_by_kind_and_by_doctor(cache, monkeypatch, capsys):
    monkeypatch.setenv(cache_limit.VARIABLE, "1 GiB")
    put_file(cache, "checks-a.json", 10, 2048)
    (cache / "formulas-1.json").write_text("x" * 100)
    (finding,) = clear_caches.list_findings()
    assert finding.found.startswith("2.0 KiB of at most 1.0 GiB: checks at starts 2.0 KiB")
    assert main(["caches", "list", "--json"]) == exit_codes.OK
    told = json.loads(capsys.readouterr().out)
    assert told["kinds"]["checks at starts"] == {"entries": 1, "bytes": 2048} and told["other_bytes"] == 100
    assert main(["caches", "list"]) == exit_codes.OK
    assert "2.0 KiB of at most 1.0 GiB" in capsys.readouterr().out
