"""A home folder recorded before the typed spec: what is on disk must stay readable.

``recorded/`` holds one study of the scripted worker (tests/daemon/scripted_worker.py), whose engine was
killed while trials were running: a mark, an edit, a trial that a user queued and a changed study are in its
journal. ``recorded/state.json`` is ``summary`` of the replay by the code that wrote the journal.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec

from core.cli.inspect import show_status
from core.contract.events.event_types import AnyEvent
from core.contract.state.engine_state import Study
from core.store import journal_file, run_folder
from core.store.report import trial_table_export

HERE = Path(__file__).with_name("recorded")
NAME = "recorded"
FOLDER = "/tmp/recorded/home/studies/recorded"  # where it was recorded; no test reads or writes there


def events() -> list[AnyEvent]:
    """The recorded journal."""
    return list(journal_file.read(run_folder.journal_path(HERE / "studies" / NAME)))


def copy_to(home: Path) -> None:
    """The recorded home in ``home``, which its journal then names as its folder."""
    folder = home / "studies" / NAME
    folder.mkdir(parents=True, mode=0o700)
    for part in (home, folder.parent, folder):
        part.chmod(0o700)
    shutil.copy(HERE / "optuna.log", home)
    shutil.copy(HERE / "studies" / NAME / run_folder.SPEC_FILE, folder)
    journal = journal_file.Journal.open(run_folder.journal_path(folder))
    list(journal.replay())
    recorded = events()
    late_s = time.time() - max(event.at for event in recorded)  # else its time limit passed long ago
    journal.append([_moved(event, str(folder), late_s) for event in recorded])
    journal.close()


def _moved(event: AnyEvent, folder: str, late_s: float) -> AnyEvent:
    paths = {name: getattr(event, name, None) for name in ("folder", "path", "checkpoint", "adapter")}
    moved = {name: path.replace(FOLDER, folder) for name, path in paths.items() if path}
    return msgspec.structs.replace(event, at=event.at + late_s, **moved)


def summary(study: Study) -> dict[str, Any]:
    """What `trimtab status --json` and `trimtab export` tell of the study, its spec, and its curves."""
    status = {**show_status._encode_study(study), "left_s": None}  # depends on the present time
    curves = {
        number: {metric: [curve.steps, curve.values] for metric, curve in trial.series.items()}
        for number, trial in study.trials.items()
    }
    told = {
        "status": status,
        "spec": study.spec,
        "trials": trial_table_export.list_rows(study),
        "curves": curves,
    }
    return json.loads(json.dumps(told))


def recorded() -> dict[str, Any]:
    """``summary`` as it was recorded."""
    return json.loads((HERE / "state.json").read_text("utf-8"))
