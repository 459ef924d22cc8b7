"""Which logs there are: the engine's, and those of the study's workers, the one written last first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core import paths
from core.contract.text.sanitize import sanitize

MOST = 64  # workers


@dataclass(frozen=True)
class LogFile:
    """A log by the name that is shown."""

    name: str
    path: Path


def list_logs(home: Path, study: str) -> list[LogFile]:
    """Return the logs in the engine's home folder; the engine's is always listed, also when there is none."""
    return [LogFile("engine", paths.engine_log(home)), *(_list_worker_logs(home, study) if study else ())]


def _list_worker_logs(home: Path, study: str) -> list[LogFile]:
    folder = paths.study_folder(study, home) / "workers"
    if not (paths.is_own(folder) and paths.is_own(folder.parent)):
        return []
    try:
        log_paths = [path for path in folder.iterdir() if path.suffix == ".log" and paths.is_own(path)]
        newest = sorted(log_paths, key=lambda path: path.lstat().st_mtime, reverse=True)
    except OSError:
        return []
    return [LogFile(sanitize(path.stem, 30), path) for path in newest[:MOST]]
