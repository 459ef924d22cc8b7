"""Environment variables of the shell that started a study, recorded for its processes.

They are kept while the engine runs; those that are not secret and name no device are stored with the study
for the next engine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core import paths
from core.contract.text import secret_redaction
from core.contract.wire import shell_environment

log = logging.getLogger("trimtab.environments")

FILE = "environment.json"


class Environments:
    """The environments by study. ``own`` is the engine's environment."""

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        self._own = os.environ if own is None else own
        self._given: dict[str, dict[str, str] | None] = {}

    def take(self, study: str, folder: Path, shell_variables: Mapping[str, str] | None) -> list[str]:
        """Record the ``shell_variables`` with which a study was started or restarted.

        Returns the differences from the engine's own variables, for people.
        """
        if shell_variables is None:
            return []
        recorded = {name: value for name, value in shell_variables.items() if name in shell_environment.NAMES}
        self.learn(recorded)
        self._given[study] = recorded
        _keep(folder, recorded)
        return shell_environment.list_differences(self._own, recorded)

    def learn(self, shell_variables: Mapping[str, str] | None) -> None:
        """Redact the secrets in ``shell_variables`` from everything that this process writes."""
        secret_redaction.learn(
            v for name, v in (shell_variables or {}).items() if shell_environment.is_secret(name, v)
        )

    def take_up(self, study: str, folder: Path) -> list[str]:
        """Restore the environment of a study that continues under another engine.

        Returns the differences between the environment of its start and this engine's.
        """
        if study in self._given:
            return []
        recorded = _read_recorded(folder)
        if recorded is None:
            return []
        later = {
            name: value
            for name, value in shell_environment.read_own(self._own).items()
            if not _is_kept(name, value)
        }
        self._given[study] = recorded | later
        return shell_environment.list_differences(self._own, self._given[study] or {})

    def merge(self, shell_variables: Mapping[str, str] | None) -> dict[str, str]:
        """Return the whole environment of a study that does not exist yet."""
        return shell_environment.merge_environments(self._own, shell_variables)

    def of(self, study: str) -> dict[str, str]:
        """Return the whole environment for the processes of ``study``."""
        return shell_environment.merge_environments(self._own, self._given.get(study))


def read_visible_cards(environment: Mapping[str, str]) -> str | None:
    """Return CUDA_VISIBLE_DEVICES; None if it is not set."""
    return environment.get("CUDA_VISIBLE_DEVICES")


def _is_kept(name: str, value: str) -> bool:
    return name not in shell_environment.DEVICES and not shell_environment.is_secret(name, value)


def _keep(folder: Path, variables: Mapping[str, str]) -> None:
    aside = folder / f"{FILE}.new"
    try:
        aside.unlink(missing_ok=True)
        with open(aside, "wb", opener=paths.open_without_link) as file:
            file.write(
                msgspec.json.encode(
                    {name: value for name, value in variables.items() if _is_kept(name, value)}
                )
            )
        aside.replace(folder / FILE)
    except OSError as error:  # the study runs anyway; the next engine uses its own environment
        log.warning("%s cannot be written: %s", folder / FILE, error.strerror)


def _read_recorded(folder: Path) -> dict[str, str] | None:
    try:
        variables = msgspec.json.decode((folder / FILE).read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s cannot be read: %s", folder / FILE, error)
        return None
    return {
        name: value
        for name, value in variables.items()
        if name in shell_environment.NAMES and _is_kept(name, value)
    }
