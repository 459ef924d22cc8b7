"""``trimtab doctor``: is this machine ready?

``--json`` prints {"ok": bool, "checks": [{"name", "level": ok|warn|fail, "found", "fix"}…]}.
"""

from __future__ import annotations

import argparse

import msgspec

from core.cli import exits, text
from core.contract.plain import plain

SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def doctor(arguments: argparse.Namespace) -> int:
    """Print every check; code 1 when one fails."""
    from core.watch.doctor import examine

    findings = examine()
    failed = [one for one in findings if one.level == "fail"]
    if arguments.json:
        text.dump({"ok": not failed, "checks": [msgspec.structs.asdict(one) for one in findings]})
        return exits.FAILURE if failed else exits.OK
    for one in findings:
        print(f"{SIGNS[one.level]}  {one.name:<13} {plain(one.found, 400)}")
        if one.fix:
            print(f"{'':<20}→ {plain(one.fix, 400)}")
    return exits.FAILURE if failed else exits.OK
