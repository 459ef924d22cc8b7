"""A board as a table: rows for base and trials, a column per metric, and the selected trial's history.

Head, base and past stand still; trials scroll up and down between them, columns from side to side.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.contract.spec.metric_limits import Limit
from core.contract.state import study_state as s
from core.contract.views.metric_verdict import BASE, read
from tui.boards.board_cells import INTERVAL, NARROW, cell, cut, heads, spark
from tui.number_text import GLYPHS
from tui.theme_colors import Palette
from tui.ui_messages import BoardLeft, CellChosen, CellOpened
from tui.widgets.steering_signs import Piece

LABEL = 12  # cells of the trial's number, state and step
HEAD = 2  # lines of the head; the base stands right below
PAST = 1  # line of the selected trial's history, the last one


class BoardTable(ScrollView, can_focus=True):
    """Shows one board; posts CellChosen, CellOpened and BoardLeft."""

    COMPONENT_CLASSES = {"board--head", "board--row", "board--cursor"}
    DEFAULT_CSS = """
    BoardTable {
        height: 1fr; background: $surface; color: $foreground;
        scrollbar-size-vertical: 1; overflow-x: hidden;
        & > .board--head { background: $panel; color: $foreground; text-style: bold; }
        & > .board--row { background: $block-cursor-blurred-background; color: $foreground; }
        & > .board--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
    }
    """

    def __init__(self, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self._study: s.Study | None = None
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._names: tuple[str, ...] = ()
        self._rows: list[int] = [BASE]
        self._sorted = ""
        self._intervals = False
        self._look: Palette | None = None
        self._seen: tuple[object, ...] = ()
        self._shape: tuple[object, ...] = ()
        self._strips: dict[int, tuple[tuple[object, ...], Strip]] = {}
        self._left = 0  # the first column in sight
        self.row, self.column = 0, 0

    # -- what is shown ----------------------------------------------------------------------------

    @property
    def chosen(self) -> tuple[int, str] | None:
        """The trial, BASE for the base, and the metric under the cursor."""
        return (self._rows[self.row], self._names[self.column]) if self._names else None

    def show(
        self,
        study: s.Study,
        limits: dict[str, tuple[Limit, ...]],
        names: tuple[str, ...],
        trials: Sequence[int],
        how: tuple[str, bool],
        look: Palette,
    ) -> None:
        """Draw the metrics ``names`` of ``trials``; ``how``: sorted by which metric, with intervals? The
        same again costs nothing."""
        self._study, self._limits, self._look = study, limits, look
        self._sorted, self._intervals = how
        self._place([BASE, *trials], names)
        shape = (names, trials, how, self.size)
        if shape != self._shape:  # otherwise the user may have scrolled away from the cursor
            self._shape = shape
            self._follow()
        seen = (shape, look, study.base_scores, tuple(limits), self._moment())
        if seen != self._seen:
            self._seen = seen
            self.refresh()

    def _moment(self) -> list[tuple[object, ...]]:
        """All of the trials that could change the picture. Unchanged scores are the same object."""
        trials = self._study.trials if self._study is not None else {}
        return [
            (number, trials[number].state, trials[number].scored_step, trials[number].scores)
            for number in self._rows[1:]
        ]

    def _place(self, rows: list[int], names: tuple[str, ...]) -> None:
        """Take the order of rows and columns; the cursor stays on its trial and its metric."""
        before = self.chosen
        if rows != self._rows:
            number = self._rows[self.row]
            self.row = rows.index(number) if number in rows else min(self.row, len(rows) - 1)
        if names != self._names:
            name = self._names[self.column] if self._names else ""
            self.column = names.index(name) if name in names else 0
        self._rows, self._names = rows, names
        self.virtual_size = Size(self.size.width, len(rows) + HEAD + PAST)
        if self.chosen != before:
            self.post_message(CellChosen())

    def choose(self, number: int | None = None, name: str = "", edge: int = 0) -> None:
        """Move the cursor to a trial, a metric, the first column (-1) or the last column (1)."""
        if number in self._rows:
            self.row = self._rows.index(number)
        if name in self._names:
            self.column = self._names.index(name)
        elif edge:
            self.column = 0 if edge < 0 else len(self._names) - 1
        self._moved()

    # -- drawing ----------------------------------------------------------------------------------

    @property
    def _wide(self) -> int:
        return NARROW + INTERVAL * self._intervals + 1

    def _fit(self) -> int:
        """Return how many columns fit."""
        return max(1, (self.size.width - LABEL) // self._wide)

    def _sight(self) -> tuple[str, ...]:
        return self._names[self._left : self._left + self._fit()]

    def render_line(self, y: int) -> Strip:
        """Render one line: head, base, visible trials, or history."""
        if self._study is None or self._look is None or not self._names:
            return Strip.blank(self.size.width, self.rich_style)
        if y < HEAD:
            return self._strip(self._head(y), self.get_component_rich_style("board--head"), -1)
        below = min(self.size.height - PAST, HEAD + len(self._rows) + 1)  # right below the trials if they fit
        if y == max(HEAD + 1, below):
            return self._strip(self._history(), self.rich_style, -1)
        place = y - HEAD + (self.scroll_offset.y if y > HEAD else 0)
        return self._row(place) if place < len(self._rows) else Strip.blank(self.size.width, self.rich_style)

    def _row(self, place: int) -> Strip:
        assert self._study is not None
        number = self._rows[place]
        trial = self._study.trials[number] if number != BASE else None
        under = self.column - self._left if place == self.row else -1
        moment = (trial.state, trial.scored_step, trial.scores) if trial is not None else ()
        base = self._study.base_scores
        key = (
            moment,
            base,
            self._sight(),
            self._intervals,
            self.size.width,
            self._look,
            under,
            self.has_focus,
        )
        known = self._strips.get(number)
        if known is None or known[0] != key:
            readings = [read(self._study, trial, name, self._limits) for name in self._sight()]
            cells = [self._label(trial), *(cell(one, self._intervals) for one in readings)]
            style = self.get_component_rich_style("board--row") if under >= 0 else self.rich_style
            known = self._strips[number] = (key, self._strip(cells, style, under))
        return known[1]

    def _label(self, trial: s.Trial | None) -> list[Piece]:
        if trial is None:
            return [(" base", "bold")]
        at = trial.scored_step
        step = "" if not trial.scores else f" @{at}" if at < 10_000 else f" @{at // 1000}k"
        return [(f"{trial.number:>4} "[:5], ""), (GLYPHS[trial.state], trial.state), (cut(step, 6), "muted")]

    def _head(self, y: int) -> list[list[Piece]]:
        assert self._study is not None
        count, sight = len(self._names), self._sight()
        told = f" {self._left + 1}–{self._left + len(sight)} of {count}" if len(sight) < count else ""
        cells: list[list[Piece]] = [[(told if y == 0 else "   trial", "" if y == 0 else "muted")]]
        for name in sight:
            text = heads(read(self._study, None, name, self._limits))[y]
            mark = "▾" if y == 0 and name == self._sorted else " "
            cells.append([(cut(f"{mark} {text}", self._wide - 1), "" if y == 0 else "muted")])
        return cells

    def _history(self) -> list[list[Piece]]:
        assert self._study is not None
        number = self._rows[self.row]
        trial = self._study.trials.get(number)
        cells: list[list[Piece]] = [[(f" #{number} past" if trial is not None else "", "muted")]]
        past = trial.series if trial is not None else {}
        for name in self._sight() if trial is not None else ():
            series = past.get(name)
            cells.append([("  ", ""), (spark(series.values if series else (), 12), "accent")])
        return cells

    def _strip(self, cells: Sequence[list[Piece]], base: Style, under: int) -> Strip:
        segments: list[Segment] = []
        for place, pieces in enumerate(cells):
            here = place == under + 1 and under >= 0
            style = self.get_component_rich_style("board--cursor") if here and self.has_focus else base
            room = (self._wide - 1 if place else LABEL) - sum(len(text) for text, _ in pieces)
            for text, meaning in pieces:
                segments.append(Segment(text, style + self._style(meaning, here and self.has_focus)))
            segments.append(Segment(" " * max(0, room), style))
            segments.append(Segment(" " if place else "", base))
        return Strip(segments).adjust_cell_length(self.size.width, base).simplify()

    def _style(self, meaning: str, plainly: bool) -> Style:
        """Return the colour of a meaning; under the cursor the cursor's colour, for legibility."""
        if meaning == "bold":
            return Style(bold=True)
        colour = self._look[meaning] if self._look is not None and meaning and not plainly else ""
        return Style.parse(colour) if colour else Style.null()

    def notify_style_update(self) -> None:
        """The colours changed."""
        super().notify_style_update()
        self._strips.clear()

    # -- moving -----------------------------------------------------------------------------------

    def move(self, rows: int, columns: int) -> None:
        """Move the cursor; past the first or last column the next board begins."""
        column = self.column + columns
        if columns and not 0 <= column < len(self._names):
            self.post_message(BoardLeft(columns))
            return
        self.row = max(0, min(len(self._rows) - 1, self.row + rows))
        self.column = column
        self._moved()

    def _moved(self) -> None:
        self._follow()
        self.refresh()
        self.post_message(CellChosen())

    def _follow(self) -> None:
        """Scroll so that the cursor stays visible."""
        fit = self._fit()
        last = max(0, len(self._names) - fit)
        self._left = min(last, max(self.column - fit + 1, min(self._left, self.column)))
        top, room = self.scroll_offset.y, max(1, self.size.height - HEAD - 1 - PAST)
        if self.row and self.row - 1 < top:
            self.scroll_to(y=self.row - 1, animate=False)
        elif self.row - 1 >= top + room:
            self.scroll_to(y=self.row - room, animate=False)

    def on_resize(self) -> None:
        """Another width holds other columns."""
        self.virtual_size = Size(self.size.width, len(self._rows) + HEAD + PAST)
        self._follow()
        self.refresh()

    def on_focus(self) -> None:
        """The cursor shows that arrow keys go here."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor steps back."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """One click chooses, two open."""
        place = event.y - HEAD + (self.scroll_offset.y if event.y > HEAD else 0)
        column = self._left + (event.x - LABEL) // self._wide
        inside = HEAD <= event.y < self.size.height - PAST and event.x >= LABEL
        if inside and place < len(self._rows) and column < min(len(self._names), self._left + self._fit()):
            self.row, self.column = place, column
            self._moved()
            if event.chain == 2:
                self.post_message(CellOpened())
