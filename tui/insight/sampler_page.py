"""The sampler page: what the sampler says of its own state. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.text.sanitize import sanitize
from tui.insight.importance_page import list_trials
from tui.insight.page_context import Page, View
from tui.widgets.xy_plot import pad


def draw_sampler(view: View) -> list[Text]:
    """What the sampler says of itself."""
    look = view.look
    if view.search is None:
        return [
            Text(view.why or "asking the engine for the sampler's state …", style=look["muted"], no_wrap=True)
        ]
    rows = []
    for name, text in view.search.sampler:
        line = Text(pad(sanitize(name, 16), 18), style=look["muted"], no_wrap=True, overflow="ellipsis")
        rows.append(line.append(sanitize(text, 300), style=look["info"]))
    return rows


PAGE = Page("sampler", draw_sampler, list_trials, asks="search")
