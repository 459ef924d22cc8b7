"""What the journals say while no engine lives. Nothing is started, locked or changed."""

from __future__ import annotations

from core.contract.state import State
from core.store import journal, runs
from core.store.replay import folded, of


def state() -> State:
    """The state as the studies' journals tell it."""
    return folded(of(folder.name, journal.read(runs.journal_path(folder))) for folder in runs.list_studies())
