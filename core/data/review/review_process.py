"""``python -P -m core.data.review.review_process STUDY [again]``: checks the rows of a study for the engine.

It writes a DataReview as JSON in a line whenever it does something else, and a last one with all findings. It
ends when standard input is closed, which is when the engine ends.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import msgspec

from core.contract.spec.spec_file import load
from core.contract.wire.answers.data_messages import DataReview
from core.errors import TrimtabError, join_in_line

NICENESS = 10  # training never waits for a check
TOLD_EVERY_S = 1.0


class Progress:
    """Writes what is being done, not more often than once a second."""

    def __init__(self) -> None:
        self._told_at = -TOLD_EVERY_S

    def __call__(self, stage: str) -> None:
        """Write the stage, if it is time."""
        now = time.monotonic()
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            write_line(DataReview(stage=stage))


def write_line(message: msgspec.Struct) -> None:
    """Write a message as a line of JSON; an engine that no longer reads is no fault."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(0)


def end_with_input() -> None:
    """End the process once standard input is closed."""
    while os.read(0, 1 << 16):  # sys.stdin would be locked when the interpreter ends
        pass
    os._exit(0)


def main(argv: list[str]) -> int:
    """Check the rows and write what was found. Returns the exit code."""
    from core.data.review.study_review import review_study

    os.nice(NICENESS)
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        review = review_study(load(Path(argv[0])), Progress(), "again" in argv[1:])
    except TrimtabError as error:
        review = DataReview(is_done=True, why_none=join_in_line(error))
    write_line(review)
    sys.stdout.flush()
    os._exit(0)  # a thread still waits for the end of standard input


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
