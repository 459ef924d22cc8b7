"""Starts a study from its file, as `trimtab run` does; each fault of the file becomes a line and a remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from core import paths
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api, shell_environment
from core.errors import Problem, SpecError, TrimtabError
from tui.base.latest_query import Ask
from tui.start.problem_line_numbers import add_lines
from tui.theme_colors import Palette

MOST_SHOWN = 12


@dataclass(frozen=True)
class Outcome:
    """``name`` is that of the study that runs, empty where ``problems`` say why none does."""

    name: str = ""
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


async def start_study(file: str, ask: Ask) -> Outcome:
    """Read the study ``file`` and have the engine start it."""
    place = paths.expand_home(file)
    try:
        name, raw = await asyncio.to_thread(_read, place)
        request = console_api.StartStudy(raw, str(place.absolute()), "console", shell_environment.read_own())
        answer = await ask(request)
    except SpecError as error:
        return Outcome(problems=add_lines(error.problems, place))
    except TrimtabError as error:
        return Outcome(problems=error.problems)
    except (OSError, ValueError) as error:  # such as a NUL in the path
        return Outcome(problems=(Problem(sanitize(str(error), 300), str(place), "give another path"),))
    return Outcome(name, notes=answer.notes if isinstance(answer, console_api.Started) else ())


def _read(place: Path) -> tuple[str, dict[str, object]]:
    from core.contract.spec import spec_file  # pydantic takes a tenth of a second to import

    spec = spec_file.load(place)
    return spec.study.name, spec_file.convert_to_raw(spec)


def write_problems(problems: Sequence[Problem], look: Palette) -> Text:
    """Return each problem in three lines: what, where, and what to do."""
    text = Text()
    for problem in problems[:MOST_SHOWN]:
        text.append(f"✗ {sanitize(problem.what, 400)}\n", style=look["error"])
        if problem.where:
            text.append(f"  {sanitize(problem.where, 300)}\n", style=look["muted"])
        if problem.fix:
            text.append(f"  → {sanitize(problem.fix, 300)}\n")
    hidden_count = len(problems) - MOST_SHOWN
    text.append(f"… and {hidden_count} more: `trimtab check FILE` prints all\n" if hidden_count > 0 else "")
    text.rstrip()
    return text
