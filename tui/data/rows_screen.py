"""The rows of a source as they are trained on, one at a time, with the learnt tokens marked."""

from __future__ import annotations

from typing import cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.contract.wire.answers.data_messages import CUT, LEARNT, AskDataRow, DataRow
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.base.latest_query import Latest
from tui.keys.data_key_groups import ROWS
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet
from tui.widgets.text_wrapping import wrap_text

LONGEST = 20_000  # characters of a row
FIRST = "asking the engine; the first row waits until the tokenizer is loaded …"
EXAMPLE_KEYS = ("rows.example", "rows.example_before")


class RowsScreen(StudyScreen):
    """Pushed on top of the data screen: a ``source`` with about ``rows`` rows, at the first of the numbers of
    the ``examples`` of a ``finding``."""

    KEYS = (ROWS,)
    BAR = ROWS.footer
    CRUMB = "rows"
    TOPIC = "study-file"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    RowsScreen #title {
        height: auto; max-height: 4; padding: 0 1; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    RowsScreen VerticalScroll { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; overflow-x: hidden; }
    RowsScreen VerticalScroll Sheet { width: 1fr; height: auto; }
    """

    def __init__(self, source: str, rows: int = 0, examples: tuple[int, ...] = (), finding: str = "") -> None:
        super().__init__()
        self._source, self._rows, self._examples, self._finding = source, rows, examples, finding
        self._number = examples[0] if examples else 1
        self._row: DataRow | None = None
        self._why = FIRST
        self._drawn: tuple[object, ...] = ()
        self._question = Latest(self._ask, self._take)

    def compose(self) -> ComposeResult:
        """Title, the row, footer."""
        yield Sheet(id="title")
        with VerticalScroll(can_focus=False):
            yield Sheet(id="row")
        yield KeyBar()

    def on_mount(self) -> None:
        """Ask at once."""
        super().on_mount()
        self.action_again()

    def find_selected_trial(self) -> s.Trial | None:
        """Rows belong to no trial."""
        return None

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        return cast("console_api.Answer | None", await self.console.engine.ask(request))

    def _take(self, answer: console_api.Answer | None, why: str) -> None:
        if not self.is_attached:
            return
        self._why = why
        if isinstance(answer, DataRow):
            self._row = answer
            self._rows = answer.of or self._rows
            self.query_one(VerticalScroll).scroll_to(y=0, animate=False)
        self.show()

    def action_again(self) -> None:
        """Ask the engine for the row."""
        if self.study is not None:
            request = AskDataRow(self.study.name, self._source, self._number)
            self.run_worker(self._question.send(request), group="rows", exit_on_error=False)

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the row; the same one costs nothing."""
        look, row = self.console.look, self._row
        self.query_one("#title", Sheet).draw(self._make_title())
        inputs = (row, self._why, look, self.size.width)
        if inputs == self._drawn:
            return
        self._drawn = inputs
        self.query_one("#row", Sheet).draw(mark_row(row, look) if row is not None else Text())

    def _make_title(self) -> Text:
        look, row, line = self.console.look, self._row, self.draw_breadcrumbs()
        total_text = f" of {row.of:,}" if row is not None and row.of else ""
        line.append(f"  row {self._number:,}{total_text}", style="bold")
        about = f"not bold {look['accent' if self._finding else 'muted']}"
        line.append(f"  {sanitize(self._finding or self._source, 80)}", style=about)
        if self._why:
            for part in wrap_text(self._why, max(20, self.size.width - 2), f"not bold {look['warning']}")[:3]:
                line.append("\n").append_text(part)
        elif row is not None and row.row != self._number:
            line.append(f"\nwaiting for it; below is row {row.row:,}", style=f"not bold {look['muted']}")
        elif row is not None:
            width = max(20, self.size.width - 2)
            for part in describe_row(row, width, look):
                line.append("\n").append_text(part)
        return line

    # -- keys -------------------------------------------------------------------------------------

    def label_key(self, key_id: str, label: str) -> str:
        """Show the keys of the examples only where there are some."""
        return "" if key_id in EXAMPLE_KEYS and len(self._examples) < 2 else label

    def action_back(self) -> None:
        """To the data."""
        self.dismiss()

    def action_data(self) -> None:
        """They are below."""
        self.dismiss()

    def _go_to(self, number: int) -> None:
        last = self._row.of if self._row is not None and self._row.of else None
        number = max(1, number if last is None else min(number, last))
        if number != self._number:
            self._number = number
            self.action_again()
            self.show()

    def action_row(self, by: int) -> None:
        """A row further or back."""
        self._go_to(self._number + by)

    def action_first(self) -> None:
        """The first row."""
        self._go_to(1)

    def action_neighbour(self, by: int) -> None:
        """The next example of the finding, or the one before."""
        later = [number for number in self._examples if (number - self._number) * by > 0]
        if later:
            self._go_to(min(later) if by > 0 else max(later))

    def action_page(self, by: int) -> None:
        """Up and down a long row."""
        box = self.query_one(VerticalScroll)
        box.scroll_relative(y=by * max(1, box.size.height - 2), animate=False)


def describe_row(row: DataRow, width: int, look: Palette) -> list[Text]:
    """Return how many tokens are kept and learnt, and what keeps the row from being trained on."""
    lines: list[Text] = []
    if row.why_none:
        lines += wrap_text(row.why_none, width, f"not bold {look['warning']}", "! ")[:2]
    if row.tokens:
        cut = f", cut at {row.tokens:,}" if row.is_cut else ""
        shortened_text = "; the text is not shown whole" if row.is_shortened else ""
        tokens_text = f"{row.tokens:,} tokens{cut}, {row.targets:,} of them learnt ‹so›{shortened_text}"
        notes = "".join(f"; {note}" for note in row.notes)
        lines.append(Text(sanitize(f"{tokens_text}{notes}", 300), style=f"not bold {look['muted']}"))
    return lines


def mark_row(row: DataRow, look: Palette) -> Text:
    """Return the row's text: learnt tokens in ‹…›, and those behind the cut apart."""
    text, characters_left = Text(overflow="fold"), LONGEST
    for piece in row.pieces:
        words = sanitize(piece.text[:characters_left], lines=True).replace("‹", "\\‹").replace("›", "\\›")
        characters_left -= len(words)
        if piece.kind == LEARNT:
            text.append("‹", style=f"bold {look['good']}")
            text.append(words, style=f"bold {look['good']}")
            text.append("›", style=f"bold {look['good']}")
        elif piece.kind == CUT:
            text.append("┆ cut here ┆", style=f"bold {look['warning']}")
            text.append(words, style=f"strike {look['muted']}")
        else:
            text.append(words)
        if characters_left <= 0:
            break
    return text
