"""The exit codes of the commands, as one table that --help prints."""

from __future__ import annotations

OK, FAILURE, BAD_INPUT, NO_ENGINE, REFUSED, NO_RESULT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

TABLE: dict[int, str] = {
    OK: "done",
    FAILURE: "a failure; the message names the cause (run: the study failed)",
    BAD_INPUT: "the study file or the command line is invalid",
    NO_ENGINE: "the engine cannot be started or reached",
    REFUSED: "the engine refused the request; the message says why",
    NO_RESULT: "no trial is complete (run: the study ended without one)",
    INTERRUPTED: "interrupted by Ctrl-C; a running study continues",
}


def make_epilog() -> str:
    """Format the table for the end of a help text."""
    return "exit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in TABLE.items())
