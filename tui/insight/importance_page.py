"""The importance page: how much each knob matters, by the importance that Optuna computes. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from core.contract.views.knob_axes import list_axes
from core.contract.wire.search_state import Importance
from tui.insight.page_context import Page, View, list_knobs
from tui.number_text import draw_bar, format_percent
from tui.widgets.xy_plot import pad

NAMES = {"ped-anova": "PED-ANOVA", "fanova": "fANOVA"}


def draw_shares(view: View) -> list[Text]:
    """A bar for each knob, and what they rest on."""
    look, importance = view.look, view.importance
    if importance is None:
        return [Text(view.why or "asking the engine which knobs matter …", style=look["muted"], no_wrap=True)]
    name = NAMES.get(importance.method, sanitize(importance.method, 20))
    head = Text(
        f"{name}: shares {sanitize(importance.asks, 100)}" if importance.shares else name,
        style="",
        no_wrap=True,
    )
    head.stylize("bold")
    if not importance.shares:
        return [head, Text(), *_wrap(sanitize(importance.why_none, 400) or "no share was reported", view)]
    chosen = list_axes(view.study)[view.choice].name if view.choice < len(list_axes(view.study)) else ""
    wide = min(26, max(len(sanitize(knob, 24)) for knob in importance.shares) + 2)
    room = max(8, min(80, view.width - wide - 8))
    rows = [head, Text()]
    for knob, share in importance.shares.items():
        full, empty = draw_bar(share, room)
        line = Text("▸ " if knob == chosen else "  ", style=look["accent"], no_wrap=True)
        line.append(pad(sanitize(knob, 24), wide), style="bold" if knob == chosen else look["info"])
        line.append(full, style=look["primary"]).append(empty, style=look["border"])
        rows.append(line.append(f" {format_percent(share):>4}", style="bold"))
    return [*rows, Text(), *_wrap(_describe_basis(view, importance), view)]


def _describe_basis(view: View, importance: Importance) -> str:
    basis = f"{view.metric}, from {importance.trials} trials"
    if importance.early:
        basis += f", {importance.early} of them stopped early, with their last value"
    if importance.known > importance.trials:
        basis += f"; the latest of {importance.known:,}"
    if importance.trials < 30:
        basis += ". With so few trials this is only a hint."
    return basis


def _wrap(text: str, view: View) -> list[Text]:
    """Words in as many lines as they need."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > view.width - 2:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return [Text(line, style=view.look["muted"], no_wrap=True) for line in [*lines, line]]


def list_trials(view: View) -> list[int]:
    """The best first."""
    return [point.trial for point in i.order_points(view.study, view.objective)]


PAGE = Page("importance", draw_shares, list_trials, list_knobs, asks="importance")
