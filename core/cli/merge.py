"""``trimtab merge``: a model of its own, with a trial's adapter merged into the base's weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.cli import best, exits
from core.contract.plain import plain


def merge(arguments: argparse.Namespace) -> int:
    """Merge in a process of its own, which loads torch and the model."""
    out = Path(arguments.out).expanduser().absolute()
    code = best.in_torch("core.train.merge", best.trained(arguments), str(out), *best.trust(arguments))
    if code == exits.OK:
        print(f"merged: {plain(str(out))}")
    return code
