"""Errors that a user can act on: what happened, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in three parts.

    ``what`` holds the offending value; ``where`` a file, key or trial; ``fix`` the next step.
    """

    what: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        fix = f"\n  → {self.fix}" if self.fix else ""
        return f"{where}{self.what}{fix}"


class TrimtabError(Exception):
    """An expected failure: carries one or more problems and the exit code of a headless verb."""

    exit_code = 1

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))

    @classmethod
    def of(cls, what: str, where: str = "", fix: str = "") -> Self:
        """Make an error with a single problem."""
        return cls(Problem(what, where, fix))


def join_in_line(error: TrimtabError) -> str:
    """Format the first problem as one line: what, where, and what to do."""
    first = error.problems[0]
    return (
        first.what + (f" ({first.where})" if first.where else "") + (f" → {first.fix}" if first.fix else "")
    )


class SpecError(TrimtabError):
    """A study file is invalid."""

    exit_code = 2


class EngineError(TrimtabError):
    """The engine cannot be started or reached."""

    exit_code = 3


class RefusedError(TrimtabError):
    """The engine understood a request and refused it for the stated reason."""

    exit_code = 4
