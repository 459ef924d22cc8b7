"""``trimtab merge``: a model of its own, with a trial's adapter merged into the base's weights."""

from __future__ import annotations

import argparse

from core import paths
from core.cli import best, exits
from core.contract.plain import plain


def merge(arguments: argparse.Namespace) -> int:
    """Merge in a process of its own, which loads torch and the model."""
    out = paths.expanded(arguments.out).absolute()
    code = best.in_torch("core.train.merge", best.trained(arguments), str(out), *best.trust(arguments))
    if code == exits.OK:
        print(f"merged: {plain(str(out))}")
    return code
