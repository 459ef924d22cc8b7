"""The run folder: one private folder per study, and where things are in it."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from core import paths
from core.contract.spec import spec_file
from core.contract.spec.study_spec import NAME, Spec
from core.errors import EngineError, TrimtabError

SPEC_FILE = "study.toml"


def create(study: str, toml: str) -> Path:
    """Make the folder of ``study`` with its resolved spec.

    Raises TrimtabError when the name leaves the home folder, or the folder holds another study.
    """
    if not NAME.fullmatch(study) or ".." in study:
        raise TrimtabError.of(
            f"{study!r} is not a study's name", "study.name", "use letters, digits, '.', '_', '-'"
        )
    paths.private(paths.studies())
    folder = paths.private(paths.study_folder(study))
    known = folder / SPEC_FILE
    if known.exists() and known.read_text("utf-8") != toml:
        raise TrimtabError.of(
            "the folder holds another study of this name",
            str(folder),
            "take another study.name, or move the folder away",
        )
    write_spec(folder, toml)
    for name in ("tb", "trials", "workers"):
        paths.private(folder / name)
    return folder


def set_aside(study: str) -> Path | None:
    """Move the folder of ``study`` out of the studies, whole; where it lies now, None when there was none.

    Raises TrimtabError when it cannot be moved.
    """
    folder, place = paths.study_folder(study), paths.private(paths.replaced())
    aside = next(free for number in count(1) if not (free := place / f"{study}-{number}").exists())
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"the folder cannot be put aside: {error.strerror or error}"
        raise TrimtabError.of(what, str(folder), "move it away, or take another study.name") from None
    return aside


def write_spec(folder: Path, toml: str) -> None:
    """Put the spec in its place in one piece."""
    aside = folder / (SPEC_FILE + ".new")
    aside.unlink(missing_ok=True)
    with open(aside, "w", encoding="utf-8", opener=paths.no_link) as file:
        file.write(toml)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / SPEC_FILE)


def settle_spec(folder: Path, toml: str) -> None:
    """Have the spec in its place say ``toml``."""
    if (folder / SPEC_FILE).read_text("utf-8") != toml:
        write_spec(folder, toml)


def read_spec(folder: Path) -> Spec:
    """The study's spec. Raises SpecError."""
    return spec_file.load(folder / SPEC_FILE)


def list_studies() -> list[Path]:
    """The folders of all studies; links, and what another user has written, are left alone.

    Raises EngineError where they cannot be read.
    """
    above = paths.studies()
    if not paths.refuse_strange_home(above.parent):
        return []
    try:
        folders = [folder for folder in above.iterdir() if folder.is_dir() and paths.is_own(folder)]
    except FileNotFoundError:
        return []
    except OSError as error:
        what = f"the studies cannot be read: {error.strerror}"
        raise EngineError.of(what, str(above), "make it a folder that you can read") from error
    return sorted(
        folder
        for folder in folders
        if all(_own_file(path) for path in (folder / SPEC_FILE, journal_path(folder)))
    )


def _own_file(path: Path) -> bool:
    return path.is_file() and paths.is_own(path)


def journal_path(folder: Path) -> Path:
    """Where the study's events are."""
    return folder / "journal.log"


def board_folder(folder: Path) -> Path:
    """What `tensorboard --logdir` is given."""
    return folder / "tb"


def trial_folder(folder: Path, trial: int) -> Path:
    """The folder of one trial, made when it is not there. Raises TrimtabError for a link."""
    paths.private(folder / "trials")
    return paths.private(folder / "trials" / str(int(trial)))


def worker_log(folder: Path, worker: str) -> Path:
    """Where a worker's libraries print."""
    return paths.private(folder / "workers") / f"{worker}.log"
