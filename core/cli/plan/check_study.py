"""``trimtab check``: validates a study file, prints it with all defaults, and scans its rows; ``--show``
prints training rows."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from core.cli import exit_codes
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import SpecError


def check(arguments: argparse.Namespace) -> int:
    """Print the study with all defaults and what a scan of its rows finds, or N of its rows.

    Raises SpecError with every problem, also for rows on which no study starts.
    """
    from core.contract.spec import search_space, spec_file
    from core.evaluate.prompts.unprovable_limits_check import refuse_unprovable
    from core.memory.base.untrainable_precision_check import refuse_untrainable

    spec = spec_file.load(Path(arguments.spec))
    refuse_untrainable(spec, arguments.spec)
    refuse_unprovable(spec, arguments.spec)
    if arguments.show is not None:
        return _show(arguments.spec, arguments.show)
    print(sanitize(spec_file.write(spec), lines=True), end="")
    size = search_space.count_points(spec.space)
    count = "infinitely many" if math.isinf(size) else f"{size:.0f}"
    trials = f"{spec.study.trials} trial{'s' * (spec.study.trials != 1)}"
    dimensions = f"{len(spec.space)} dimension{'s' * (len(spec.space) != 1)}"
    print(f"# {trials} by {spec.study.sampler} in a space of {dimensions},")
    print(f"# {count} combination{'s' * (size != 1)}; this file is valid", flush=True)
    _scan(spec, arguments.scan, arguments.against)
    return exit_codes.OK


def _scan(spec: StudySpec, count: int | None, against: list[str]) -> None:
    """Scan rows, and print the findings. Raises SpecError with those that keep the study from starting."""
    from core.cli.plan import scan_report
    from core.data.scan.row_tallies import SAMPLED

    size = SAMPLED if count is None else count
    problems = scan_report.print_scan(spec, size, against) if size or against else []
    if problems:
        raise SpecError(*problems)


def _show(spec: str, count: int) -> int:
    """Print rows in a separate process, which loads the tokenizer."""
    from core.cli.inspect import best_and_generate

    if count < 1:
        raise SpecError.of(f"--show {count} is not above 0", "command line", "such as --show 3")
    return best_and_generate.run_with_torch(
        "core.train.commands.show_rows", str(Path(spec).absolute()), str(count)
    )
