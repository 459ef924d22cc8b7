"""``trimtab export``: writes a reproducible bundle, or only the report as one HTML page."""

from __future__ import annotations

import argparse
import secrets
import shlex
import time
from pathlib import Path
from typing import Any

from core import paths
from core.cli import exit_codes, reach_engine, resolve_trial
from core.contract.state import engine_state as s
from core.contract.state import reference_values
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.store.report.report_data import Report


def export(arguments: argparse.Namespace) -> int:
    """Write the export and print its path. Needs no engine: the study's journal has everything.

    Raises UsageError, and TrimtabError where the target cannot be overwritten or the disk is full.
    """
    from core.store.bundle import bundle_hash_manifest, bundle_writer

    study = resolve_trial.find_study(reach_engine.read_state()[0], arguments.study)
    report = gather_report(study, arguments.trial)
    if arguments.html:
        return _write_page(report, Path(arguments.html), arguments.force)
    notes: list[str] = []

    def fill(folder: Path) -> dict[str, Any]:
        content, fill_notes = bundle_writer.fill(report, folder, arguments.evidence)
        notes.extend(fill_notes)
        return content

    bundle = bundle_hash_manifest.make_manifest(
        _choose_target(report, arguments.out), fill, arguments.force, arguments.zip
    )
    best_trial = report.chosen
    message = (
        reference_values.explain_no_best(report.study)
        if best_trial is None
        else f"trial {best_trial.number} ({best_trial.state})"
    )
    print(f"{study.name}: {message}, {len(report.study.trials)} trials in all")
    print(f"  bundle   {sanitize(str(bundle))}")
    if bundle.is_dir():
        print(f"  read     {sanitize(str(bundle / 'report.html'))}")
    if best_trial is not None and best_trial.state == s.COMPLETE:
        print(f"  repeat   trimtab rerun {shlex.quote(sanitize(str(bundle)))}")
    for note in notes:
        print(f"  note     {sanitize(note, 300)}")
    return exit_codes.OK


def gather_report(study: s.Study, trial: int | None) -> Report:
    """Collect the report. Raises UsageError for a missing trial, TrimtabError for a missing journal."""
    from core.cli.share import environment_snapshot
    from core.store import journal_file, run_folder
    from core.store.report import report_data

    events = list(journal_file.read(run_folder.journal_path(Path(study.folder))))
    study_events = [event for event in events if event.study == study.name]
    if not study_events:
        message = f"the journal of {study.name} is missing"
        raise TrimtabError.of(message, study.folder, "move the study's folder back to where it was created")
    if trial is not None:
        resolve_trial.find_trial(study, trial)
    threads = study.settings.resources.threads
    return report_data.gather(
        study_events, study.name, trial, environment_snapshot.record_environment(threads), time.time(), study
    )


def _choose_target(report: Report, out: str | None) -> Path:
    """Return the target path: the study's own folder unless --out is given."""
    if out:
        return paths.expand_home(out).absolute()
    number = f"-trial-{report.chosen.number}" if report.chosen is not None else ""
    return Path(report.study.folder) / "export" / f"{report.study.name}{number}"


def _write_page(report: Report, path: Path, force: bool) -> int:
    from core.store.report.html_report import write_page

    path = paths.expand_home(path).absolute()
    if path.is_dir():
        path = path / f"{report.study.name}.html"
    if path.exists() and not force:
        raise TrimtabError.of("the file already exists", str(path), "choose another name, or add --force")
    aside = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
    try:
        with aside.open("x", encoding="utf-8") as file:  # "x": no link that another user has put there
            file.write(write_page(report))
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise TrimtabError.of(
            f"the report cannot be written: {sanitize(str(error), 300)}", str(path), "choose another file"
        ) from error
    print(sanitize(str(path)))
    return exit_codes.OK
