"""``python -P -m core.train.commands.show_rows SPEC N``: prints N training rows as trials see them: the
first ones, and as many that the study's seed draws.

Target tokens are green on a terminal (unless NO_COLOR is set) and in ‹…› elsewhere. It also prints how many
rows are skipped, with the reasons.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from core.contract.spec.spec_file import load
from core.contract.spec.study_spec import BLOCKING, StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.train.quiet_libraries import set_environment, silence_transformers

INTERRUPTED = 130  # what shells report for Ctrl-C
GREEN, NORMAL = "\x1b[32m", "\x1b[0m"
SHOWN = 20_000  # characters of a row


def main(argv: list[str]) -> int:
    """Print rows and the reasons for skipped rows. Returns the exit code."""
    set_environment()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        show(load(Path(argv[0])), int(argv[1]))
    except TrimtabError as error:
        print(sanitize(str(error), lines=True), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def show(spec: StudySpec, count: int) -> None:
    """Load tokenizer and rows, and print them. Raises TrimtabError."""
    from core.train.data.dataset import load_data

    silence_transformers()
    tokenizer = load_tokenizer(spec)
    data_options = msgspec.structs.replace(
        spec.data, allow=BLOCKING
    )  # rows on which no study starts are shown, too
    spec = msgspec.structs.replace(spec, data=data_options)
    data = load_data(spec, tokenizer, _say)
    if data.anonymised is not None and "anonymise" not in spec.space:  # all trials train on placeholders
        data.train = data.anonymised
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in list_lines(tokenizer, data, count, colours, spec.study.seed):
        print(line)


def list_lines(tokenizer: Any, data: Any, count: int, colours: bool = False, seed: int = 0) -> Iterator[str]:
    """Format the rows, the counts of skipped rows by reason, and the notes."""
    for at in choose(len(data.train), count, seed):
        number, row = at + 1, data.train[at]
        targets = sum(
            label == token for label, token in zip(row.labels.tolist(), row.ids.tolist(), strict=True)
        )
        yield f"row {number} of {len(data.train)}: {len(row.ids)} tokens, {targets} of them targets"
        yield mark_targets(tokenizer, row, colours)
        yield ""
    for name, reasons in data.dropped.items():
        yield f"{reasons.total()} {name} rows are skipped"
        yield from (f"  {number}: {sanitize(reason, 300)}" for reason, number in reasons.most_common())
    yield from (sanitize(note, 600) for note in data.notes)


def choose(rows: int, count: int, seed: int) -> list[int]:
    """The indices of ``count`` rows in order: the first ones, and as many drawn from the others, since files
    are often sorted and begin with rows that are alike."""
    head = min(rows, count - count // 2)
    other_rows = range(head, rows)
    return [*range(head), *sorted(random.Random(seed).sample(other_rows, min(count - head, len(other_rows))))]


def mark_targets(tokenizer: Any, row: Any, colours: bool = False) -> str:
    """The row's text, sanitized for a terminal, with its target tokens marked."""
    begin, end = (GREEN, NORMAL) if colours else ("‹", "›")
    pieces, pairs = list[str](), zip(row.ids.tolist(), row.labels.tolist(), strict=True)
    for is_target, span in itertools.groupby(pairs, lambda pair: pair[0] == pair[1]):
        ids = [token for token, _ in span]
        text = sanitize(tokenizer.decode(ids, clean_up_tokenization_spaces=False), SHOWN, lines=True)
        if not colours:
            text = text.replace("‹", "\\‹").replace("›", "\\›")
        pieces.append(f"{begin}{text}{end}" if is_target else text)
    return "".join(pieces)


def load_tokenizer(spec: StudySpec) -> Any:
    """Load the tokenizer of the study's base. Raises TrimtabError."""
    from transformers import AutoTokenizer

    from core.train.base.base_model import resolve

    section = spec.model
    try:
        return AutoTokenizer.from_pretrained(
            resolve(section.base, _say),
            revision=section.revision,
            trust_remote_code=section.trust_remote_code,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise TrimtabError.of(
            f"the tokenizer cannot be loaded: {sanitize(str(error), 400)}",
            f"model.base = {section.base!r}",
            "check the id or path, the network and the Hugging Face cache, and run `trimtab doctor`",
        ) from error


def _say(stage: str, done: int, total: int, unit: str) -> None:
    if stage and not done:
        print(f"{sanitize(stage, 200)} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
