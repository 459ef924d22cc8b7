"""``trimtab merge``: writes a full model with a trial's adapter merged into the base's weights."""

from __future__ import annotations

import argparse

from core import paths
from core.cli import exit_codes
from core.cli.inspect import best_and_generate
from core.contract.text.sanitize import sanitize


def merge(arguments: argparse.Namespace) -> int:
    """Merge in a separate process, which loads torch and the model."""
    out = paths.expand_home(arguments.out).absolute()
    code = best_and_generate.run_with_torch(
        "core.train.commands.merge_adapter",
        best_and_generate.find_adapter_folder(arguments),
        str(out),
        *best_and_generate.trust(arguments),
    )
    if code == exit_codes.OK:
        print(f"merged: {sanitize(str(out))}")
    return code
