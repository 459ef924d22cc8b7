"""``trimtab clean``: writes copies of a study's rows without duplicates and personal data, into a folder of
its own."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import tempfile
from pathlib import Path

from core.cli import activity_line, exit_codes
from core.contract.spec import spec_file
from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.data.copies.contaminated_rows import KnownTexts
from core.data.readers.source_files import Source, find_sources
from core.data.repair import clean_plan, clean_writer
from core.data.repair.clean_plan import TRAIN, VALIDATION
from core.data.repair.clean_writer import CHANGES, Cleaned
from core.data.repair.cleaned_study_file import STUDY, describe_study
from core.data.repair.pii_placeholders import Placeholders
from core.data.repair.row_text_repair import RowRepair
from core.data.scan.name_process import open_finder
from core.errors import SpecError

SUFFIX = "-clean"  # of the new study's name
LOCAL = "give a local file or folder"


def clean(arguments: argparse.Namespace) -> int:
    """Clean the rows of the study and print what was changed. Raises SpecError, TrimtabError."""
    spec = spec_file.load(Path(arguments.spec))
    sources = find_local_sources(spec, "cleaned")
    out = None if arguments.dry_run else choose_new_folder(arguments.out, sources, ", or --dry-run")
    tell = activity_line.set_activity
    known_texts = KnownTexts(arguments.against, "--against", tell) if arguments.against else None
    salt = arguments.salt or secrets.token_hex(16)
    with contextlib.ExitStack() as stack:
        names = spec.evaluate.names if arguments.anonymise else None
        if names:
            tell("loading the model that finds names")
        find_names = stack.enter_context(open_finder(names)) if names else None
        placeholders = Placeholders(salt, find_names) if arguments.anonymise else None
        repair = RowRepair(placeholders, arguments.long, find_longest_sequence(spec))
        plans = clean_plan.make_plan(spec, sources, arguments.duplicates, known_texts, tell)
        cleaned = clean_writer.write(plans, repair, out, tell)
    _print(cleaned)
    if placeholders is not None and not arguments.salt:
        print(f"salt: {salt} (keep it secret; with --salt the same value gets the same placeholder again)")
    if out is None:
        print("nothing was written: --dry-run")
        return exit_codes.OK
    changes = f"{CHANGES} lists each change" if cleaned.changes else "no row had to be changed"
    note = f"`trimtab clean` wrote; {changes}"
    study = describe_study(spec, out, SUFFIX, note, has_validation=bool(cleaned.rows[VALIDATION]))
    (out / STUDY).write_text(study, "utf-8")
    print(f"written: {sanitize(str(out), 400)}")
    print(f"next: trimtab check {sanitize(str(out / STUDY), 400)}")
    return exit_codes.OK


def find_local_sources(spec: StudySpec, done: str) -> list[Source]:
    """Return the sources of a study whose rows are "cleaned", say. Raises SpecError for others."""
    if spec.data.mixture:
        fix = "write a study file for each source, and give them one by one"
        raise SpecError.of(f"the rows of a mixture are not {done} together", "data.mixture", fix)
    sources = find_sources(spec.data)
    for source in sources:
        if source.reason:
            location = f"{source.key} = {sanitize(source.name, 200)!r}"
            raise SpecError.of(f"not {done}: {source.reason}", location, source.fix or LOCAL)
    return sources


def choose_new_folder(name: str | None, sources: list[Source], instead: str = "") -> Path:
    """Return the folder to write. Raises SpecError where it holds something, or lies within the source."""
    if not name:
        raise SpecError.of("no folder is given to write to", "command line", f"add -o FOLDER{instead}")
    out = Path(name).absolute()
    fix = "give a folder that does not exist yet"
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise SpecError.of("it exists and is not an empty folder: nothing is overwritten", f"-o {out}", fix)
    for source in sources:
        inside = [file.parent.resolve() for file in source.files if Path(source.name).is_dir()]
        if any(folder in (out.resolve(), *out.resolve().parents) for folder in inside):
            raise SpecError.of("it lies within the source: the study would read both", f"-o {out}", fix)
    _check_writable(out)
    return out


def _check_writable(out: Path) -> None:
    """Raise SpecError where no folder can be made, before rows are read for minutes or a model for hours."""
    existing = next(folder for folder in out.parents if folder.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".trimtab-", dir=existing):
            return
    except OSError as error:
        problem = f"nothing can be written to {sanitize(str(existing), 300)}: {error.strerror or error}"
        raise SpecError.of(problem, f"-o {out}", "give a folder that you can write to") from error


def _print(cleaned: Cleaned) -> None:
    for name in (TRAIN, VALIDATION):
        print(f"{name}: {cleaned.rows[name]:,} rows")
    for change, count in cleaned.changes.most_common():
        print(f"{sanitize(change, 160)}: {count:,} rows")
    if not cleaned.changes:
        print("no row had to be changed")
