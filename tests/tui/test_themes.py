"""Every theme can be read: contrast as WCAG 2 defines it, of the colours and of the screens as drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import Theme

from tests.matrix import rest_slow
from tests.tui.conftest import strips_of
from tests.tui.explored import explored_study
from tests.tui.scene import four_cards, state_of
from tui import theme_choice
from tui.terminal import background_query
from tui.terminal.cell_style import find_style
from tui.theme_colors import MEANINGS, Palette, make_themes

READABLE, VISIBLE = 4.5, 3.0  # of text; of lines and areas
AREAS = {"base", "adapter", "adapter-2", "activations", "loss", "copies", "reserve", "others", "limit"}
OURS = make_themes()[0]


def luminance(color: Color) -> float:
    parts = [part / 255 for part in (color.r, color.g, color.b)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(front: str, back: str) -> float:
    darker, lighter = sorted((luminance(Color.parse(front)), luminance(Color.parse(back))))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [theme for theme in OURS if not theme.ansi], ids=lambda theme: theme.name)
def test_each_meaning_can_be_read_on_each_background(theme: Theme):
    palette = Palette(theme.to_color_system().generate())
    for back in ("background", "surface", "panel"):
        for meaning in MEANINGS:
            least = VISIBLE if meaning in AREAS else READABLE
            assert contrast(palette[meaning], palette[back]) >= least, (meaning, back)
    assert contrast(palette["faint"], palette["background"]) >= VISIBLE


def unreadable(seat) -> set[tuple[str, str, str]]:
    """Words on the screen with too little contrast: (word, front, back)."""
    found = set()
    screen = seat.app.screen
    part = (
        screen.children[0].region if screen.is_modal else screen.region
    )  # what lies below a dialog is dimmed
    for strip in strips_of(seat.app)[part.y : part.bottom]:
        for text, style, _ in strip.crop(part.x, part.right):
            if (
                style is None
                or style.color is None
                or style.bgcolor is None
                or not any(map(str.isalnum, text))
            ):
                continue
            front, back = (color.get_truecolor().hex for color in (style.color, style.bgcolor))
            if contrast(front, back) < READABLE:
                found.add((text.strip(), front, back))
    return found


PLAINEST = ("harbour", "chart-paper")  # the dark one and the light one that are used unless another is chosen


@pytest.mark.parametrize(
    "theme",
    rest_slow([*PLAINEST, *sorted({theme.name for theme in OURS if not theme.ansi} - {*PLAINEST})], 2),
)
async def test_all_words_on_the_screens_can_be_read_in_every_theme(seat, theme):
    async with seat(state_of(explored_study(), four_cards()), (120, 40)) as you:
        you.app.theme = theme
        problems = set()
        for keys in (
            ("j",),
            ("enter",),
            ("escape", "m"),
            ("escape", "b"),
            ("escape", "i"),
            ("escape", "n"),
            ("escape", "x"),
        ):
            await you.press(*keys)
            await you.pilot.pause()
            problems |= {(keys[-1], *words) for words in unreadable(you)}
        assert not problems, sorted(problems)


async def test_the_themes_without_colors_of_their_own_leave_them_to_the_terminal(seat):
    async with seat(state_of(explored_study(), four_cards())) as you:
        for theme, allowed in (
            ("sixteen", {str(code) for code in (*range(30, 38), *range(90, 98))}),
            ("monochrome", {""}),
        ):
            you.app.theme = theme
            for key in ("j", "enter", "escape"):
                await you.press(key)
                styles = {
                    find_style(style, ColorSystem.TRUECOLOR)
                    for strip in strips_of(you.app)
                    for _, style, _ in strip
                }
                assert {style.front for style in styles} <= allowed | {""}, theme
                assert any("reverse" in style.flags for style in styles) or key == "enter", "no cursor"


def test_the_theme_suits_the_terminal_unless_one_is_chosen(tmp_path: Path):
    names = [theme.name for theme in OURS]

    def chosen(
        wanted: str = "", colors: ColorSystem | None = ColorSystem.TRUECOLOR, light: bool = False
    ) -> str:
        return theme_choice.choose(wanted, names, colors, light)[0]

    assert chosen() == "harbour" and chosen(light=True) == "chart-paper"
    assert (
        chosen(colors=ColorSystem.STANDARD) == "sixteen" and chosen("okabe", ColorSystem.STANDARD) == "okabe"
    )
    assert chosen("okabe", None) == "monochrome"  # NO_COLOR
    assert "no theme odd" in theme_choice.choose("odd", names, ColorSystem.TRUECOLOR, False)[1]
    assert theme_choice.read_remembered(tmp_path) == ""
    theme_choice.remember(tmp_path, "okabe")
    assert theme_choice.read_remembered(tmp_path) == "okabe"
    theme_choice.remember(tmp_path / "missing", "okabe")


def test_a_light_terminal_is_recognised():
    assert background_query.read_color(b"\x1b]11;rgb:ffff/f0f0/e0e0\x1b\\\x1b[?64c") == (255, 240, 224)
    assert background_query.read_color(b"\x1b]11;rgb:0/8/f\x07") == (0, 136, 255)
    assert background_query.read_color(b"\x1b[?64;1;2c") is None
    assert theme_choice.is_light({}, (255, 240, 224)) and not theme_choice.is_light(
        {"COLORFGBG": "0;15"}, (0, 0, 0)
    )
    assert theme_choice.is_light({"COLORFGBG": "0;15"}, None) and not theme_choice.is_light({}, None)


def test_a_theme_of_the_home_folder_replaces_ours(tmp_path: Path):
    (tmp_path / "harbour.toml").write_text("primary = '#123456'")
    (tmp_path / "own.toml").write_text("primary = '#123456'")
    (tmp_path / "odd.toml").write_text("primary = ")
    loaded, faults = make_themes(tmp_path)
    assert {theme.name: theme.primary for theme in loaded}["harbour"] == "#123456"
    assert len(loaded) == len(OURS) + 1 and len(faults) == 1 and "odd.toml" in faults[0]
