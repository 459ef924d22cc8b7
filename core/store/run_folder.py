"""The run folder: one private folder per study, and the paths in it."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from core import paths
from core.contract.spec.study_spec import NAME
from core.errors import EngineError, TrimtabError

SPEC_FILE = "study.toml"


def create(study: str, toml: str) -> Path:
    """Create the folder of ``study`` with its resolved spec.

    Raises TrimtabError if the name is invalid, or the folder holds another study.
    """
    if not NAME.fullmatch(study) or ".." in study:
        raise TrimtabError.of(
            f"{study!r} is not a valid study name", "study.name", "use letters, digits, '.', '_', '-'"
        )
    paths.make_private(paths.studies())
    folder = paths.make_private(paths.study_folder(study))
    spec_path = folder / SPEC_FILE
    if spec_path.exists() and spec_path.read_text("utf-8") != toml:
        raise TrimtabError.of(
            "the folder contains another study of this name",
            str(folder),
            "use another study.name, or move the folder away",
        )
    write_spec(folder, toml)
    for name in ("tb", "trials", "workers"):
        paths.make_private(folder / name)
    return folder


def set_aside(study: str) -> Path | None:
    """Move the folder of ``study`` to the ``replaced`` folder; returns its new path, None if there was none.

    Raises TrimtabError if it cannot be moved.
    """
    folder, place = paths.study_folder(study), paths.make_private(paths.replaced_studies())
    aside = next(free for number in count(1) if not (free := place / f"{study}-{number}").exists())
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"the folder cannot be moved: {error.strerror or error}"
        raise TrimtabError.of(message, str(folder), "move it yourself, or use another study.name") from None
    return aside


def write_spec(folder: Path, toml: str) -> None:
    """Write the spec atomically."""
    aside = folder / (SPEC_FILE + ".new")
    aside.unlink(missing_ok=True)
    with open(aside, "w", encoding="utf-8", opener=paths.open_without_link) as file:
        file.write(toml)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / SPEC_FILE)


def settle_spec(folder: Path, toml: str) -> None:
    """Write the spec unless it is already ``toml``."""
    if (folder / SPEC_FILE).read_text("utf-8") != toml:
        write_spec(folder, toml)


def list_studies() -> list[Path]:
    """Return the folders of all studies, without links and folders of other users.

    Raises EngineError if they cannot be read.
    """
    above = paths.studies()
    if not paths.check_home(above.parent):
        return []
    try:
        folders = [folder for folder in above.iterdir() if folder.is_dir() and paths.is_own(folder)]
    except FileNotFoundError:
        return []
    except OSError as error:
        message = f"the studies folder cannot be read: {error.strerror}"
        raise EngineError.of(message, str(above), "make it a folder that you can read") from error
    return sorted(
        folder
        for folder in folders
        if all(_is_own_file(path) for path in (folder / SPEC_FILE, journal_path(folder)))
    )


def _is_own_file(path: Path) -> bool:
    return path.is_file() and paths.is_own(path)


def journal_path(folder: Path) -> Path:
    """Return the study's journal."""
    return folder / "journal.log"


def board_folder(folder: Path) -> Path:
    """Return the folder for `tensorboard --logdir`."""
    return folder / "tb"


def trial_folder(folder: Path, trial: int) -> Path:
    """Return the folder of one trial, created if needed. Raises TrimtabError for a link."""
    paths.make_private(folder / "trials")
    return paths.make_private(folder / "trials" / str(int(trial)))


def worker_log(folder: Path, worker: str) -> Path:
    """Return the log file of a worker."""
    return paths.make_private(folder / "workers") / f"{worker}.log"
