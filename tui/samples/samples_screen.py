"""The samples screen: a trial answers a prompt as it trains, or two trials are compared blind."""

from __future__ import annotations

import random

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.timer import Timer

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire.sample_messages import BASE, AskPair, Choice, Pair, RateSamples
from core.errors import TrimtabError
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.kept_state import StateFile, find_home_folder
from tui.keys.key_declarations import EVERYWHERE
from tui.keys.key_definition import make_bindings
from tui.keys.sample_key_groups import SAMPLES
from tui.samples.answer_box import AnswerBox
from tui.samples.answer_stream import Answer, follow
from tui.samples.answer_titles import make_about_line, make_prompt_line, name_answers, name_pages, name_pair
from tui.samples.blind_rating_results import make_strength_lines, make_summary_line
from tui.samples.prompt_history import PromptHistory
from tui.samples.prompt_line import PromptLine, PromptTyped
from tui.samples.sample_settings import SEEDS, SampleSettings
from tui.widgets.cached_static import Sheet
from tui.widgets.focus_box import Box

NARROW = 70  # columns below which the answers stand above each other
LOW = 20  # lines below which the strengths are not listed
RATING_LINES = 6  # that are seen at once
NAMES_S = 3.0  # the names are shown after a rating for this long
RATE_KEYS = ("samples.left", "samples.tie", "samples.right")
PAIR_KEYS = (*RATE_KEYS, "samples.skip")
ONE_KEYS = ("samples.again", "samples.next", "samples.previous")
READ_ONLY = "This console only reads: asking takes time of the GPU. Open one without --read-only."


class SamplesScreen(StudyScreen):
    """Pushed on top of any screen; ``trial`` is asked first."""

    KEYS = (SAMPLES,)
    BAR = SAMPLES.footer
    CRUMB = "samples"
    TOPIC = "boards"
    AUTO_FOCUS = ""  # the prompt line has the keys only while a prompt is typed
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    SamplesScreen #title, SamplesScreen #about, SamplesScreen #prompt {
        height: 1; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    SamplesScreen #prompt { background: $panel; }
    SamplesScreen #answers { layout: horizontal; height: 1fr; }
    SamplesScreen.narrow #answers { layout: vertical; }
    """

    def __init__(self, trial: int | None = None) -> None:
        super().__init__()
        self._number = trial
        self._blind = self._with_base = False
        self._settings = SampleSettings()
        self._history = PromptHistory(StateFile(find_home_folder()))
        self._prompt = ""  # the latest, in blind pairs the one of this pair
        self._answers: list[Answer] = []
        self._pair: Pair | None = None
        self._choice = ""  # left, right or tie, once the pair is rated
        self._note = ""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Title, who answers and how, the prompt, the answers, the ratings, footer."""
        yield Sheet(id="title")
        yield Sheet(id="about")
        yield Sheet(id="prompt")
        yield PromptLine()
        with Container(id="answers"):
            yield AnswerBox(id="first", can_focus=False)
            yield AnswerBox(id="second", can_focus=False)
        yield Box("strength by blind ratings, log odds", id="ratings", can_focus=False)
        yield KeyBar()

    def on_unmount(self) -> None:
        """Have nothing generated that is not read."""
        self._cancel()

    def find_selected_trial(self) -> s.Trial | None:
        """Return the trial that is asked; in a blind pair there is none to be named."""
        if self.study is None or self._blind:
            return None
        if self._number not in self.study.trials:
            running = [trial for trial in self.study.trials.values() if trial.state == s.RUNNING]
            self._number = next((trial.number for trial in (*running, *self.study.trials.values())), None)
        return self.study.trials.get(self._number) if self._number is not None else None

    # -- asking -----------------------------------------------------------------------------------

    def _follow_all(self, trials: list[int], prompt: str) -> None:
        """Ask ``trials`` for their answers to a prompt; empty: to a validation row."""
        self._cancel()
        assert self.study is not None
        self._prompt = prompt
        requests = self._settings.make_requests(self.study.name, trials, prompt)
        self._answers = [Answer(request) for request in requests]
        for answer in self._answers:
            work = follow(answer, self.console.engine.ask, self.show)
            self.run_worker(work, group="answers", exit_on_error=False)
        self.show()

    def _cancel(self) -> bool:
        """Cancel the answers that are still open; return whether there were any."""
        open_answers = [answer for answer in self._answers if answer.is_open]
        for answer in open_answers:
            if (request := answer.cancel()) is not None:
                self.console.ask(request)
        return bool(open_answers)

    def _ask_trial(self, prompt: str) -> None:
        """Ask the selected trial, and the base where that is wanted."""
        trial = self.find_selected_trial()
        if trial is not None:
            self._follow_all([trial.number, *([BASE] if self._with_base else [])], prompt)

    def _may_act(self) -> bool:
        if self.console.engine.read_only:
            self.console.say(READ_ONLY)
        return self.study is not None and not self.console.engine.read_only

    # -- blind pairs ------------------------------------------------------------------------------

    def _begin_pair(self) -> None:
        """Choose two trials and a prompt, and ask both."""
        self._cancel()
        self._stop_timer()
        self._pair, self._choice, self._answers, self._prompt = None, "", [], ""
        if self.study is None or not self._blind or self.console.engine.read_only:
            self.show()
            return
        prompts = self._history.list_prompts(self.study.name)
        if self._settings.source == "typed" and not prompts:
            self._note = "Enter types a first prompt; F takes the prompts of validation rows."
            self.show()
            return
        prompt = random.choice(prompts) if self._settings.source == "typed" else ""
        self._note = "choosing two trials …"
        work = self._choose_pair(self.study.name, prompt)
        self.run_worker(work, group="pair", exclusive=True, exit_on_error=False)
        self.show()

    async def _choose_pair(self, study: str, prompt: str) -> None:
        try:
            pair = await self.console.engine.ask(
                AskPair(study, random.randrange(SEEDS), self._settings.base_in_pairs)
            )
            self._note = "" if isinstance(pair, Pair) else "the engine gave no pair: it may be older"
        except TrimtabError as error:
            pair, first = None, error.problems[0]
            self._note = f"{first.what}\n→ {first.fix}" if first.fix else first.what
        if isinstance(pair, Pair) and self._blind and self.study is not None and self.study.name == study:
            self._pair = pair
            self._follow_all([pair.left, pair.right], prompt)
        self.show()

    async def _send_rating(self, pair: Pair, choice: Choice) -> None:
        assert self.study is not None
        prompt = self._answers[0].prompt
        request = RateSamples(self.study.name, pair.left, pair.right, choice, prompt, pair.drawn)
        try:
            await self.console.engine.ask(request)
        except TrimtabError as error:
            self.console.say(f"not rated: {error.problems[0].what}")
            return
        self._timer = self.set_timer(NAMES_S, self._begin_pair)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = None

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw what has come since."""
        study, look = self.study, self.console.look
        self.set_class(self.size.width < NARROW, "narrow")
        self.query_one("#title", Sheet).draw(self._make_title())
        asker = self.find_selected_trial() if not self._blind else None
        about = make_about_line(asker, self._pair if self._choice else None, self.size.width >= NARROW, look)
        self.query_one("#about", Sheet).draw(
            about.append(self._settings.describe(self._blind), look["muted"])
        )
        self.query_one("#prompt", Sheet).draw(make_prompt_line(self._prompt, self._answers, look))
        self._draw_answers()
        box = self.query_one("#ratings", Box)
        box.display = study is not None and (self._blind or bool(study.ratings))
        if study is not None and box.display:
            lines = make_strength_lines(study, box.room, look) if self.size.height >= LOW else []
            box.styles.height = 2 + min(RATING_LINES, 1 + len(lines))
            box.write([make_summary_line(study, look), *lines])

    def _draw_answers(self) -> None:
        look, boxes = self.console.look, list(self.query(AnswerBox))
        boxes[1].display = self._blind or self._with_base
        titles = self._make_titles()
        hint = READ_ONLY if self.console.engine.read_only else self._note or self._make_hint()
        fix = "↓ draws the next pair" if self._blind else ""
        for place, box in enumerate(boxes):
            answer = self._answers[place] if place < len(self._answers) else None
            box.show_answer(titles[place], answer, hint if place == 0 else "", look, fix)

    def _make_hint(self) -> str:
        trial = self.find_selected_trial()
        trial_name = f"trial {trial.number}" if trial is not None else "a trial"
        return "" if self._blind else f"Enter asks {trial_name}; Tab compares two trials without their names."

    def _make_titles(self) -> tuple[str, str]:
        if self._blind:
            return name_pair(self._pair, self._choice, self._answers)
        trial = self.find_selected_trial()
        return name_answers(trial.number if trial is not None else None, self._answers)

    def _make_title(self) -> Text:
        look, engine = self.console.look, self.console.engine
        line = self.draw_breadcrumbs().append_text(name_pages(self._blind, look))
        line.append("   read-only" if engine.read_only else "", style=look["warning"])
        line.append(f"   {sanitize(engine.away, 120)}" if engine.away else "", style=f"bold {look['error']}")
        return line

    # -- keys -------------------------------------------------------------------------------------

    def label_key(self, key_id: str, label: str) -> str:
        """Show the keys of the page, and what Esc does now."""
        if key_id == "samples.back":
            return "cancel" if any(answer.is_open for answer in self._answers) else label
        if key_id == "samples.page":
            return "one trial" if self._blind else "blind pairs"
        hidden = ONE_KEYS if self._blind else PAIR_KEYS
        acts = key_id not in hidden and not self.console.engine.read_only
        return label if acts and (key_id not in RATE_KEYS or self._may_rate()) else ""

    def action_back(self) -> None:
        """Cancel what is being answered, or go back to where you came from."""
        if self._cancel():
            self.show()
        else:
            self.dismiss()

    def action_ask(self) -> None:
        """Type a prompt."""
        if self._may_act():
            assert self.study is not None
            trial = self.find_selected_trial()
            trial_name = f"trial {trial.number}" if trial is not None else "both"
            line = self.query_one(PromptLine)
            line.open(
                self._history.list_prompts(self.study.name),
                f"ask {trial_name} …  Enter asks, ↑ earlier prompts",
            )
            self.query_one("#prompt").display = False

    def on_prompt_typed(self, message: PromptTyped) -> None:
        """Ask what was typed."""
        self.query_one("#prompt").display = True
        if message.prompt and self.study is not None:
            self._history.add(self.study.name, message.prompt)
            if not self._blind:
                self._ask_trial(message.prompt)
            elif self._pair is not None and not self._choice:
                self._follow_all([self._pair.left, self._pair.right], message.prompt)
            else:
                self._begin_pair()
        self.show()

    def action_again(self) -> None:
        """Ask again: the same prompt, or that of another row."""
        if self._blind or not self._may_act():
            return
        assert self.study is not None
        rows = self._settings.source == "rows"
        prompts = self._history.list_prompts(self.study.name)
        prompt = "" if rows else self._prompt or (prompts[-1] if prompts else "")
        if prompt or rows:
            self._ask_trial(prompt)
        else:
            self.action_ask()

    def action_page(self) -> None:
        """Blind pairs, or one trial."""
        self._cancel()
        self._blind = not self._blind
        self._answers, self._note, self._prompt = [], "", ""
        self._begin_pair()

    def action_rate(self, choice: Choice) -> None:
        """Rate the pair; after a rating go on at once."""
        if not self._blind or not self._may_act():
            return
        if self._choice:
            self._begin_pair()
        elif self._may_rate():
            assert self._pair is not None
            self._choice = choice
            self.run_worker(self._send_rating(self._pair, choice), group="rating", exit_on_error=False)
            self.show()
        else:
            self.console.say("rate when both have answered; ↓ takes the next pair")

    def _may_rate(self) -> bool:
        """Whether both of a pair have answered and no rating was given."""
        is_complete = all(answer.stage == "done" for answer in self._answers)
        return self._pair is not None and not self._choice and bool(self._answers) and is_complete

    def action_skip(self) -> None:
        """Take the next pair."""
        if self._blind and self._may_act():
            self._begin_pair()

    def action_base(self) -> None:
        """Show or hide the base's answer; in blind pairs, choose the base among the trials, or trials
        alone."""
        if self._blind:
            self._settings = self._settings.change("base_in_pairs")
            self._begin_pair()
            return
        self._with_base = not self._with_base
        if self._with_base and self._prompt and self._may_act():
            self._ask_trial(self._prompt)
        self.show()

    def action_neighbour(self, by: int) -> None:
        """Ask another trial."""
        if not self._blind:
            self._cancel()
            self._number, self._answers = self.find_neighbour(self._number, by), []
            self.show()

    def action_change(self, name: str) -> None:
        """The next value of a setting; answers under way keep theirs."""
        self._settings = self._settings.change(name)
        if name == "source" and self._blind and self._pair is None:
            self._begin_pair()
        self.show()

    def action_scroll(self, by: int) -> None:
        """Up and down the answers."""
        for box in self.query(AnswerBox):
            box.scroll_relative(y=by * max(1, box.size.height - 3), animate=False)
