"""``trimtab doctor``: checks whether this machine can run studies.

``--json`` prints {"ok": bool, "checks": [{"name", "level": ok|warn|fail, "found", "fix"}…]}.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Sequence

import msgspec

from core.cli import activity_line, exit_codes, output_formatting
from core.contract.events.event_types import Device
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.watch.doctor_finding import Finding

SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def print_checks(arguments: argparse.Namespace) -> int:
    """Print every check; code 1 when one fails."""
    from core.cli.plan import check_hooks, clear_caches
    from core.watch.doctor_checks import examine

    activity_line.set_activity("querying the libraries")
    findings = []
    more = itertools.chain(clear_caches.list_findings(), check_hooks.list_findings())
    for check in itertools.chain(examine(used=find_used_devices), more):
        findings.append(check)
        if not arguments.json:
            _print(check)
    failed = [finding for finding in findings if finding.level == "fail"]
    if arguments.json:
        output_formatting.dump(
            {"ok": not failed, "checks": [msgspec.structs.asdict(finding) for finding in findings]}
        )
    return exit_codes.FAILURE if failed else exit_codes.OK


def find_used_devices(cards: Sequence[Device], why_none: str) -> list[Finding]:
    """Report the devices that a study with resources.devices = "auto" would use from this shell; nothing
    where there is no GPU to choose."""
    from core.daemon.placement import study_device_choice

    visible, order = os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("CUDA_DEVICE_ORDER")
    if not cards and not visible:
        return []
    try:
        slots = study_device_choice.choose_slots("auto", cards, visible, why_none)
    except TrimtabError as error:
        return [Finding("devices", "fail", f"a study here: {error.problems[0].what}", error.problems[0].fix)]
    labels = ", ".join(slot.label for slot in slots)
    message = f"a study here trains on {labels}" + (
        "" if visible is None else f" because of {_describe_visible(visible)}"
    )
    if surprise := study_device_choice.note("auto", slots, cards, visible, why_none):
        return [Finding("devices", "warn", f"{message}; {surprise}", "correct CUDA_VISIBLE_DEVICES")]
    kinds = {card.name for card in cards if not card.parent}
    numbered = visible is not None and any(index.strip().isdecimal() for index in visible.split(","))
    if len(kinds) > 1 and order != "PCI_BUS_ID":
        message += "; the GPUs differ: trimtab numbers them like nvidia-smi, CUDA puts the fastest first"
        fix = "export CUDA_DEVICE_ORDER=PCI_BUS_ID so that numbers agree everywhere, or use UUIDs"
        return [Finding("devices", "warn" if numbered else "ok", message, fix)]
    return [Finding("devices", "ok", message)]


def _describe_visible(visible: str) -> str:
    return f"CUDA_VISIBLE_DEVICES = {sanitize(visible, 120)!r}"


def _print(finding: Finding) -> None:
    print(f"{SIGNS[finding.level]}  {finding.name:<13} {sanitize(finding.found, 400)}", flush=True)
    if finding.fix:
        print(f"{'':<20}→ {sanitize(finding.fix, 400)}", flush=True)
