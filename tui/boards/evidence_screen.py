"""The evidence screen: the worst samples behind a score, one at a time, sanitized."""

from __future__ import annotations

from typing import cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.views.metric_format import format_figure, format_score
from core.contract.views.metric_verdict import BASE, describe_metric
from core.contract.wire import console_api
from core.contract.wire.answers.evidence_answer import Evidence, Sample
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.base.latest_query import Latest
from tui.keys.evidence_key_groups import EVIDENCE
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.number_text import format_number
from tui.widgets.cached_static import Sheet

WIDE = 100  # columns from which the list stands next to the sample
LONGEST = 20_000  # characters of a prompt or an answer


class EvidenceScreen(StudyScreen):
    """Pushed on top of the boards: ``metric`` of ``trial``, of the base for BASE."""

    KEYS = (EVIDENCE,)
    TOPIC = "boards"
    CRUMB = "evidence"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    EvidenceScreen #title {
        height: 2; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    EvidenceScreen #both { height: 1fr; layout: vertical; }
    EvidenceScreen #list { height: 7; }
    EvidenceScreen #sample { height: 1fr; }
    EvidenceScreen #list, EvidenceScreen #sample {
        border: round $border; border-title-color: $text-muted; padding: 0 1;
        scrollbar-size-vertical: 1; overflow-x: hidden;
    }
    EvidenceScreen #list Sheet { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    EvidenceScreen #sample Static { width: 1fr; height: auto; }
    EvidenceScreen.wide #both { layout: horizontal; }
    EvidenceScreen.wide #list { width: 34%; height: 100%; }
    EvidenceScreen.wide #sample { width: 1fr; height: 100%; }
    """

    def __init__(self, trial: int, metric: str) -> None:
        super().__init__()
        self._number, self._metric = trial, metric
        self._evidence: Evidence | None = None
        self._why = "asking the engine …"
        self._place = 0
        self._drawn: tuple[object, ...] = ()
        self._question = Latest(self._ask, self._take)

    def compose(self) -> ComposeResult:
        """Title, the list of samples, the sample itself, footer."""
        yield Sheet(id="title")
        with Container(id="both"):
            with VerticalScroll(id="list", can_focus=False) as listed:
                listed.border_title = "the worst first"
                yield Sheet()
            with VerticalScroll(id="sample", can_focus=False):
                yield Static(markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        """Ask at once."""
        super().on_mount()
        self.action_again()

    def find_selected_trial(self) -> s.Trial | None:
        """The trial that the number is of."""
        return self.study.trials.get(self._number) if self.study is not None else None

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        return cast("console_api.Answer | None", await self.console.engine.ask(request))

    def _take(self, answer: console_api.Answer | None, why: str) -> None:
        if not self.is_attached:
            return
        self._why = why
        if isinstance(answer, Evidence):
            self._evidence = answer
            self._place = min(self._place, max(0, len(answer.samples) - 1))
            if not answer.samples:
                self._why = answer.why_none or "the engine has no samples for this score"
        self.show()

    # -- drawing ----------------------------------------------------------------------------------

    @property
    def _samples(self) -> tuple[Sample, ...]:
        return self._evidence.samples if self._evidence is not None else ()

    def draw(self) -> None:
        """Draw the samples; the same ones cost nothing."""
        self.set_class(self.size.width >= WIDE, "wide")
        self.query_one("#title", Sheet).draw(self._make_title())
        look = self.console.look
        inputs = (self._evidence, self._why, self._place, look, self.size)
        if inputs == self._drawn:
            return
        self._drawn = inputs
        self.query_one("#list").display = bool(self._samples)
        self.query_one("#list Sheet", Sheet).draw(self._list())
        self.query_one("#sample Static", Static).update(self._draw_sample())
        box = self.query_one("#sample", VerticalScroll)
        box.border_title = (
            f"sample {self._place + 1} of {len(self._samples)}" if self._samples else "no sample"
        )

    def _make_title(self) -> Text:
        look, metric, trial = self.console.look, describe_metric(self._metric), self.find_selected_trial()
        subject = "the base model" if self._number == BASE else f"trial {self._number}"
        line = self.draw_breadcrumbs()
        line.append(f"  {sanitize(metric.name, 40)} of {subject}", style="bold")
        study = self.study
        sample_note = (
            study.base_scores if self._number == BASE and study is not None else trial.scores if trial else {}
        )
        score = sample_note.get(self._metric)
        if score is not None:
            long, short = format_score(score, metric.unit), format_figure(score.value, metric.unit)
            line.append(f"  {long if line.cell_len + 2 + len(long) <= self.size.width - 2 else short}")
        of_step = (
            f"; samples of step {self._evidence.step}" if self._evidence is not None and self._samples else ""
        )
        below = Text(metric.meaning + of_step, style=look["muted"], no_wrap=True, overflow="ellipsis")
        if self._samples and self._why:
            below = Text(f"refresh failed: {sanitize(self._why, 200)}", style=look["warning"])
        return Text("\n", no_wrap=True, overflow="ellipsis").join([line, below])

    def _list(self) -> Text:
        look, rows, width = self.console.look, [], self.size.width
        room = max(12, (width * 34 // 100 if width >= WIDE else width) - 6)
        for place, sample in enumerate(self._samples):
            row = Text(
                f"{'▸' if place == self._place else ' '} {format_number(sample.score):>8}  ", no_wrap=True
            )
            row.append(sanitize(sample.note or sample.answer or sample.prompt, 120))
            row.truncate(room, overflow="ellipsis", pad=True)
            if place == self._place:
                row.stylize(f"bold {look.cursor}")
            rows.append(row)
        return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)

    def _draw_sample(self) -> Text:
        """Prompt, answer, score and note. Rich's Text holds them: no markup in them is obeyed."""
        look = self.console.look
        if not self._samples:
            return Text(sanitize(self._why, 600), style=look["muted"])
        sample, head = self._samples[self._place], f"bold {look['primary']}"
        sample_text = Text()
        for name, text in (("prompt", sample.prompt), ("answer", sample.answer)):
            sample_text.append(f"{name}\n", style=head)
            sample_text.append(f"{sanitize(text, LONGEST, lines=True)}\n\n" if text else "– (empty)\n\n")
        sample_text.append("score ", style=head)
        sample_text.append(format_number(sample.score), style="bold")
        if sample.note:
            sample_text.append("   note ", style=head)
            sample_text.append(sanitize(sample.note, 600))
        return sample_text

    # -- keys -------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """To the boards."""
        self.dismiss()

    def action_boards(self) -> None:
        """They are below."""
        self.dismiss()

    def action_again(self) -> None:
        """Ask the engine again."""
        if self.study is not None:
            request = console_api.AskEvidence(self.study.name, self._number, self._metric)
            self.run_worker(self._question.send(request), group="evidence", exit_on_error=False)

    def action_sample(self, by: int) -> None:
        """The next or previous sample, as far as there is one."""
        place = self._place + by
        if 0 <= place < len(self._samples):
            self._place = place
            self.query_one("#sample").scroll_to(y=0, animate=False)
            self.show()
            self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        box = self.query_one("#list", VerticalScroll)
        top, room = box.scroll_offset.y, max(1, box.size.height)
        if not top <= self._place < top + room:
            box.scroll_to(y=self._place - (0 if self._place < top else room - 1), animate=False)

    def action_page(self, by: int) -> None:
        """Up and down a long sample."""
        box = self.query_one("#sample")
        box.scroll_relative(y=by * max(1, box.size.height - 2), animate=False)
