"""The importance and sampler pages: how much each knob matters, and the sampler's state. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.text.sanitize import plain
from core.contract.views import study_insight as i
from core.contract.views.knob_axes import axes
from core.contract.wire.search_state import Importance
from tui.insight.page_context import Page, View, knobs
from tui.number_text import bar, percent
from tui.widgets.scatter_plot import padded

NAMES = {"ped-anova": "PED-ANOVA", "fanova": "fANOVA"}


def shares(view: View) -> list[Text]:
    """A bar for each knob, and what they rest on."""
    look, found = view.look, view.importance
    if found is None:
        return [Text(view.why or "asking the engine which knobs matter …", style=look["muted"], no_wrap=True)]
    name = NAMES.get(found.method, plain(found.method, 20))
    head = Text(f"{name}: shares {plain(found.asks, 100)}" if found.shares else name, style="", no_wrap=True)
    head.stylize("bold")
    if not found.shares:
        return [head, Text(), *_wrapped(plain(found.why_none, 400) or "no share was reported", view)]
    chosen = axes(view.study)[view.choice].name if view.choice < len(axes(view.study)) else ""
    wide = min(26, max(len(plain(one, 24)) for one in found.shares) + 2)
    room = max(8, min(80, view.width - wide - 8))
    told = [head, Text()]
    for knob, share in found.shares.items():
        full, empty = bar(share, room)
        line = Text("▸ " if knob == chosen else "  ", style=look["accent"], no_wrap=True)
        line.append(padded(plain(knob, 24), wide), style="bold" if knob == chosen else look["info"])
        line.append(full, style=look["primary"]).append(empty, style=look["border"])
        told.append(line.append(f" {percent(share):>4}", style="bold"))
    return [*told, Text(), *_wrapped(_rests(view, found), view)]


def _rests(view: View, found: Importance) -> str:
    told = f"{view.metric}, from {found.trials} trials"
    if found.early:
        told += f", {found.early} of them stopped early, with their last value"
    if found.known > found.trials:
        told += f"; the latest of {found.known:,}"
    if found.trials < 30:
        told += ". With so few trials this is only a hint."
    return told


def _wrapped(text: str, view: View) -> list[Text]:
    """Words in as many lines as they need."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > view.width - 2:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return [Text(one, style=view.look["muted"], no_wrap=True) for one in [*lines, line]]


def sampler(view: View) -> list[Text]:
    """What the sampler says of itself."""
    look = view.look
    if view.search is None:
        return [
            Text(view.why or "asking the engine for the sampler's state …", style=look["muted"], no_wrap=True)
        ]
    told = []
    for name, text in view.search.sampler:
        line = Text(padded(plain(name, 16), 18), style=look["muted"], no_wrap=True, overflow="ellipsis")
        told.append(line.append(plain(text, 300), style=look["info"]))
    return told


def trials(view: View) -> list[int]:
    """The best first."""
    return [point.trial for point in i.ordered(view.study, view.objective)]


IMPORTANCE = Page("importance", shares, trials, knobs, asks="importance")
SAMPLER = Page("sampler", sampler, trials, asks="search")
