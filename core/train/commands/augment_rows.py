"""``python -P -m core.train.commands.augment_rows SPEC OUT``: adds paraphrases of prompts to rows.

The base model says each prompt in other words. A paraphrase is kept if it is no copy of another prompt and
the base finds the answer no less likely after it. Nothing is written before all is decided.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.text.error_reports import run_guarded
from core.contract.text.sanitize import sanitize
from core.data.augment import augment_plan, augmented_writer
from core.data.augment.augment_plan import AugmentPlan
from core.data.augment.augmented_writer import KEPT, REPORT, Paraphrase
from core.data.readers.source_files import find_sources
from core.data.repair.clean_plan import TRAIN, VALIDATION
from core.data.repair.cleaned_study_file import STUDY, describe_study
from core.train.quiet_libraries import set_environment, silence_transformers

if TYPE_CHECKING:
    from core.train.commands.paraphrasing import Options

SUFFIX = "-augmented"  # of the new study's name
AT_ONCE = 16  # rows whose prompts are paraphrased together
EXAMPLES = 3  # that are printed of kept and of dropped paraphrases
SHOWN = 160  # characters of each
SAMPLED = 1000  # rows whose columns tell how rows are formatted
BAR = 30  # characters
QUIET_S = 10.0  # between two lines of progress where standard error is no terminal


def main(argv: list[str]) -> int:
    """Augment the rows. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="trimtab augment", description=__doc__)
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--per-row", type=int, default=2, metavar="N")
    parser.add_argument("--rows", type=int, metavar="N")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--temperature", type=float, default=0.8, metavar="X")
    arguments = parser.parse_args(argv)
    set_environment()

    def run() -> int:
        augment(arguments)
        return 0

    return run_guarded("trimtab augment", run)


def augment(arguments: argparse.Namespace) -> None:
    """Paraphrase, check and write, and print what was done. Raises TrimtabError."""
    from core.train.commands.paraphrasing import Options

    spec, out = spec_file.load(arguments.spec), arguments.out
    seed = spec.study.seed if arguments.seed is None else arguments.seed
    source, *other_sources = find_sources(spec.data)
    plan = augment_plan.make_plan(spec, source, _say)
    chosen = plan.choose(arguments.rows, seed)
    tried = _paraphrase(spec, plan, chosen, Options(arguments.per_row, seed, arguments.temperature))
    augmented_writer.drop_copies(plan, tried)
    note = f"`trimtab augment` wrote, with paraphrases of their prompts; {REPORT} lists each"
    has_validation = bool(plan.held or other_sources)
    study = describe_study(spec, out, SUFFIX, note, has_validation, all_rows=True)
    rows = augmented_writer.write(plan, other_sources[0] if other_sources else None, tried, out, study)
    _report(tried, rows, len(chosen))
    print(f"written: {sanitize(str(out), 400)}")
    print(f"next: trimtab check {sanitize(str(out / STUDY), 400)}")


def _paraphrase(
    spec: StudySpec, plan: AugmentPlan, chosen: Sequence[int], options: Options
) -> list[Paraphrase]:
    """Load the base, and have it paraphrase the prompts of the rows and rate the rows."""
    from core.train.base.base_model import load_base
    from core.train.commands import command_device
    from core.train.commands.paraphrasing import Paraphraser, list_columns

    silence_transformers()
    device, device_text = command_device.choose_device(spec.resources.devices)
    base = load_base(spec, device, lambda stage, done, *_: None if done else _say(f"{stage}, {device_text}"))
    shape, rows = plan.read_at(chosen)
    first = [raw for _, raw in itertools.islice(plan.read_at(chosen)[1], SAMPLED)]
    paraphraser = Paraphraser(spec, base, list_columns([shape.read(raw) for raw in first]), _say)
    bar, tried, done = _Bar(len(chosen)), list[Paraphrase](), 0
    while group := list(itertools.islice(rows, AT_ONCE)):
        kept = sum(attempt.verdict == KEPT for attempt in tried)

        def tell(share: float, done: int = done, kept: int = kept, size: int = len(group)) -> None:
            bar.show(done + share * size, kept)

        tried += paraphraser.try_rows(group, shape, options, tell)
        done += len(group)
    bar.show(len(chosen), sum(attempt.verdict == KEPT for attempt in tried))
    bar.end()
    return tried


class _Bar:
    """A progress bar on standard error; without a terminal, a line now and then."""

    def __init__(self, total: int) -> None:
        self._total, self._shown_at = total, 0.0
        self._is_terminal = sys.stderr.isatty()

    def show(self, done: float, kept: int) -> None:
        """Show how many rows are done."""
        now = time.monotonic()
        if not self._is_terminal and now - self._shown_at < QUIET_S:
            return
        self._shown_at = now
        share = done / max(1, self._total)
        filled = "█" * round(BAR * share)
        count = f"{int(done):,} of {self._total:,} rows, {kept:,} kept so far"
        line = f"{filled:·<{BAR}} {100 * share:3.0f} %  {count}"
        if self._is_terminal and sys.__stderr__ is not None:  # ``sys.stderr`` prints no control characters
            print(f"\r{line}", end="", file=sys.__stderr__, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the line."""
        if self._is_terminal:
            print(file=sys.stderr, flush=True)


def _report(tried: Sequence[Paraphrase], rows: Counter[str], chosen: int) -> None:
    """Print the number of rows and of each verdict, and examples."""
    for name in (TRAIN, VALIDATION):
        print(f"{name}: {rows[name]:,} rows")
    verdicts = Counter(attempt.verdict for attempt in tried)
    print(f"{chosen:,} prompts paraphrased, {len(tried):,} paraphrases tried, {verdicts[KEPT]:,} kept")
    for verdict, count in verdicts.most_common():
        if verdict != KEPT:
            print(f"dropped: {sanitize(verdict, 120)}: {count:,}")
    if not verdicts[KEPT]:
        print("no paraphrase is kept: the new files have the rows of the study and nothing else")
    for title, is_kept in (("kept", True), ("dropped", False)):
        for attempt in [attempt for attempt in tried if (attempt.verdict == KEPT) is is_kept][:EXAMPLES]:
            why = "" if is_kept else f" ({sanitize(attempt.verdict, 60)})"
            prompt, paraphrase = (sanitize(text, SHOWN) for text in (attempt.prompt, attempt.paraphrase))
            print(f"  {title}, row {attempt.row}{why}: {prompt!r} → {paraphrase!r}")


def _say(text: str) -> None:
    print(f"{sanitize(text, 300)} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
