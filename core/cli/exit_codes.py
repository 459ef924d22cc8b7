"""The exit codes of the verbs, in the one table that --help prints."""

from __future__ import annotations

OK, FAILURE, BAD_INPUT, NO_ENGINE, REFUSED, NO_RESULT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

TABLE: dict[int, str] = {
    OK: "done",
    FAILURE: "something failed; the message says what (run: the study failed)",
    BAD_INPUT: "the study file or the command line cannot be used as it stands",
    NO_ENGINE: "the engine cannot be started or reached",
    REFUSED: "the engine refused, and says why",
    NO_RESULT: "there is no complete trial (run: the study ended without one)",
    INTERRUPTED: "interrupted by Ctrl-C; a study that runs goes on",
}


def epilog() -> str:
    """The table as the end of a help text."""
    return "exit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in TABLE.items())
