"""The report card screen: what the scores of a trial show about safety and security, and what not."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views import report_card
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.keys.evidence_key_groups import REPORT_CARD
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.theme_colors import Palette
from tui.widgets.cached_static import Sheet
from tui.widgets.text_wrapping import wrap_text

INDENT = "    "
MARKS = {"shown": ("✓", "good"), "broken": ("✗", "error"), "not shown": ("–", "muted")}
HEADS = {
    "broken": "broken (the samples show the opposite)",
    "shown": "shown",
    "not shown": "not shown (the samples allow no such claim)",
}


class ReportCardScreen(StudyScreen):
    """Pushed on top of the boards, for ``trial``."""

    KEYS = (REPORT_CARD,)
    TOPIC = "boards"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    ReportCardScreen #title { height: 1; padding: 0 1; background: $surface; text-style: bold; }
    ReportCardScreen VerticalScroll { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    ReportCardScreen VerticalScroll Sheet { width: 1fr; height: auto; }
    """

    def __init__(self, trial: int) -> None:
        super().__init__()
        self._number = trial

    @property
    def crumb(self) -> str:
        """The trial that it is about."""
        return f"report card of trial {self._number}"

    def compose(self) -> ComposeResult:
        """Title, the claims, footer."""
        yield Sheet(id="title")
        with VerticalScroll(can_focus=False):
            yield Sheet()
        yield KeyBar()

    def find_selected_trial(self) -> s.Trial | None:
        """The trial on the screen."""
        return self.study.trials.get(self._number) if self.study is not None else None

    def draw(self) -> None:
        """Draw the claims; the same text costs nothing."""
        study, trial, look = self.study, self.find_selected_trial(), self.console.look
        self.query_one("#title", Sheet).draw(self.draw_breadcrumbs(alone=True))
        body = self.query_one("VerticalScroll Sheet", Sheet)
        width = max(20, self.query_one(VerticalScroll).scrollable_content_region.width or self.size.width - 3)
        if study is None or trial is None:
            body.draw(Text("no such trial", style=look["muted"]))
            return
        body.draw(Text("\n").join(make_card_lines(study, trial, width, look)))

    def action_back(self) -> None:
        """To the boards."""
        self.dismiss()

    def action_boards(self) -> None:
        """They are below."""
        self.dismiss()

    def action_page(self, by: int) -> None:
        """Up and down a long card."""
        box = self.query_one(VerticalScroll)
        box.scroll_relative(y=by * max(1, box.size.height - 2), animate=False)

    def action_line(self, by: int) -> None:
        """Up and down by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def make_card_lines(study: s.Study, trial: s.Trial, width: int, look: Palette) -> list[Text]:
    """The lines of the card in ``width`` cells."""
    claims = report_card.list_claims(study, trial)
    lines: list[Text] = []
    for verdict, head in HEADS.items():
        own = [claim for claim in claims if claim.verdict == verdict]
        if not own:
            continue
        lines.append(Text(f"{head}: {len(own)}", style=f"bold {look['primary']}"))
        for claim in own:
            lines += _draw_claim(claim, width, look)
        lines.append(Text())
    lines.append(Text("not examined", style=f"bold {look['primary']}"))
    for text in report_card.list_unexamined(study, trial):
        lines += wrap_text(text, width, look["muted"], "– ")
    return lines


def _draw_claim(claim: report_card.Claim, width: int, look: Palette) -> list[Text]:
    mark, meaning = ("?", "warning") if claim.doubtful else MARKS[claim.verdict]
    line = Text(f"{mark} ", style=look[meaning] if meaning else "", no_wrap=True)
    line.append(f"{sanitize(claim.metric, 40)} ", style="bold")
    line.append(claim.text, style=look[meaning] if meaning else "")
    return [
        line,
        *wrap_text(sanitize(claim.basis, 400), width, "", INDENT),
        *wrap_text(claim.how, width, look["muted"], INDENT),
    ]
