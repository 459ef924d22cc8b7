"""Completes the path of a file as it is typed. Reads folders, and nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from textual.suggester import Suggester

from core import paths

MOST_ENTRIES = 20_000  # of a folder that are looked at
MOST_OFFERED = 12


def complete_path(typed: str, suffixes: tuple[str, ...] = (), folder: Path | None = None) -> list[str]:
    """Return how ``typed`` may go on, folders with a slash at the end, only files with one of ``suffixes``
    (empty: all). Names that begin with a dot are offered once it is typed. ``folder`` is where a relative
    path begins."""
    before, _, beginning = typed.rpartition("/")
    before += "/" if "/" in typed else ""
    place = (folder or Path()) / paths.expand_home(before or ".")
    names = [name for name in _list_names(place, suffixes) if name.startswith(beginning)]
    return [before + name for name in sorted(names) if beginning or not name.startswith(".")][:MOST_OFFERED]


def extend_path(typed: str, suffixes: tuple[str, ...] = (), folder: Path | None = None) -> str:
    """Return ``typed`` with what all of its completions have in common, as a shell completes it."""
    completions = complete_path(typed, suffixes, folder)
    return os.path.commonprefix(completions) or typed  # noqa: RUF071 letter by letter is meant


def _list_names(place: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    try:
        with os.scandir(place) as entries:
            for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False):
                if entry.is_dir():
                    yield f"{entry.name}/"
                elif not suffixes or entry.name.endswith(suffixes):
                    yield entry.name
    except (OSError, ValueError):  # no such folder, none of this user's, a NUL in the name
        return


class PathSuggester(Suggester):
    """Offers the first completion in an input; a slow disk delays the offer and not the keys."""

    def __init__(self, suffixes: tuple[str, ...] = ()) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._suffixes = suffixes

    async def get_suggestion(self, value: str) -> str | None:
        """Return the whole path, or None."""
        if not value:
            return None
        completions = await asyncio.to_thread(complete_path, value, self._suffixes)
        return next((path for path in completions if path != value), None)
