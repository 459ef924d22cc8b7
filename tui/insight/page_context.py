"""What a page of the insight screen is given, and what all pages share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from core.contract.views.knob_axes import Axis, list_axes
from core.contract.wire.search_state import Importance, SearchState
from tui.column_format import write_knob
from tui.number_text import GLYPHS, format_loss
from tui.theme_colors import Palette
from tui.widgets.xy_plot import Plane, pad

RESULT, EARLY, HERE = "●", GLYPHS["pruned"], "◆"


@dataclass(frozen=True)
class View:
    """The study, what was chosen, what the engine answered, and the room in cells. ``why`` says why an answer
    is missing."""

    study: s.Study
    look: Palette
    width: int
    height: int
    objective: int = 0
    choice: int = 0  # which knob, or pair of knobs
    focus: int | None = None  # the trial under the cursor
    importance: Importance | None = None
    search: SearchState | None = None
    why: str = ""

    @property
    def metric(self) -> str:
        """The objective's metric."""
        return sanitize(self.study.objectives[self.objective][0], 40)

    @property
    def direction(self) -> str:
        """minimize or maximize."""
        return self.study.objectives[self.objective][1]

    @property
    def wish(self) -> str:
        """Which values are better."""
        return describe_wish(self.direction)

    @property
    def axes(self) -> list[Axis]:
        """The searched knobs."""
        return list_axes(self.study)


@dataclass(frozen=True)
class Page:
    """``choices`` names what ↑ ↓ choose from; without any they move over ``trials``, as ← → do."""

    name: str
    lines: Callable[[View], list[Text]]
    trials: Callable[[View], list[int]]
    choices: Callable[[s.Study], list[str]] = lambda study: []
    asks: str = ""  # importance or search: what of the engine's it shows


def describe_wish(direction: str) -> str:
    """Which values are better."""
    return "lower is better" if direction == "minimize" else "higher is better"


def list_knobs(study: s.Study) -> list[str]:
    """The searched knobs by name."""
    return [sanitize(axis.name, 40) for axis in list_axes(study)]


def explain_no_values(view: View) -> list[Text]:
    """No trial has a value yet."""
    return [
        Text("no trial has ended with a value yet: this page updates as trials end", style=view.look["muted"])
    ]


def draw_legend(view: View, extra_entries: Sequence[tuple[str, str, str]] = (), meaning: str = "") -> Text:
    """The signs of the points, all of ``meaning`` where one is given; ``extra_entries`` are (sign,
    meaning, words)."""
    line = Text(no_wrap=True, overflow="ellipsis")
    points = ((RESULT, meaning or "complete", "result"), (EARLY, meaning or "pruned", "stopped early"))
    for sign, colour, words in (*points, *extra_entries):
        line.append(f"{sign} ", style=view.look[colour])
        line.append(f"{words}   ")
    return line


def draw_dot(plane: Plane, view: View, x: float, y: float, point: i.Point) -> None:
    """A trial's sign."""
    plane.mark(x, y, EARLY if point.early else RESULT, "pruned" if point.early else "complete")


def mark_focus(plane: Plane, view: View, placed: Sequence[tuple[float, float, i.Point]]) -> None:
    """The sign of the trial under the cursor, above all others."""
    for x, y, point in placed:
        if point.trial == view.focus:
            plane.mark(x, y, HERE, "cursor")


def note_outliers(view: View, values: Sequence[float], inside: Callable[[float], bool]) -> str:
    """How many values stand on the edge because they are far away."""
    out = sum(not inside(value) for value in values)
    side = "above" if view.direction == "minimize" else "below"
    return f"   {out} outliers {side}, drawn on the edge" if out else ""


def make_row(view: View, number: int, cells: Sequence[tuple[str, int, str]]) -> Text:
    """A line of a list: (text, cells, meaning) each; negative cells stand at the right."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for text, width, meaning in cells:
        row_text = Text(text)
        row_text.truncate(abs(width), overflow="ellipsis")
        cell = pad(row_text.plain, abs(width), right=width < 0)
        line.append(cell, style=view.look[meaning] if meaning else "").append(" ")
    if number == view.focus:
        line.truncate(view.width, pad=True)
        line.stylize(f"bold {view.look.cursor}")
    return line


def find_window(rows: Sequence[int], focus: int | None, room: int) -> slice:
    """The part of a list that is in sight: it holds the cursor."""
    place = rows.index(focus) if focus in rows else 0
    first = max(0, min(place - room // 2, len(rows) - room))
    return slice(first, first + room)


def label_axis(view: View, name: str, value: object, cells: int = 16) -> str:
    """A knob's value at its axis, as its column has it, but for zeros after the point: 1e-4."""
    return sanitize(write_knob(view.study, name, value).replace(".00e", "e"), cells)


def format_value(value: float | None) -> str:
    """A value of the objective."""
    return format_loss(value)
