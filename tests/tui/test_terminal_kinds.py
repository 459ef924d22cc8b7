"""Any terminal: few colours or none, ASCII, a slow line; and the settings of the console."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.color import ColorSystem
from textual.events import Key

import core
import tui
from core.contract.text.sanitize import REPLACEMENT
from tests.tui.conftest import strips_of
from tests.tui.scene import four_cards, state_of, study_events
from tui import console_settings
from tui.terminal import capabilities, frame_pacing
from tui.terminal.capabilities import detect, is_utf8
from tui.terminal.cell_grid import CellGrid
from tui.terminal.frame_difference import FrameDifference
from tui.terminal.frame_pacing import ANSWER_S, AT_KEYS_S, LONGEST_SETTLE_S, LOST_S, SETTLE_S, FramePacing
from tui.terminal.glyph_fallback import choose_fallback
from tui.terminal.late_terminal_replies import AnswerFilter, KeyParser

TERMINFO = {"xterm-256color": (256, True), "linux": (8, True), "vt100": (-1, False), "screen": (8, False)}
COLOR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[\d;]*)?m")


@pytest.mark.parametrize(
    ("environment", "colors", "glyphs"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, ColorSystem.TRUECOLOR, "unicode"),
        ({"TERM": "xterm-256color"}, ColorSystem.EIGHT_BIT, "unicode"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, None, "unicode"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, ColorSystem.EIGHT_BIT, "unicode"),
        ({"TERM": "linux"}, ColorSystem.STANDARD, "cp437"),
        ({"TERM": "vt100"}, None, "ascii"),
        ({"TERM": "screen", "LC_ALL": "C"}, ColorSystem.STANDARD, "ascii"),
        ({"TERM": "not-a-terminal"}, ColorSystem.STANDARD, "unicode"),
    ],
)
def test_a_terminal_gets_the_colors_and_signs_that_it_has(monkeypatch, environment, colors, glyphs):
    monkeypatch.setattr(capabilities, "read_terminfo", lambda term: TERMINFO.get(term, (8, False)))
    found = detect({"LANG": "en_GB.UTF-8", **environment})
    assert (found.colors, found.glyphs) == (colors, glyphs)


def test_a_sign_may_be_chosen_and_the_locale_decides_else():
    assert detect({"TERM": "vt100"}, "unicode").glyphs == "unicode"
    assert is_utf8({}) and is_utf8({"LANG": "de_DE.utf8"}) and not is_utf8({"LC_ALL": "C", "LANG": "C.UTF-8"})
    assert not is_utf8({"LANG": "C", "LC_CTYPE": "C.UTF-8"})  # Python's own doing


@pytest.mark.parametrize("name", ["ascii", "cp437"])
async def test_the_console_is_drawn_in_the_signs_that_the_terminal_has(seat, name):
    """And NO_COLOR is without any colour. Each sign is as wide as the one it stands for."""
    async with seat(state_of(study_events(), four_cards()), (120, 40)) as you:
        for key in ("j", "enter", "escape", "m", "escape", "question_mark"):
            await you.press(key)
            grid = CellGrid(None, choose_fallback(name))
            grid.resize(120, 40)
            for y, strip in enumerate(strips_of(you.app)):
                grid.put(0, y, strip)
                assert cell_len("".join(filter(None, grid.rows[y].characters))) == 120
            written = FrameDifference(False).write(grid)
            assert written.encode(name) and not COLOR.search(written)
            assert written.count("?") == sum(strip.text.count("?") for strip in strips_of(you.app)), key


def test_each_sign_that_the_console_draws_has_one_of_ascii():
    ascii_of, signs = choose_fallback("ascii"), set[str]()
    assert ascii_of is not None
    for path in [*Path(tui.__path__[0]).rglob("*.py"), *(Path(core.__path__[0]) / "contract").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            signs.update(node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "")
    drawn = {sign for sign in signs if sign.isprintable() and sign != REPLACEMENT}
    assert {"✎", "›"} <= signs
    assert not {sign for sign in drawn if "?" in ascii_of(sign)} - {"?"}


def test_no_frame_is_sent_before_the_last_one_has_arrived():
    pacing = FramePacing(5.0)
    assert pacing.wait_s(100.0, 0) == 0.0 and pacing.wait_s(100.0, backlog=7) is None
    pacing.note_sent(100.0)
    assert pacing.wait_s(100.5, 0) is None  # on its way
    pacing.note_answer(100.6)
    assert pacing.wait_s(100.6, 0) == 0.0 and pacing.round_trip_s == pytest.approx(0.6)
    pacing.note_sent(101.0)
    pacing.note_answer(101.05)
    assert pacing.wait_s(101.1, 0) == pytest.approx(0.1)  # five a second
    pacing.note_key(101.1)
    assert pacing.wait_s(101.1, 0) == 0.0  # but a key shows at once
    pacing.note_sent(102.0)
    assert pacing.wait_s(102.0 + LOST_S + 0.1, 0) == 0.0 and pacing.asks  # an answer that was lost


def test_a_page_that_is_laid_out_in_parts_is_written_once():
    pacing = FramePacing(5.0)
    pacing.note_taken(100.0)
    assert pacing.wait_s(100.0, 0) == 0.0  # the first paint waits for nothing
    pacing.asks = False
    pacing.note_sent(100.0)
    pacing.note_taken(101.0)
    assert pacing.wait_s(101.0, 0) == pytest.approx(SETTLE_S)
    pacing.note_taken(101.05)
    assert pacing.wait_s(101.05, 0) == pytest.approx(SETTLE_S)
    pacing.note_taken(101.0 + LONGEST_SETTLE_S)  # parts without end
    assert pacing.wait_s(101.0 + LONGEST_SETTLE_S, 0) == 0.0
    pacing.note_sent(102.0)
    pacing.note_taken(103.0)
    pacing.note_key(103.0)
    assert pacing.wait_s(103.0, 0) == 0.0  # a key shows at once


@pytest.mark.parametrize(
    ("read", "keys"),
    [
        (["j\x1b]11;rgb:1010/1616/1c1c\x1b\\k"], "jk"), (["\x1b]11;rgb:ff/ff/ff\x07"], ""),
        (["\x1b[?64;1;2c\x1b[A"], "\x1b[A"), (["a\x1b]11;rgb:10", "10/16/1c\x1b", "\\b"], "ab"),
        (["\x1b[?", "62c"], ""), (["\x1b"], "\x1b"),
        (["\x1b]"], "\x1b]"), (["\x1b[?2026;2$y"], "\x1b[?2026;2$y"),
    ],
)  # fmt: skip
def test_answers_that_come_after_the_question_was_given_up_are_not_keys(read, keys):
    taken = AnswerFilter()
    assert "".join(taken.keep_keys(part) for part in read) == keys


def test_a_late_answer_presses_no_key():
    parser = KeyParser()
    pressed = [*parser.feed("\x1b]11;rgb:1010/1616/1c1c\x1b\\\x1b[?64;1c"), *parser.feed("j")]
    assert [event.key for event in pressed if isinstance(event, Key)] == ["j"]


def test_a_terminal_that_never_answers_is_not_asked_again():
    pacing = FramePacing(5.0)
    pacing.note_sent(100.0)
    assert pacing.is_busy(100.0 + ANSWER_S - 0.1, 0) and not pacing.is_busy(100.0 + ANSWER_S + 0.1, 0)
    pacing.note_sent(200.0)
    assert not pacing.asks and not pacing.is_busy(200.0, 0)


def test_figures_change_less_often_while_nobody_is_at_the_keys(monkeypatch):
    monkeypatch.setattr(frame_pacing, "WATCHED_S", 0.4)
    monkeypatch.setattr(frame_pacing, "LONGEST_S", 2.0)
    pacing = FramePacing(5.0)
    assert pacing.find_draw_interval_s(100.0) == 0.4
    pacing.note_key(100.0)
    assert pacing.find_draw_interval_s(101.0) == 0.2 and FramePacing(0.5).find_draw_interval_s(100.0) == 2.0
    assert pacing.find_draw_interval_s(100.0 + AT_KEYS_S) == 0.4


def test_a_page_that_is_much_work_is_drawn_less_often_while_nobody_is_at_the_keys(monkeypatch):
    monkeypatch.setattr(frame_pacing, "WATCHED_S", 0.4)
    monkeypatch.setattr(frame_pacing, "LONGEST_S", 2.0)
    pacing = FramePacing(5.0)
    for frame in range(20):
        pacing.note_drawn(100.0 + frame, cpu_s=0.025 * frame)  # 25 ms each
    assert pacing.find_draw_interval_s(200.0) == pytest.approx(1.0, rel=0.01)  # 2.5 % of a core
    pacing.note_drawn(500.0, cpu_s=90.0)  # of which most was something else
    assert pacing.find_draw_interval_s(501.0) == pytest.approx(1.0, rel=0.01)
    pacing.note_key(501.0)
    assert pacing.find_draw_interval_s(501.0) == 0.2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate = 0", "rate"),
        ("rat = 1", "rat"),
        ("glyphs = 'some'", "glyphs"),
        ("[notices]\nbell = 3", "notices.bell"),
        ("theme = ", "Invalid value"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_the_console_opens(tmp_path: Path, text, words):
    assert console_settings.read(tmp_path) == (console_settings.Settings(), "")
    (tmp_path / "console.toml").write_text("theme = 'okabe'\nrate = 2\n[notices]\nbell = true\n")
    settings, fault = console_settings.read(tmp_path)
    assert (settings.theme, settings.rate, settings.notices.bell, fault) == ("okabe", 2, True, "")
    (tmp_path / "console.toml").write_text(text)
    settings, fault = console_settings.read(tmp_path)
    assert settings == console_settings.Settings() and words in fault and "console.toml" in fault
