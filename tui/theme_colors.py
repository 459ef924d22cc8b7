"""Loads the themes, ours and those of the home folder, and maps meanings to colours."""

from __future__ import annotations

import tomllib
from pathlib import Path

from textual.color import Color, ColorParseError
from textual.theme import Theme

from core.contract.text.sanitize import sanitize

THEMES = Path(__file__).resolve().parent.parent / "themes"
DEFAULT = "harbour"
FAINT = 0.22  # of the way from muted text to the background: lines of this colour still have 3 : 1
# meaning → colour variable of the theme; glyph and word always say the same
MEANINGS = {
    "queued": "text-muted",
    "starting": "accent",
    "running": "success",
    "paused": "warning",
    "complete": "primary",
    "pruned": "text-muted",
    "failed": "error",
    "infeasible": "error",
    "info": "foreground",
    "warning": "warning",
    "error": "error",
    "muted": "text-muted",
    "accent": "accent",
    "train": "accent",
    "eval": "warning",
    "good": "success",
    "mark": "primary",
    "primary": "primary",
    # pieces of a memory bar: blue, orange, grey and the theme's third colour differ in lightness, too
    "base": "secondary",
    "adapter": "primary",
    "adapter-2": "primary-darken-2",
    "activations": "warning",
    "loss": "warning-darken-2",
    "copies": "warning-lighten-2",
    "reserve": "text-muted",
    "others": "accent",
    "limit": "error",
}


def make_themes(own: Path | None = None) -> tuple[list[Theme], list[str]]:
    """Load every theme, those of the folder ``own`` last, with a warning for each invalid file: a missing
    colour must not prevent the console from opening."""
    loaded: dict[str, Theme] = {}
    faults = []
    for folder in (THEMES, *([own] if own is not None else [])):
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = Theme(name=path.stem, **tomllib.loads(path.read_text("utf-8")))
                theme.to_color_system().generate()
            except (OSError, ValueError, TypeError, AttributeError, ColorParseError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                faults.append(f"themes/{sanitize(path.name, 60)} cannot be used: {sanitize(str(why), 200)}")
            else:
                loaded[theme.name] = theme
    return list(loaded.values()), faults


class Palette:
    """The colours of the theme in use, by meaning, for text that widgets draw themselves."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables

    @property
    def cursor(self) -> str:
        """Return the style of the cell under the cursor."""
        front, back = self["block-cursor-foreground"], self["block-cursor-background"]
        return f"{front} on {back}" if front and back and front != back else "reverse"

    def __getitem__(self, meaning: str) -> str:
        if meaning == "faint":  # many lines behind those that matter
            muted, back = self["muted"], self["background"]
            are_colors = muted.startswith("#") and back.startswith("#")
            return Color.parse(muted).blend(Color.parse(back), FAINT).hex6 if are_colors else muted
        own = self._variables.get(f"memory-{meaning}", "")  # where two colours of a theme are the same
        colour = own or self._variables.get(MEANINGS.get(meaning, meaning), "")
        if colour.startswith("auto"):  # text-muted is "auto 60%" in some themes
            colour = self._variables.get("foreground-muted", "")
        if colour.startswith("#"):
            return colour[:7]  # some themes give an opacity, too, which text has none of
        name = colour.removeprefix("ansi_")  # Textual's word for the terminal's own colours
        return name if name.replace("_", "").isalpha() else ""
