"""The trials: one row each, drawn again only where something changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.widgets import DataTable
from textual.widgets.data_table import RowDoesNotExist

from core.contract import ranking
from core.contract import state as s
from core.contract.knobs import KNOBS
from core.contract.plain import plain
from tui.look import Palette
from tui.messages import TrialChosen, TrialOpened
from tui.text import ASKED, GLYPHS, bar, duration, loss, number, sparkline

LONGEST_KNOB = 11


@dataclass(frozen=True)
class Column:
    """One column; a lower ``rank`` stays longer when the terminal is narrow."""

    label: str
    width: int
    rank: int
    draw: Callable[[s.Study, s.Trial, Palette], Text]


def _number(study: s.Study, trial: s.Trial, look: Palette) -> Text:
    best = ranking.best(study)
    mark = "★" if best is not None and best.number == trial.number else " "
    return Text(f"{trial.number:>3}{mark}", style=look["good"] if mark == "★" else "")


def _state(study: s.Study, trial: s.Trial, look: Palette) -> Text:
    word = ASKED.get(trial.asked, trial.state)
    return Text(f"{GLYPHS[trial.state]} {word}", style=look["warning" if trial.asked else trial.state])


def _progress(study: s.Study, trial: s.Trial, look: Palette) -> Text:
    share = trial.step / trial.total_steps if trial.total_steps else 0.0
    full, empty = bar(share, 8)
    shown = Text(full, style=look[trial.state])
    shown.append(empty, style=look["muted"])
    shown.append(f" {100 * share:>3.0f}%")
    return shown


def _left(study: s.Study, trial: s.Trial, look: Palette) -> Text:
    if trial.state in s.ENDED:
        return Text(duration(trial.elapsed_s), style=look["muted"], justify="right")
    return Text(duration(ranking.trial_left_s(trial)), justify="right")


def _curve(width: int) -> Callable[[s.Study, s.Trial, Palette], Text]:
    def draw(study: s.Study, trial: s.Trial, look: Palette) -> Text:
        series = trial.series.get("train/loss")
        return Text(sparkline(series.values if series else (), width), style=look["train"])

    return draw


def _eval(study: s.Study, trial: s.Trial, look: Palette) -> Text:
    return Text(loss(trial.latest.get("eval/loss")), justify="right")


def _best(study: s.Study, trial: s.Trial, look: Palette) -> Text:
    value = trial.values[0] if trial.values else ranking.best_reading(study, trial)
    style = "bold" if trial.state == s.COMPLETE else ""
    return Text(loss(value), style=style, justify="right")


def _knob(name: str) -> Callable[[s.Study, s.Trial, Palette], Text]:
    return lambda study, trial, look: Text(
        plain(number(trial.params.get(name)), LONGEST_KNOB), justify="right"
    )


def columns(study: s.Study, width: int) -> list[Column]:
    """The columns that fit into ``width`` cells, in their order."""
    metric = study.objectives[0][0].split("/")[-1]
    wanted = [
        Column("#", 4, 0, _number),
        Column("state", 11, 0, _state),
        Column("progress", 13, 1, _progress),
        Column("left", 7, 4, _left),
        Column("loss", 16 if width >= 110 else 10, 3, _curve(16 if width >= 110 else 10)),
        Column("eval", 7, 5, _eval),
        Column(f"best {metric}"[:9], 9, 1, _best),
    ]
    for place, name in enumerate(study.spec.get("space", {})):
        label = KNOBS[name].short or name
        values = [number(trial.params.get(name)) for trial in study.trials.values()]
        wide = min(LONGEST_KNOB, max([len(label), 4, *map(len, values)]))
        wanted.append(Column(label, wide, 2 if place < 2 else 6 + place, _knob(name)))
    kept: set[int] = set()
    room = width
    for index, column in sorted(enumerate(wanted), key=lambda pair: pair[1].rank):
        if room >= column.width + 2:
            room -= column.width + 2  # a cell has a space on either side
            kept.add(index)
    return [column for index, column in enumerate(wanted) if index in kept]


def matches(trial: s.Trial, text: str) -> bool:
    """Does every word of ``text`` stand in the trial's number, state or parameters?"""
    shown = [f"#{trial.number}", str(trial.number), trial.state, trial.asked]
    for name, value in trial.params.items():
        knob = KNOBS.get(name)
        shown += [f"{name}={number(value)}", f"{knob.short if knob else name}={number(value)}"]
    words = text.lower().split()
    return all(any(one == word if word.isdigit() else word in one.lower() for one in shown) for word in words)


class TrialTable(DataTable[Text]):
    """Shows the trials of one study; posts TrialChosen and TrialOpened."""

    DEFAULT_CSS = "TrialTable { height: 1fr; scrollbar-size-vertical: 1; }"

    BINDINGS = [Binding("enter", "select_cursor", "detail", show=True, id="table.detail")]

    def __init__(self, **more: object) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, **more)  # type: ignore[arg-type]
        self._columns: list[Column] = []
        self._head: tuple[object, ...] = ()
        self._rows: list[int] = []
        self._drawn: dict[int, tuple[object, ...]] = {}
        self._seen: dict[int, s.Trial] = {}
        self._marked: int | None = None

    @property
    def chosen(self) -> int | None:
        """The trial under the cursor."""
        return self._rows[self.cursor_row] if 0 <= self.cursor_row < len(self._rows) else None

    def show(self, study: s.Study | None, text: str, best_first: bool, look: Palette) -> None:
        """Draw the trials that match ``text``."""
        if study is None:
            self.clear(columns=True)
            self._head, self._rows, self._drawn = (), [], {}
            return
        wanted = columns(study, self.size.width or 80)
        head = (study.name, tuple((one.label, one.width) for one in wanted))
        rows = [trial.number for trial in _ordered(study, best_first) if matches(trial, text)]
        best = ranking.best(study)
        marked = best.number if best else None
        if head != self._head or rows[: len(self._rows)] != self._rows:
            self._rebuild(study, wanted, rows, look)
        else:
            self._extend(study, rows[len(self._rows) :], look)
            self._refresh_rows(study, look, {marked, self._marked})
        self._head, self._marked = head, marked

    def _rebuild(self, study: s.Study, wanted: list[Column], rows: list[int], look: Palette) -> None:
        chosen, scroll = self.chosen, self.scroll_y
        self._columns = wanted
        self.clear(columns=True)
        self._drawn, self._rows, self._seen = {}, [], {}
        for column in wanted:
            self.add_column(Text(column.label), width=column.width, key=column.label)
        self._extend(study, rows, look)
        if chosen in rows:
            self.move_cursor(row=rows.index(chosen), animate=False, scroll=False)
            self.scroll_to(y=scroll, animate=False, immediate=True)

    def _extend(self, study: s.Study, rows: list[int], look: Palette) -> None:
        for number_ in rows:
            trial = study.trials[number_]
            cells = [column.draw(study, trial, look) for column in self._columns]
            self.add_row(*cells, key=str(number_))
            self._rows.append(number_)
            self._drawn[number_] = tuple((cell.plain, str(cell.style)) for cell in cells)
            self._seen[number_] = trial

    def _refresh_rows(self, study: s.Study, look: Palette, marked: set[int | None]) -> None:
        """A trial that is the same object has not changed: nothing to draw."""
        for number_ in self._rows:
            trial = study.trials[number_]
            if self._seen.get(number_) is trial and number_ not in marked:
                continue
            self._seen[number_] = trial
            cells = [column.draw(study, trial, look) for column in self._columns]
            before = self._drawn.get(number_, ())
            after = tuple((cell.plain, str(cell.style)) for cell in cells)
            for index, cell in enumerate(cells):
                if index >= len(before) or before[index] != after[index]:
                    self.update_cell(str(number_), self._columns[index].label, cell, update_width=False)
            self._drawn[number_] = after

    def redraw(self) -> None:
        """Forget what was drawn: the colours changed."""
        self._head = ()

    def choose(self, number_: int) -> None:
        """Put the cursor on a trial, when it is shown."""
        try:
            self.move_cursor(row=self.get_row_index(str(number_)), animate=False)
        except RowDoesNotExist:
            return

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """The cursor moved."""
        event.stop()
        self.post_message(TrialChosen(self.chosen))

    def action_select_cursor(self) -> None:
        """Enter."""
        if self.chosen is not None:
            self.post_message(TrialOpened(self.chosen))

    def on_click(self, event: events.Click) -> None:
        """One click chooses, two open."""
        if event.chain == 2:
            self.action_select_cursor()


def _ordered(study: s.Study, best_first: bool) -> list[s.Trial]:
    trials = list(study.trials.values())
    if not best_first:
        return trials
    sign = 1 if study.objectives[0][1] == "minimize" else -1

    def rank(trial: s.Trial) -> tuple[bool, float, int]:
        value = trial.values[0] if trial.values else ranking.best_reading(study, trial)
        return (value is None, sign * value if value is not None else 0.0, trial.number)

    return sorted(trials, key=rank)
