"""The introspection screen: a trial's loss by token and its attention, compared with the base."""

from __future__ import annotations

from typing import cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.contract.wire.answers.introspection_answer import Insides
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.base.latest_query import Latest
from tui.introspection import layer_attention_table, token_loss_table
from tui.keys.evidence_key_groups import INTROSPECTION
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.widgets.cached_static import Sheet


class InsidesScreen(StudyScreen):
    """Pushed on top of the trial's detail."""

    KEYS = (INTROSPECTION,)
    TOPIC = "boards"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    InsidesScreen #title { height: auto; max-height: 6; padding: 0 1; background: $surface; }
    InsidesScreen #both { height: 1fr; layout: horizontal; }
    InsidesScreen #attention { width: 52%; height: 100%; }
    InsidesScreen #losses { width: 1fr; height: 100%; }
    InsidesScreen #parts { height: auto; max-height: 50%; }
    InsidesScreen #worst { height: 1fr; }
    InsidesScreen .box {
        border: round $border; border-title-color: $text-muted; border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    InsidesScreen VerticalScroll { scrollbar-size-vertical: 1; overflow-x: hidden; }
    InsidesScreen Sheet { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    InsidesScreen #title { text-wrap: wrap; }
    """

    def __init__(self, trial: int) -> None:
        super().__init__()
        self._number = trial
        self._answer: Insides | None = None
        self._why = "asking the engine …"
        self._asked: tuple[object, ...] = ()  # what was known of the trial when it was asked
        self._drawn: tuple[object, ...] = ()
        self._question = Latest(self._ask, self._take)

    @property
    def crumb(self) -> str:
        """The trial that it looks into."""
        return f"inside trial {self._number}"

    def compose(self) -> ComposeResult:
        """Title, the layers at the left, the losses at the right, footer."""
        yield Sheet(id="title")
        with Container(id="both"):
            with Vertical(id="attention", classes="box") as left:
                left.border_title = "attention: base → trial"
                yield Sheet(id="head")
                with VerticalScroll(id="layers", can_focus=False):
                    yield Sheet()
            with Vertical(id="losses"):
                with VerticalScroll(id="parts", classes="box", can_focus=False):
                    yield Sheet()
                with VerticalScroll(id="worst", classes="box", can_focus=False) as worst:
                    worst.border_title = "the largest losses, nats"
                    yield Sheet()
        yield KeyBar()

    def find_selected_trial(self) -> s.Trial | None:
        """The trial on the screen."""
        return self.study.trials.get(self._number) if self.study is not None else None

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        return cast("console_api.Answer | None", await self.console.engine.ask(request))

    def _take(self, answer: console_api.Answer | None, why: str) -> None:
        if not self.is_attached:
            return
        self._why = why
        if isinstance(answer, Insides):
            self._answer = answer
            self._why = answer.why_none
        self.show()

    def action_again(self) -> None:
        """Ask the engine again."""
        if self.study is not None:
            self._asked = self._make_moment()
            request = console_api.AskInsides(self.study.name, self._number)
            self.run_worker(self._question.send(request), group="insides", exit_on_error=False)

    def _make_moment(self) -> tuple[object, ...]:
        """Return the state that an answer depends on: evaluated, scored or ended."""
        trial = self.find_selected_trial()
        trial_state = (trial.state, trial.latest.get("eval/loss"), trial.scored_step) if trial else ()
        return (self._number, *trial_state)

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the answer if it changed; ask again if the trial has progressed."""
        if self._make_moment() != self._asked:
            self.action_again()
        self.query_one("#title", Sheet).draw(self._make_title())
        answer, look = self._answer, self.console.look
        is_complete = answer is not None and not answer.why_none
        self.query_one("#both").display = is_complete
        widths = tuple(self.query_one(box).scrollable_content_region.width for box in ("#layers", "#parts"))
        inputs = (answer, look, widths)
        if answer is None or not is_complete or inputs == self._drawn:
            return
        self._drawn = inputs
        self._draw_attention(answer, widths[0])
        self._draw_losses(answer, widths[1])
        if not all(widths):  # laid out in a moment
            self.call_after_refresh(self.show)

    def _draw_attention(self, answer: Insides, width: int) -> None:
        look = self.console.look
        head, rows = layer_attention_table.make_layers(answer.layers, max(20, width), look)
        if not answer.layers:
            why = sanitize(answer.why_no_attention, 600) or "no attention data"
            head, rows = Text("no data", style=look["muted"]), Text(why, style=look["muted"])
            self.query_one("#layers Sheet", Sheet).styles.text_wrap = "wrap"
        self.query_one("#head", Sheet).draw(head)
        self.query_one("#layers Sheet", Sheet).draw(rows)
        self.query_one("#attention").border_subtitle = layer_attention_table.LEGEND if answer.layers else ""

    def _draw_losses(self, answer: Insides, width: int) -> None:
        look = self.console.look
        self.query_one("#parts", VerticalScroll).border_title = "loss by kind: base → trial"
        self.query_one("#parts Sheet", Sheet).draw(
            token_loss_table.make_loss_shares(answer, max(20, width), look)
        )
        self.query_one("#worst Sheet", Sheet).draw(
            token_loss_table.make_worst_tokens(answer.worst, max(20, width), look)
        )

    def _make_title(self) -> Text:
        look, answer = self.console.look, self._answer
        line = self.draw_breadcrumbs()
        if answer is None or answer.why_none or self._why:
            line.append(f"\n{sanitize(self._why, 600)}", style=f"not bold {look['muted']}")
        if answer is None or answer.why_none:
            return line
        line.append(
            f"  at step {answer.step}, {answer.rows} rows, {answer.tokens} tokens",
            style="not bold",
        )
        if answer.warning:
            line.append(f"\n{sanitize(answer.warning, 600)}", style=f"not bold {look['warning']}")
        else:
            line.append(
                f"\nloss {answer.base_loss:.3f} → {answer.loss:.3f} nats/token; 10 % of the tokens account "
                f"for {100 * answer.base_top:.0f} → {100 * answer.top:.0f} % of it",
                style=f"not bold {look['muted']}",
            )
        return line

    # -- keys -------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """To the trial's detail."""
        self.dismiss()

    def action_neighbour(self, by: int) -> None:
        """The next or previous trial, as far as there is one."""
        number = self.find_neighbour(self._number, by)
        if number is not None and number != self._number:
            self._number, self._answer, self._why = number, None, "asking the engine …"
            self.show()

    def action_layer(self, by: int) -> None:
        """Up and down the layers, and the kinds of tokens, of which a low screen hides some."""
        for box in ("#layers", "#parts"):
            self.query_one(box).scroll_relative(y=by, animate=False)

    def action_page(self, by: int) -> None:
        """Up and down the tokens."""
        box = self.query_one("#worst")
        box.scroll_relative(y=by * max(1, box.size.height - 1), animate=False)
