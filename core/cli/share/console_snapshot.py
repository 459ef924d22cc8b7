"""``trimtab snapshot``: the console's screen as text, SVG or PNG, without a terminal."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from core import paths
from core.cli import activity_line, resolve_trial
from core.cli.exit_codes import BAD_INPUT
from core.contract.text.sanitize import sanitize
from core.contract.wire import engine_health_check, local_socket
from core.errors import SpecError, TrimtabError

SCREENS = ("trials", "trial", "boards", "memory", "insight", "compare", "devices")
ENDINGS = (".txt", ".svg", ".png")
RENDERER = "cairosvg"  # of PNG; trimtab does not depend on it


class PictureError(TrimtabError):
    """A picture of this kind cannot be made."""

    exit_code = BAD_INPUT


def save_snapshot(arguments: argparse.Namespace) -> int:
    """Draw the chosen screen once. Starts no engine; raises EngineError where none runs or it is stopped."""
    out = Path(arguments.out) if arguments.out else None
    if out is not None:
        _check_ending(out)
    screen, trial = _parse_screen(arguments.screen)
    if arguments.console is None:
        raise PictureError.of("this program has no console", "trimtab snapshot", "use `trimtab status`")
    socket = paths.socket_path()
    if not paths.check_home() or engine_health_check.read_health(socket) is None:
        raise local_socket.explain_absence(socket, "there is nothing to draw")
    study = _find_study(arguments.study)
    activity_line.stop_activity()
    result: int = arguments.console(
        socket, study, picture={"screen": screen, "trial": trial, "size": arguments.size, "out": out}
    )
    return result


def _find_study(name: str | None) -> str | None:
    """Return the study's name. Raises UsageError for one that there is not."""
    if name is None:
        return None
    from core.cli import reach_engine

    return resolve_trial.find_study(reach_engine.read_state()[0], name).name


def _parse_screen(words: list[str]) -> tuple[str, int | None]:
    """Return a screen and the number of its trial. Raises SpecError."""
    name, *rest = " ".join(words).split() or [""]
    number = rest[0] if rest else ""
    is_known = name in SCREENS and len(rest) <= 1 and (number.isdecimal() or not rest)
    if not is_known or (name == "trial" and not rest):
        problem = f"--screen {sanitize(' '.join(words), 60)!r} is not a screen"
        raise SpecError.of(problem, "command line", f"one of {', '.join(SCREENS)}; trial takes its number")
    return name, int(number) if number else None


def _check_ending(out: Path) -> None:
    if out.suffix.lower() not in ENDINGS:
        problem = f"the ending of {sanitize(str(out), 200)} is not one of {', '.join(ENDINGS)}"
        raise PictureError.of(problem, "command line", "name the file such as trials.svg")
    if out.suffix.lower() == ".png" and importlib.util.find_spec(RENDERER) is None:
        fix = f"`pip install {RENDERER}`, or write a .svg, which browsers and documents show"
        raise PictureError.of(f"a PNG needs {RENDERER}, which is not installed", "command line", fix)
