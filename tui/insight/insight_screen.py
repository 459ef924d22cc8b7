"""The insight screen: history, importance and further pages on the study's search."""

from __future__ import annotations

import time
from typing import cast

from msgspec.structs import replace
from rich.text import Text
from textual.app import ComposeResult

from core.contract.state import best_and_counts
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire import console_api
from core.contract.wire.search_state import METHODS, Importance, SearchState
from tui.base.base_screen import StudyScreen
from tui.base.key_bar import KeyBar
from tui.base.latest_query import Latest
from tui.insight import (
    contour_page,
    history_page,
    importance_page,
    parallel_page,
    pareto_page,
    sampler_page,
    slice_page,
    stopped_page,
)
from tui.insight.page_context import View, describe_wish, format_value
from tui.keys.key_declarations import EVERYWHERE, INSIGHT
from tui.keys.key_definition import make_bindings
from tui.number_text import GLYPHS
from tui.trial.trial_screen import DetailScreen
from tui.widgets.cached_static import Sheet

PAGES = (
    history_page.PAGE, importance_page.PAGE, slice_page.PAGE, contour_page.PAGE, parallel_page.PAGE,
    pareto_page.PAGE, stopped_page.PAGE, sampler_page.PAGE,
)  # fmt: skip
OF_ALL = (importance_page.PAGE, stopped_page.PAGE, sampler_page.PAGE)  # show all trials always
AGAIN_S = 5.0  # before a question that was not answered is asked again


class InsightScreen(StudyScreen):
    """Pushed on top of any other. ``trial`` is where the cursor begins."""

    KEYS = (INSIGHT,)
    TOPIC = "search"
    CRUMB = "insight"
    BINDINGS = make_bindings(*KEYS, EVERYWHERE)
    DEFAULT_CSS = """
    InsightScreen #title {
        height: 2; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    InsightScreen #page { height: 1fr; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    InsightScreen #foot {
        height: 2; padding: 0 1; background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, trial: int | None) -> None:
        super().__init__()
        self._focus = trial
        self._page = 0
        self._results_only = False  # trials that were stopped early are hidden
        self._choices: dict[str, int] = {}  # by what is chosen from: knobs are the same on several pages
        self._objective, self._method = 0, 0
        self._drawn: tuple[object, ...] = ()
        self._importance: Importance | None = None
        self._search: SearchState | None = None
        self._whys = {"importance": "", "search": ""}
        self._asked: dict[str, tuple[object, ...]] = {}
        self._failed: dict[str, float] = {}
        self._questions = {
            "importance": Latest(self._ask, self._take_importance),
            "search": Latest(self._ask, self._take_search),
        }

    def compose(self) -> ComposeResult:
        """Title with the pages' names, the page, the trial under the cursor, footer."""
        yield Sheet(id="title")
        yield Sheet(id="page")
        yield Sheet(id="foot")
        yield KeyBar()

    def find_selected_trial(self) -> s.Trial | None:
        """The trial under the cursor."""
        return (
            self.study.trials.get(self._focus) if self.study is not None and self._focus is not None else None
        )

    # -- drawing ----------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the page; only trials that end change it."""
        study = self.study
        self._request_answers()
        inputs = (
            study.name if study is not None else "",
            best_and_counts.count_ended(study) if study is not None else 0,
            self._page, tuple(self._choices.items()), self._focus, self._objective, self._importance,
            self._search, tuple(self._whys.values()), self.console.look, self.size,
            self.query_one("#page", Sheet).size, self._results_only,
            self.console.engine.away, self.console.engine.attached,
        )  # fmt: skip
        if inputs == self._drawn:
            return
        self._drawn = inputs
        self.query_one("#title", Sheet).draw(self._make_title())
        if study is None:
            words = "no study yet: `trimtab run SPEC` starts one"
            self.query_one("#page", Sheet).draw(
                Text(words if self.console.engine.attached else "attaching to the engine …")
            )
            return
        self._objective = min(self._objective, len(study.objectives) - 1)
        view = self._make_view(study)
        lines = PAGES[self._page].lines(view)[: max(1, view.height)]
        self.query_one("#page", Sheet).draw(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))
        self.query_one("#foot", Sheet).draw(self._make_foot(view))

    def _make_view(self, study: s.Study) -> View:
        page = self.query_one("#page", Sheet)
        asks = PAGES[self._page].asks
        if self._results_only and PAGES[self._page] not in OF_ALL:
            results = {number: trial for number, trial in study.trials.items() if trial.state == s.COMPLETE}
            study = replace(study, trials=results)
        return View(
            study, self.console.look, max(20, page.size.width), max(6, page.size.height),
            self._objective, self._find_choice(study), self._focus, self._importance, self._search,
            self._whys.get(asks, ""),
        )  # fmt: skip

    def _find_kind(self) -> str:
        return "pair" if PAGES[self._page] is contour_page.PAGE else "knob"

    def _find_choice(self, study: s.Study) -> int:
        """Which of the page's choices; 0 where there is none any more."""
        chosen = self._choices.get(self._find_kind(), 0)
        return chosen if chosen < len(PAGES[self._page].choices(study)) else 0

    def _make_title(self) -> Text:
        look, study, away = self.console.look, self.study, self.console.engine.away
        line = self.draw_breadcrumbs()
        if away:
            line.append(f"  {sanitize(away, 120)}", style=f"bold {look['error']}")
        elif study is not None:
            if self._results_only and PAGES[self._page] not in OF_ALL:
                line.append("  results only (A)", style=look["warning"])
            metric, direction = study.objectives[min(self._objective, len(study.objectives) - 1)]
            line.append(
                f"  {best_and_counts.count_ended(study)} of {study.total_trials} trials ended; ",
                style=look["muted"],
            )
            line.append(f"{sanitize(metric, 40)}, {describe_wish(direction)}", style=look["muted"])
        tabs = Text(no_wrap=True, overflow="ellipsis")
        for place, page in enumerate(PAGES):
            is_current = place == self._page
            tabs.append(f" {page.name} ", style=f"bold {look.cursor}" if is_current else look["muted"])
        return Text("\n", no_wrap=True, overflow="ellipsis").join([line, tabs])

    def _make_foot(self, view: View) -> Text:
        """The trial under the cursor: its value, why it ended, its knobs."""
        look, trial = view.look, self.find_selected_trial()
        choices = PAGES[self._page].choices(view.study)
        first, second = Text(no_wrap=True, overflow="ellipsis"), Text(no_wrap=True, overflow="ellipsis")
        if choices:
            first.append(
                f"↑↓ {choices[view.choice]} ({view.choice + 1} of {len(choices)})   ", style=look["accent"]
            )
        if trial is None:
            first.append("←→ choose a trial", style=look["muted"])
            return Text("\n", no_wrap=True, overflow="ellipsis").join([first, second])
        first.append(f"trial {trial.number} ", style="bold")
        first.append(f"{GLYPHS[trial.state]} {trial.state}  ", style=look[trial.state])
        result = best_and_counts.find_objective_value(view.study, trial, view.objective)
        first.append(f"{view.metric} {format_value(result)}  ")
        early = trial.state in s.ENDED and trial.state != s.COMPLETE
        if early:
            first.append(f"at step {trial.step}  ", style=look["muted"])
        reason_line = first if early and trial.why else second
        reason_line.append(pareto_page.format_params(view.study, trial), style=look["info"])
        if reason_line is first:
            second.append(sanitize(trial.why, 300), style=look["muted"])
        return Text("\n", no_wrap=True, overflow="ellipsis").join([first, second])

    # -- asking -----------------------------------------------------------------------------------

    async def _ask(self, request: console_api.AnyRequest) -> console_api.Answer | None:
        return cast("console_api.Answer | None", await self.console.engine.ask(request))

    def _request_answers(self) -> None:
        """Ask what the page shows of the engine's, again when trials have ended; one question at a time."""
        asks, study = PAGES[self._page].asks, self.study
        if not asks or study is None or not self.is_current or self._questions[asks].busy:
            return
        request: console_api.AnyRequest = console_api.AskSearch(study.name)
        if asks == "importance":
            objective = min(self._objective, len(study.objectives) - 1)
            request = console_api.AskImportance(study.name, METHODS[self._method], objective)
        request_key = (request, best_and_counts.count_ended(study))
        rests = time.monotonic() - self._failed.get(asks, -AGAIN_S) < AGAIN_S
        if rests or (self._asked.get(asks) == request_key and not self._whys[asks]):
            return
        if asks in self._asked and self._asked[asks][0] != request:
            self._forget(asks)
        self._asked[asks] = request_key
        self.run_worker(self._questions[asks].send(request), group=asks, exit_on_error=False)

    def _forget(self, asks: str) -> None:
        """Another method, objective or study: what was answered is of something else."""
        if asks == "importance":
            self._importance = None
        else:
            self._search = None

    def _take_importance(self, answer: console_api.Answer | None, why: str) -> None:
        if isinstance(answer, Importance):
            self._importance = answer
        self._note_answer("importance", why)

    def _take_search(self, answer: console_api.Answer | None, why: str) -> None:
        if isinstance(answer, SearchState):
            self._search = answer
        self._note_answer("search", why)

    def _note_answer(self, asks: str, why: str) -> None:
        self._whys[asks] = sanitize(f"no answer: {why}", 300) if why else ""
        if why:
            self._failed[asks] = time.monotonic()
        if self.is_attached:
            self.show()

    # -- keys -------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Return to the previous screen."""
        self.dismiss()

    def action_insight(self) -> None:
        """Do nothing: the insight screen is already open."""

    def action_page(self, by: int) -> None:
        """The next or previous page, round and round."""
        self._page = (self._page + by) % len(PAGES)
        self.show()

    def action_choose(self, by: int) -> None:
        """Another knob or pair; a trial where the page has nothing to choose from."""
        study = self.study
        if study is None:
            return
        choices = PAGES[self._page].choices(study)
        if not choices:
            self.action_trial(by)
            return
        self._choices[self._find_kind()] = (self._find_choice(study) + by) % len(choices)
        self.show()

    def action_trial(self, by: int) -> None:
        """The next or previous trial in the page's order."""
        study = self.study
        if study is None:
            return
        order = PAGES[self._page].trials(self._make_view(study))
        if not order:
            return
        place = order.index(self._focus) + by if self._focus in order else (0 if by > 0 else len(order) - 1)
        self._focus = order[max(0, min(len(order) - 1, place))]
        self.show()

    def action_open(self) -> None:
        """The trial under the cursor, large."""
        trial = self.find_selected_trial()
        if trial is None:
            self.console.say("no trial is chosen: ← → choose one")
        else:
            self.app.push_screen(DetailScreen(trial.number))

    def action_objective(self) -> None:
        """The next objective."""
        study = self.study
        if study is None or len(study.objectives) < 2:
            self.console.say("the study has one objective")
            return
        self._objective = (self._objective + 1) % len(study.objectives)
        self.show()

    def action_all(self) -> None:
        """Show or hide the trials that were stopped early."""
        self._results_only = not self._results_only
        self.console.say("trials stopped early are hidden" if self._results_only else "all ended trials")
        self.show()

    def action_method(self) -> None:
        """PED-ANOVA or fANOVA."""
        self._method = (self._method + 1) % len(METHODS)
        self._page = PAGES.index(importance_page.PAGE)
        self._failed.pop("importance", None)
        self.show()
