"""``trimtab doctor``: is this machine ready?

``--json`` prints {"ok": bool, "checks": [{"name", "level": ok|warn|fail, "found", "fix"}…]}.
"""

from __future__ import annotations

import argparse

import msgspec

from core.cli import activity, exits, text
from core.contract.plain import plain
from core.watch.finding import Finding

SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def doctor(arguments: argparse.Namespace) -> int:
    """Print every check; code 1 when one fails."""
    from core.watch.doctor import examine

    activity.now("asking the libraries")
    findings = []
    for one in examine():
        findings.append(one)
        if not arguments.json:
            _print(one)
    failed = [one for one in findings if one.level == "fail"]
    if arguments.json:
        text.dump({"ok": not failed, "checks": [msgspec.structs.asdict(one) for one in findings]})
    return exits.FAILURE if failed else exits.OK


def _print(one: Finding) -> None:
    print(f"{SIGNS[one.level]}  {one.name:<13} {plain(one.found, 400)}", flush=True)
    if one.fix:
        print(f"{'':<20}→ {plain(one.fix, 400)}", flush=True)
