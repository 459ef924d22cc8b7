"""The script `trimtab`: runs a command of the command line, or opens the console."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parent.parent)  # the checkout, or trimtab/ in an installation
if ROOT in sys.path:
    sys.path.remove(ROOT)
sys.path.insert(0, ROOT)


def open_console(
    socket: Path,
    study: str | None,
    rate: float | None = None,
    read_only: bool = False,
    picture: Mapping[str, Any] | None = None,
    tunnel: Any = None,
) -> int:
    """The full-screen console, attached to the engine at ``socket``; ``rate`` is in frames a second,
    ``tunnel`` leads to the engine of another host. With ``picture`` it is drawn once, without a terminal."""
    if picture is not None:
        from tui.snapshot.headless_picture import draw_picture

        return draw_picture(socket, study, picture)
    from tui.console_loop import run

    return run(socket, study, rate, read_only, tunnel)


def main() -> int:
    """`trimtab …`; returns the exit code."""
    from core.cli.main import main as verbs

    return verbs(sys.argv[1:], open_console)


if __name__ == "__main__":
    sys.exit(main())
