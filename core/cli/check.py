"""``trimtab check``: a study file read, judged and shown as it resolves."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from core.cli import exits
from core.contract.plain import plain


def check(arguments: argparse.Namespace) -> int:
    """Print the study with every default in its place. Raises SpecError with every problem."""
    from core.contract import space, specfile

    whole = specfile.load(Path(arguments.spec))
    print(plain(specfile.write(whole), lines=True), end="")
    size = space.size(whole.space)
    combinations = "endless" if math.isinf(size) else f"{size:.0f}"
    print(
        f"# {whole.study.trials} trials by {whole.study.sampler} in a space of {len(whole.space)} dimensions,"
    )
    print(f"# {combinations} combinations; nothing is wrong with this file")
    return exits.OK
