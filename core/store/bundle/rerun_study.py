"""Repeats a bundle's trial: reads it, makes its study, and lists what differs on this machine.

Guaranteed (and tested): a trial that trained alone on a CPU in fp32 gets the same bits again with the same
versions, processor and threads, even if it was interrupted. A trial that shared passes with others (a pack),
or ran on a GPU or below fp32, is only equal within rounding.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from core.contract.spec import spec_file, study_spec, toml_reader
from core.contract.spec.knob_table import find_knob
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.store.bundle import bundle_hash_manifest
from core.store.bundle.package_versions import count_cores
from core.store.input_fingerprints import Print

NEEDED = ("study.toml", "trials.json", "versions.json", "data.json")
DROPPED = (
    "fixed",
    "threshold",
    "stop_after",
    "constraints",
    "storage",
    "warm_start",
)  # of [study]: a search's
NAME_LIMIT = 64


@dataclass(frozen=True)
class Original:
    """The trial to repeat, as recorded in its bundle."""

    folder: Path
    raw: dict[str, Any]  # study.toml
    trial: dict[str, Any]  # its entry of trials.json
    versions: dict[str, Any]
    prints: dict[str, Print]

    @property
    def spec(self) -> StudySpec:
        """The recorded study, not validated: ``make_spec`` does that."""
        return study_spec.from_raw(self.raw)

    @property
    def number(self) -> int:
        return int(self.trial["trial"])

    @property
    def ran(self) -> dict[str, Any]:
        return self.trial.get("ran") or {}

    @property
    def on_cpu(self) -> bool:
        devices = self.ran.get("devices") or ()
        return bool(devices) and all(str(device).startswith("cpu") for device in devices)


def read(folder: Path, number: int | None) -> Original:
    """Verify a bundle and read its exported trial, or trial ``number``. Raises BundleError."""
    manifest = bundle_hash_manifest.check(folder)
    if missing := [name for name in NEEDED if name not in manifest["files"]]:
        raise bundle_hash_manifest.BundleError.of(
            f"missing from the manifest: {', '.join(missing)}", str(folder), "export the study again"
        )
    number_to_read = number if number is not None else manifest.get("trial")
    try:
        raw = toml_reader.read(folder / "study.toml")
        trials = {entry["trial"]: entry for entry in json.loads((folder / "trials.json").read_text("utf-8"))}
        versions = json.loads((folder / "versions.json").read_text("utf-8"))
        prints = msgspec.json.decode((folder / "data.json").read_bytes(), type=dict[str, Print])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"the bundle cannot be read: {sanitize(str(error), 200)}"
        raise bundle_hash_manifest.BundleError.of(message, str(folder), "export the study again") from error
    trial = trials.get(number_to_read)
    if trial is None or trial.get("state") != "complete":
        complete = ", ".join(
            str(index) for index, trial_entry in trials.items() if trial_entry.get("state") == "complete"
        )
        message = (
            "the bundle has no complete trial"
            if number_to_read is None
            else f"trial {number_to_read} is not complete"
        )
        fix = (
            f"give --trial N with one of {complete}"
            if complete
            else "export the study when a trial is complete"
        )
        raise bundle_hash_manifest.BundleError.of(message, str(folder), fix)
    return Original(folder, raw, trial, versions, prints)


def make_spec(original: Original, name: str, replacements: Mapping[str, str]) -> StudySpec:
    """Return the study ``name`` that repeats the trial, with its knobs in [train], alone on its device.
    ``replacements`` replaces paths for this machine, by key such as "data.source". Raises SpecError."""
    raw = copy.deepcopy(original.raw)
    for section in ("study", "model", "data", "evaluate", "resources"):
        if not isinstance(raw.get(section), dict):  # the bundle may come from anybody
            raw[section] = {}
    raw["study"] = {key: value for key, value in raw["study"].items() if key not in DROPPED}
    raw["study"] |= {"name": name, "trials": 1, "sampler": "random", "pruner": "none"}
    raw["train"] = {
        key: value for key, value in original.trial["knobs"].items() if find_knob(key) and value is not None
    }
    raw["space"] = {}
    raw["evaluate"].update(on_breach="warn", on_unsure="warn")
    resources = raw["resources"]
    resources |= {"pack": 1, "devices": "cpu" if original.on_cpu else "auto"}
    if original.on_cpu and original.versions.get("threads") not in (None, count_cores()):
        resources.setdefault("threads", original.versions["threads"])
    base = original.prints.get("model.base")
    if base is not None and base.revision and "model.base" not in replacements:
        raw["model"].setdefault("revision", base.revision)
    for key, value in replacements.items():
        section, _, entry = key.partition(".")
        raw[section][entry] = value
    return spec_file.parse(raw, str(original.folder / "study.toml"))


def free_name(study: str, existing: Mapping[str, Any]) -> str:
    """Return the first free name ``study``-rerun-N."""
    number = 1
    while True:
        end = f"-rerun-{number}"
        if (name := study[: NAME_LIMIT - len(end)] + end) not in existing:
            return name
        number += 1


def compare_data(original: Original, now: Mapping[str, Print]) -> tuple[list[str], list[str]]:
    """Return (data or base that differs, data or base that cannot be compared), as texts."""
    different, unsure = [], []
    for key, old in original.prints.items():
        new = now.get(key)
        if new is None or new.kind == "missing":
            different.append(f"{key}: {sanitize(old.name, 120)} is not on this machine")
        elif (old.sha256 or old.revision) and (new.sha256 or new.revision):
            if (old.sha256, old.revision) != (new.sha256, new.revision):
                different.append(f"{key}: the content of {sanitize(new.name, 120)} has changed")
        elif old.kind == "demo" and new.kind == "demo":
            if old.note != new.note:
                unsure.append(f"{key}: {old.note}, now {new.note}")
        else:
            unsure.append(f"{key}: {old.note or new.note or 'no hash is known'}")
    return different, unsure


def list_doubts(original: Original, differences: list[str]) -> list[str]:
    """Return why the same bits cannot be expected; empty if they can."""
    reasons = [f"different here: {difference}" for difference in differences]
    precision = original.spec.model.precision
    if not original.on_cpu:
        reasons.append("it ran on a GPU, where the order of summation may vary")
    elif precision not in ("auto", "fp32"):
        reasons.append(f"its base is in {sanitize(precision, 20)}, not fp32")
    pack_mates = original.ran.get("beside") or ()
    if pack_mates:
        reasons.append(
            f"it ran in a pack with trials {', '.join(map(str, pack_mates))}:"
            " results are equal within rounding"
        )
    edited_knobs = original.ran.get("changed") or ()
    if edited_knobs:
        names = sanitize(", ".join(map(str, edited_knobs)), 120)
        reasons.append(f"{names} changed while it ran: the rerun uses the last value from the first step")
    return reasons
