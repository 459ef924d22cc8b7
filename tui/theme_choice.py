"""Which theme the console opens with, and the one that was chosen last."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path

from rich.color import ColorSystem

from core.contract.text.sanitize import sanitize
from tui.theme_colors import DEFAULT

FILE = "console-theme"  # in the home folder
LIGHT, SIXTEEN, NONE = "chart-paper", "sixteen", "monochrome"
LIGHT_COLORS = ("7", "15")  # the backgrounds of COLORFGBG that are light: white, and its bright one
LONGEST = 100


def choose(
    theme_name: str, theme_names: Collection[str], colors: ColorSystem | None, light: bool
) -> tuple[str, str]:
    """Return the theme, and why it is not ``theme_name``, where that is unknown.

    A terminal without colours, and one that has sixteen, has a theme of its own unless one is chosen.
    """
    usual = SIXTEEN if colors is ColorSystem.STANDARD else LIGHT if light else DEFAULT
    if colors is None:
        return (NONE, "") if NONE in theme_names else (usual, "")
    if theme_name in theme_names:
        return theme_name, ""
    fault = (
        f"there is no theme {sanitize(theme_name, 60)}: {', '.join(sorted(theme_names))}"
        if theme_name
        else ""
    )
    return usual, fault


def read_remembered(home: Path) -> str:
    """Return the theme that was chosen last; empty if none was."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (home / FILE).read_text("utf-8")[:LONGEST].strip()
    return ""


def remember(home: Path, theme: str) -> None:
    """Keep the chosen theme. A home that cannot be written keeps nothing."""
    with contextlib.suppress(OSError):
        if home.is_dir():
            (home / FILE).write_text(f"{theme}\n", "utf-8")


def is_light(environment: Mapping[str, str], background: tuple[int, int, int] | None) -> bool:
    """Tell whether the background is light: by what the terminal answered (0–255), else by COLORFGBG."""
    if background is not None:
        red, green, blue = background
        return 0.299 * red + 0.587 * green + 0.114 * blue > 127
    return environment.get("COLORFGBG", "").rpartition(";")[2] in LIGHT_COLORS
