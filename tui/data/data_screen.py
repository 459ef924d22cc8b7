"""The data screen: how the rows of a study are read, what the checks found in them, and the mixture's
balance."""

from __future__ import annotations

from typing import cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.contract.wire.answers.data_messages import MIXTURE, DataReview
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.data import entry_detail, finding_entries, mixture_balance
from tui.data.finding_entries import Entry
from tui.data.review_follower import follow_review
from tui.data.rows_screen import RowsScreen
from tui.keys.data_key_groups import DATA
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.number_text import format_duration
from tui.widgets.cached_static import Sheet
from tui.widgets.text_wrapping import wrap_text

WIDE = 100  # columns from which the details stand next to the list
MINUTE_S = 60


class DataScreen(StudyScreen):
    """Pushed on top of any screen; ``trial`` is the one whose mixture is shown."""

    KEYS = (DATA,)
    BAR = DATA.footer
    CRUMB = "data"
    TOPIC = "study-file"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    DataScreen #title {
        height: auto; max-height: 4; padding: 0 1; background: $surface;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    DataScreen #both { height: 1fr; layout: vertical; }
    DataScreen #list { height: 45%; min-height: 3; }
    DataScreen #detail { height: 1fr; border-top: solid $border; }
    DataScreen #list, DataScreen #detail { padding: 0 1; scrollbar-size-vertical: 1; overflow-x: hidden; }
    DataScreen VerticalScroll Sheet {
        width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis;
    }
    DataScreen.wide #both { layout: horizontal; }
    DataScreen.wide #list { width: 46%; height: 100%; }
    DataScreen.wide #detail { width: 1fr; height: 100%; border-top: none; border-left: solid $border; }
    """

    def __init__(self, trial: int | None = None) -> None:
        super().__init__()
        self._number = trial
        self._review: DataReview | None = None
        self._stage, self._why = "asking the engine …", ""
        self._asked = ""  # the study whose review was asked for
        self._place = 0

    def compose(self) -> ComposeResult:
        """Title, the sources and findings, the details of the chosen one, footer."""
        yield Sheet(id="title")
        with Container(id="both"):
            with VerticalScroll(id="list", can_focus=False):
                yield Sheet()
            with VerticalScroll(id="detail", can_focus=False):
                yield Sheet()
        yield KeyBar()

    def find_selected_trial(self) -> s.Trial | None:
        """Return the trial whose mixture is shown: the given one, else one that trains."""
        if self.study is None:
            return None
        if self._number not in self.study.trials:
            running = [trial for trial in self.study.trials.values() if trial.state == s.RUNNING]
            self._number = next((trial.number for trial in (*running, *self.study.trials.values())), None)
        return self.study.trials.get(self._number) if self._number is not None else None

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        return cast("console_api.Answer | None", await self.console.engine.ask(request))

    def _take(self, review: DataReview | None, why: str) -> None:
        if not self.is_attached:
            return
        self._why = why or (review.why_none if review is not None else "")
        self._stage = review.stage if review is not None and not review.is_done else ""
        if review is not None and review.is_done and not review.why_none:
            self._review = review
        self.show()

    def _follow(self, again: bool) -> None:
        if self.study is None:
            return
        if self._asked != self.study.name:
            self._review, self._place = None, 0
        self._asked, self._why, self._stage = self.study.name, "", "asking the engine …"
        work = follow_review(self.study.name, again, self._ask, self._take)
        self.run_worker(work, group="review", exclusive=True, exit_on_error=False)

    def action_again(self) -> None:
        """Have the rows checked again."""
        self._follow(again=True)
        self.show()

    # -- drawing ----------------------------------------------------------------------------------

    @property
    def _entries(self) -> list[Entry]:
        return finding_entries.list_entries(self.study.settings.data, self._review) if self.study else []

    @property
    def _chosen(self) -> Entry | None:
        entries = self._entries
        return entries[max(0, min(self._place, len(entries) - 1))] if entries else None

    def draw(self) -> None:
        """Draw what is known; the same texts cost nothing."""
        if self.study is not None and self._asked != self.study.name:
            self._follow(again=False)
        self.set_class(self.size.width >= WIDE, "wide")
        self.query_one("#title", Sheet).draw(self._make_title())
        self.query_one("#list Sheet", Sheet).draw(self._list())
        self.query_one("#detail Sheet", Sheet).draw(self._draw_detail())

    def _measure_width(self, box: str) -> int:
        return max(16, self.query_one(box).scrollable_content_region.width)

    def _make_title(self) -> Text:
        look, review, line = self.console.look, self._review, self.draw_breadcrumbs()
        if review is not None:
            findings = [finding for source in review.sources for finding in source.findings]
            checked = any(not source.why_not for source in review.sources)
            counts = finding_entries.count_words(findings) or (
                "nothing found" if checked else "nothing checked"
            )
            line.append(f"  {counts}", style="not bold")
            age = f"  checked {self._describe_age(review)}" if checked else ""
            line.append(age, style=f"not bold {look['muted']}")
        if self._why:
            for part in wrap_text(
                self._why, max(20, self.size.width - 2), f"not bold {look['warning']}", "! "
            )[:3]:
                line.append("\n").append_text(part)
        elif self._stage:
            line.append(f"\n{sanitize(self._stage, 200)}", style=f"not bold {look['accent']}")
        return line

    def _describe_age(self, review: DataReview) -> str:
        """Return how long ago it was; within an hour in minutes, so that a slow line is not kept busy."""
        seconds = max(0.0, self.console.now() - review.checked_at)
        if seconds < MINUTE_S:
            return "just now"
        return f"{format_duration(seconds // MINUTE_S * MINUTE_S).removesuffix('00s')} ago"

    def _list(self) -> Text:
        width, look = self._measure_width("#list"), self.console.look
        entries, balance = self._entries, self._describe_balance()
        chosen = max(0, min(self._place, len(entries) - 1))
        lines = [
            finding_entries.make_entry_line(entry, width, place == chosen, balance, look)
            for place, entry in enumerate(entries)
        ]
        lines = lines or [Text("no study", style=look["muted"])]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)

    def _describe_balance(self) -> str:
        if self.study is None or not self.study.settings.data.mixture:
            return ""
        trial = self.find_selected_trial()
        return mixture_balance.sum_up(mixture_balance.list_shares(self.study, trial), trial)

    def _draw_detail(self) -> Text:
        entry, study, look, width = (
            self._chosen,
            self.study,
            self.console.look,
            self._measure_width("#detail"),
        )
        if entry is None or study is None:
            return Text()
        if entry.source is None:
            trial = self.find_selected_trial()
            shares = mixture_balance.list_shares(study, trial)
            return mixture_balance.draw_balance(shares, trial, study, width, look)
        if entry.finding is not None:
            return entry_detail.describe_finding(entry.finding, width, look)
        if entry.absent:
            return entry_detail.describe_absent(entry.absent, width, look)
        review = self._review or DataReview()
        return entry_detail.describe_source(entry.source, review, (width, self.size.height), look)

    # -- keys -------------------------------------------------------------------------------------

    def label_key(self, key_id: str, label: str) -> str:
        """Show only the keys that do something with the chosen entry."""
        if key_id == "data.rows":
            return label if self._find_opened() is not None else ""
        if key_id == "data.next":
            return label if self.study is not None and self.study.settings.data.mixture else ""
        return label

    def _find_opened(self) -> RowsScreen | None:
        """Return the screen of the rows of the chosen entry; None for the mixture."""
        entry = self._chosen
        if entry is None or entry.source is None or entry.source.key == MIXTURE:
            return None
        examples = entry.finding.examples if entry.finding is not None else ()
        numbers = tuple(example.row for example in examples if example.row > 0)
        name = entry.finding.name if entry.finding is not None and numbers else ""
        return RowsScreen(entry.source.key, entry.source.rows, numbers, name)

    def action_rows(self) -> None:
        """Open the rows of the source, or the examples of the finding."""
        screen = self._find_opened()
        if screen is not None:
            self.app.push_screen(screen)

    def action_back(self) -> None:
        """To where you came from."""
        self.dismiss()

    def action_data(self) -> None:
        """It is this screen."""
        self.dismiss()

    def action_neighbour(self, by: int) -> None:
        """The next or previous trial, as far as there is one."""
        self.find_selected_trial()
        self._number = self.find_neighbour(self._number, by)
        self.show()

    def action_move(self, by: int) -> None:
        """The next or previous entry, as far as there is one."""
        place = max(0, min(self._place + by, len(self._entries) - 1))
        if place != self._place:
            self._place = place
            self.query_one("#detail").scroll_to(y=0, animate=False)
            self.show()
            self._keep_in_sight()

    def action_edge(self, end: int) -> None:
        """The first or the last entry."""
        self.action_move(end * len(self._entries))

    def _keep_in_sight(self) -> None:
        box = self.query_one("#list", VerticalScroll)
        top, room = box.scroll_offset.y, max(1, box.size.height)
        if not top <= self._place < top + room:
            box.scroll_to(y=self._place - (0 if self._place < top else room - 1), animate=False)

    def action_page(self, by: int) -> None:
        """Up and down the details."""
        box = self.query_one("#detail")
        box.scroll_relative(y=by * max(1, box.size.height - 2), animate=False)
