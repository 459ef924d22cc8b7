"""Runs the parts one after another, each in a process forked from one that has imported its libraries, so
that a part that hangs or crashes takes nothing with it and no second goes into imports twice."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from core.train import quiet_libraries
from tests.gpu import card, ticket_table
from tests.gpu.part_record import COMPLETE, FAILED, PartRecord, read, write

# Not PEFT: it imports bitsandbytes, which touches CUDA, and a process forked after that cannot use it.
LIBRARIES = (
    "transformers", "transformers.models.llama.modeling_llama",
    "transformers.models.qwen2.modeling_qwen2", "core.train.pack.trial_pack", "tests.bench.memory",
    "tests.gpu.packs",
)  # fmt: skip
TABLE = "table.md"
SLOW = 5.0  # a dry run proves the path; how long it takes depends on who else uses the cores
LEAST_S = 5.0  # a part is not begun with less


class Part(NamedTuple):
    """A part: its module in ``tests.gpu.parts``, and the seconds after which it is ended."""

    letter: str
    module: str
    title: str
    limit_s: float


PARTS = (
    Part("a", "card_tests", "tests on the card", 80.0),
    Part("b", "profile_counts", "kernels and waits", 40.0),
    Part("c", "sweep_speed", "speed of packs against PEFT", 110.0),
    Part("d", "memory_grid", "memory estimates", 100.0),
    Part("e", "large_base", "8B, LoRAFusion's set-up", 100.0),
    Part("f", "shortage", "pause and shortage of memory", 50.0),
    Part("g", "study_run", "a whole study", 75.0),
)


def run(out: Path, letters: Sequence[str], budget_s: float, again: bool = False) -> bool:
    """Run the parts that are not complete in ``out``; rewrite the table after each. Returns whether all of
    them are complete."""
    ends_at = time.monotonic() + budget_s
    wanted = [part for part in PARTS if part.letter in letters]
    left = [part for part in wanted if again or read(file_of(out, part)).get("state") != COMPLETE]
    for part in wanted:
        if again:
            file_of(out, part).unlink(missing_ok=True)
    if left:
        import_libraries()
    for part in left:
        limit_s = min(part.limit_s * (SLOW if card.is_dry() else 1), ends_at - time.monotonic())
        if limit_s < LEAST_S:
            print(f"{part.letter}  {part.title}: no time left", flush=True)
            continue
        began = time.monotonic()
        run_part(out, part, limit_s)
        found = read(file_of(out, part))
        took = f"{found.get('state', FAILED)} in {time.monotonic() - began:.0f} s"
        print(f"{part.letter}  {part.title}: {took}, {len(found.get('rows', ()))} rows", flush=True)
        write_table(out)
    return all(read(file_of(out, part)).get("state") == COMPLETE for part in wanted)


def import_libraries() -> None:
    """Import what the parts use. A pack collects garbage at each pause and end: not over the libraries."""
    warnings.simplefilter("ignore")  # what a tool brings back of the output is short
    quiet_libraries.set_environment()
    for name in LIBRARIES:
        importlib.import_module(name)
    quiet_libraries.silence_transformers()
    gc.collect()
    gc.freeze()


def file_of(out: Path, part: Part) -> Path:
    """The file of a part."""
    return out / f"{part.letter}.json"


def run_part(out: Path, part: Part, limit_s: float) -> None:
    """One part in a process of its own, which ends with all that it started after ``limit_s``."""
    child = multiprocessing.get_context("fork").Process(target=_work, args=(out, part, limit_s))
    child.start()
    child.join(limit_s)
    late = child.is_alive()
    if late:
        _end(child.pid)
    child.join()
    record = PartRecord(file_of(out, part))
    if late:
        record.fail(f"ended after {limit_s:.0f} s")
    elif child.exitcode:
        record.fail(f"ended with {child.exitcode}")


def _end(pid: int) -> None:
    """End a process and all that it started: the next part needs the card."""
    own = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in own:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _work(out: Path, part: Part, limit_s: float) -> None:
    """The part itself. Where something has touched CUDA before the fork, in a fresh interpreter."""
    import torch

    if torch.cuda._is_in_bad_fork():
        os.execv(
            sys.executable, [sys.executable, "-m", "tests.gpu.ticket", str(out), part.letter, str(limit_s)]
        )
    work(out, part, limit_s)


def work(out: Path, part: Part, limit_s: float) -> None:
    """The part, with its file in ``out``."""
    quiet_libraries.load_peft()
    record = PartRecord(file_of(out, part), limit_s)
    record.about(title=part.title, limit_s=limit_s, machine=card.describe())
    try:
        importlib.import_module(f"tests.gpu.parts.{part.module}").run(record)
    except Exception as error:
        record.fail("".join(traceback.format_exception(error))[-3000:])


def write_table(out: Path) -> None:
    """The Markdown of all that was found so far."""
    found = {part.letter: read(file_of(out, part)) for part in PARTS}
    write(out / TABLE, ticket_table.table({letter: part for letter, part in found.items() if part}))


def write_picture(out: Path) -> None:
    """The console's picture, which travels inside its part's file."""
    picture = read(out / "g.json").get("rows", {}).get("study", {}).get("console_svg")
    if picture:
        write(out / "console.svg", picture)


if __name__ == "__main__":
    folder, letter, seconds = sys.argv[1:]
    work(Path(folder), next(part for part in PARTS if part.letter == letter), float(seconds))
