"""``trimtab augment``: writes the rows of a study anew, with paraphrases of prompts by the base model."""

from __future__ import annotations

import argparse
import math
from importlib import util
from pathlib import Path

from core.cli.inspect import best_and_generate
from core.cli.plan.clean_rows import choose_new_folder, find_local_sources
from core.contract.spec import spec_file
from core.data.augment.augment_plan import refuse_plain_text
from core.errors import SpecError, TrimtabError

HOTTEST = 2.0  # above, texts are noise
MOST_PER_ROW = 64  # of more, most are copies


def augment(arguments: argparse.Namespace) -> int:
    """Paraphrase in a separate process, which loads torch and the model. Raises SpecError, TrimtabError."""
    spec = spec_file.load(Path(arguments.spec))
    sources = find_local_sources(spec, "augmented")
    out = choose_new_folder(arguments.out, sources)
    _check_numbers(arguments)
    refuse_plain_text(sources[0], spec.data)
    if util.find_spec("torch") is None:
        fix = "install trimtab with its dependencies; `trimtab doctor` checks them"
        raise TrimtabError.of("torch is not installed: the base model cannot be run", "trimtab augment", fix)
    given_options = ["--per-row", str(arguments.per_row), "--temperature", str(arguments.temperature)]
    given_options += ["--rows", str(arguments.rows)] if arguments.rows is not None else []
    given_options += ["--seed", str(arguments.seed)] if arguments.seed is not None else []
    place = str(Path(arguments.spec).absolute())
    return best_and_generate.run_with_torch(
        "core.train.commands.augment_rows", place, str(out), *given_options
    )


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name, value in (("--per-row", arguments.per_row), ("--rows", arguments.rows)):
        if value is not None and value < 1:
            raise SpecError.of(f"{name} {value} is not above 0", "command line", f"such as {name} 2")
    if arguments.per_row > MOST_PER_ROW:
        raise SpecError.of(
            f"--per-row {arguments.per_row} is above {MOST_PER_ROW}", "command line", "such as --per-row 2"
        )
    if not (math.isfinite(arguments.temperature) and 0 < arguments.temperature <= HOTTEST):
        problem = f"--temperature {arguments.temperature:g} is not above 0 and at most {HOTTEST:g}"
        raise SpecError.of(problem, "command line", "such as --temperature 0.8")
