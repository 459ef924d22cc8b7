"""The study file for rows that are written anew."""

from __future__ import annotations

from pathlib import Path

import msgspec

from core.contract.spec import spec_file
from core.contract.spec.study_spec import NAME, StudySpec
from core.data.repair.clean_plan import TRAIN, VALIDATION

STUDY = "study.toml"


def describe_study(
    spec: StudySpec, out: Path, suffix: str, note: str, has_validation: bool, all_rows: bool = False
) -> str:
    """Return the study file for the rows in ``out``: all settings are the same but the name, which gets a
    ``suffix`` (new data needs a new name), and the files. ``all_rows``: data.rows was applied already."""
    data = msgspec.structs.replace(spec.data, source=str(out / TRAIN), deduplicate=False, allow=())
    if has_validation:
        data = msgspec.structs.replace(data, validation=str(out / VALIDATION))
    if all_rows:
        data = msgspec.structs.replace(data, rows=None)
    name = f"{spec.study.name[: 64 - len(suffix)]}{suffix}"
    assert NAME.fullmatch(name)
    study = msgspec.structs.replace(spec.study, name=name)
    head = f"# The study {spec.study.name} on rows that {note}.\n"
    return head + spec_file.write(msgspec.structs.replace(spec, data=data, study=study))
