"""What the journals say while no engine lives. Nothing is started, locked or changed."""

from __future__ import annotations

from core.contract.state.engine_state import State
from core.store import journal_file, run_folder
from core.store.journal_replay import replay_all, select_study


def read_state() -> State:
    """Return the state as the studies' journals tell it."""
    return replay_all(
        select_study(folder.name, journal_file.read(run_folder.journal_path(folder)))
        for folder in run_folder.list_studies()
    )
