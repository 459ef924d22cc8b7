"""The page on early stopping: pruned and complete trials, rungs, and why trials ended early. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.text.sanitize import sanitize
from core.contract.views import study_insight as i
from core.contract.wire.search_state import Rung
from tui.insight.page_context import Page, View, find_window, format_value, make_row
from tui.number_text import GLYPHS

FATES = {"promoted": ("▲", "good"), "stopped": ("×", "pruned"), "complete": ("✓", "complete")}
FATES |= {"running": ("●", "running"), "ended": ("!", "failed")}

WHAT = "rungs are the steps where the pruner compares trials; the best go on"


def draw_lines(view: View) -> list[Text]:
    """Counts, rungs as far as half of the page has room, then the list."""
    head = _draw_counts(view)
    rungs = _draw_rungs(view)[: max(3, (view.height - 3) // 2)]
    stops = i.list_stops(view.study)
    title = Text(f"{'trial':>6} {'ended at step':>14} {view.metric[:12]:>12}  why", style="", no_wrap=True)
    title.stylize("bold")
    if not stops:
        return [head, *rungs, Text(), Text("no trial ended early", style=view.look["muted"])]
    numbers, by_number = [stop.trial for stop in stops], {stop.trial: stop for stop in stops}
    room = max(1, view.height - len(rungs) - 3)
    listed = [_stop(view, by_number[number]) for number in numbers[find_window(numbers, view.focus, room)]]
    return [head, *rungs, _describe_saved_steps(view), title, *listed]


def _draw_counts(view: View) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for state, count in i.count_endings(view.study).items():
        line.append(
            f"{GLYPHS[state]} {count} {state}   ", style=view.look[state] if count else view.look["muted"]
        )
    return line


def _describe_saved_steps(view: View) -> Text:
    spared, all_steps = i.count_saved_steps(view.study)
    text = f"pruning saved {spared:,} of {all_steps:,} steps" if spared else ""
    return Text(text, style=view.look["muted"], no_wrap=True)


def _draw_rungs(view: View) -> list[Text]:
    look = view.look
    if view.search is None:
        return [
            Text(
                view.why or "asking the engine at which steps the pruner compares trials …",
                style=look["muted"],
                no_wrap=True,
            )
        ]
    if not view.search.rungs:
        return [Text(sanitize(view.search.why_no_rungs, 200), style=look["muted"], no_wrap=True)]
    several = len({rung.bracket for rung in view.search.rungs}) > 1
    signs = Text(no_wrap=True, overflow="ellipsis")
    for fate, (sign, meaning) in FATES.items():
        signs.append(f"{sign} {fate}  ", style=look[meaning])
    return [
        Text(WHAT, style=look["muted"], no_wrap=True),
        signs,
        *(_draw_rung(view, rung, several) for rung in view.search.rungs),
    ]


def _draw_rung(view: View, rung: Rung, several: bool) -> Text:
    """Such as "rung 1, step 80: 6 in  0.030 to 0.129  #7✓ #18× …", the best first."""
    look = view.look
    bracket_text = f"bracket {rung.bracket} " if several else ""
    line = Text(f"{bracket_text}rung {rung.rung}, step {rung.step:,}: ", no_wrap=True, overflow="ellipsis")
    line.append(f"{len(rung.entries)} in  ", style="bold")
    if rung.entries:
        line.append(
            f"{format_value(rung.entries[0].value)} to {format_value(rung.entries[-1].value)}  ",
            style=look["muted"],
        )
    for entry in rung.entries:
        sign, meaning = FATES.get(entry.fate, ("?", "muted"))
        style = f"bold {look.cursor}" if entry.trial == view.focus else look[meaning]
        line.append(f"#{entry.trial}{sign}", style=style).append(" ")
        if line.cell_len > view.width:
            break
    line.truncate(view.width, overflow="ellipsis")
    return line


def _stop(view: View, stop: i.Stop) -> Text:
    share = f"{stop.step:,} of {stop.total_steps:,}" if stop.total_steps else str(stop.step)
    why = sanitize(stop.why or "no reason was recorded", 400)
    cells = [
        (f"#{stop.trial} {GLYPHS[stop.state]}", -6, stop.state),
        (share, -14, ""),
        (format_value(stop.value), -12, ""),
    ]
    return make_row(view, stop.trial, [*cells, ("", 0, ""), (why, max(10, view.width - 37), "muted")])


def list_trials(view: View) -> list[int]:
    """The latest first."""
    return [stop.trial for stop in i.list_stops(view.study)]


PAGE = Page("stopped", draw_lines, list_trials, asks="search")
