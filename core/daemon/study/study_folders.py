"""Folders and journals of studies: read when the engine starts, created for a new study, moved aside if one
is replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from core import paths
from core.contract.events import event_types as e
from core.contract.spec.spec_file import convert_to_raw, write
from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.daemon.event_committer import EventCommitter
from core.errors import TrimtabError
from core.store import run_folder
from core.store.journal_file import Journal
from core.store.journal_replay import replay_all, select_study

log = logging.getLogger("trimtab.folders")


def load(
    committer: EventCommitter, last_numbers: dict[str, int], remember: Callable[[e.Event], None]
) -> None:
    """Read every study's journal into the state; ``last_numbers`` gets the last message number of each
    worker.

    Unreadable journals are skipped and reported. Blocking; called before the engine serves.
    """
    faults: list[tuple[str, str]] = []

    def events(folder: Path) -> Iterator[e.Event]:
        try:
            journal = Journal.open(run_folder.journal_path(folder))
            for event in select_study(folder.name, journal.replay()):
                remember(event)
                yield event
        except OSError as error:  # its study is missing; all others are loaded
            log.error("the journal of %s cannot be read: %s", folder.name, error)
            return
        last_numbers.update(journal.heard)
        committer.keep(folder.name, journal)
        faults.extend((folder.name, fault) for fault in journal.faults)

    committer.state = replay_all(events(folder) for folder in run_folder.list_studies())
    for study, fault in faults:
        log.warning("%s: %s", study, fault)
        committer.note(study, fault, "warning")


async def begin(
    committer: EventCommitter,
    spec: StudySpec,
    prepare: Callable[[StudySpec, Path], Awaitable[None]],
    before: s.Study | None = None,
) -> tuple[Path, list[str]]:
    """Create the folder and journal of a new study; return the folder, and the reasons of a refusal.

    The study ``before`` it of the same name, which trained nothing, is moved aside, and a note says where.
    """
    name, aside = spec.study.name, None
    if before is not None:
        aside = run_folder.set_aside(name)
    try:
        folder = run_folder.create(name, write(spec))
        await prepare(spec, folder)
        journal = Journal.open(run_folder.journal_path(folder))
        for _ in journal.replay():
            pass
    except (OSError, TrimtabError):
        if aside is not None and not paths.study_folder(name).exists():
            aside.rename(paths.study_folder(name))
        raise
    old = committer.keep(name, journal)
    created = e.StudyCreated(at=time.time(), study=name, spec=convert_to_raw(spec), folder=str(folder))
    notes = [] if before is None else [_make_replacement_note(before, aside)]
    refusals = await committer.put(created, *notes)
    if old is not None:  # its journal is no longer written
        old.close()
    return folder, refusals


def _make_replacement_note(before: s.Study, aside: Path | None) -> e.StudyNoted:
    file_note = (
        f"its files are kept in {aside}" if aside is not None else "nothing of it was left on the disk"
    )
    why = f": {before.why}" if before.why else ""
    text = f"started again: the study of this name had trained no step ({before.state}{why}); {file_note}"
    return e.StudyNoted(at=time.time(), study=before.name, text=text)
