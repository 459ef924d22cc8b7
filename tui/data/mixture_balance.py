"""The shares of a mixture's sources in the rows that a trial trains on: drawn so far, and wanted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from core.contract.spec.knob_table import REPLAY, WEIGHT
from core.contract.spec.metric_table import ROW_SHARE, TOKEN_SHARE, WANTED_SHARE
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.number_text import NOTHING, format_number
from tui.theme_colors import Palette

NAME = 40  # cells of a source's name, as long as any may be
BAR = 8  # cells of the shortest bar


@dataclass(frozen=True)
class SourceShare:
    """A source's shares, from 0 to 1, of the rows and tokens drawn so far, and of the rows as the weights
    say; None before the trial has reported any. ``weight`` None is the share of the rows that there are."""

    name: str
    replay: bool
    weight: float | None
    wanted: float | None
    rows: float | None
    tokens: float | None


def list_shares(study: s.Study, trial: s.Trial | None) -> list[SourceShare]:
    """Return the shares of all sources in the order of the study file; none without a mixture."""
    latest: Mapping[str, float] = trial.latest if trial is not None else {}
    knobs: Mapping[str, Any] = trial.knobs if trial is not None else study.settings.train
    return [
        SourceShare(
            source.name, source.replay, knobs.get(f"{WEIGHT}{source.name}"),
            *(latest.get(f"{prefix}{source.name}") for prefix in (WANTED_SHARE, ROW_SHARE, TOKEN_SHARE)),
        )
        for source in study.settings.data.mixture
    ]  # fmt: skip


def sum_up(shares: list[SourceShare], trial: s.Trial | None) -> str:
    """Return the drawn shares in a few words."""
    if trial is None:
        return f"of {len(shares)} sources"
    drawn_shares = [
        f"{sanitize(share.name, NAME)} {format_percent(share.rows)}"
        for share in shares
        if share.rows is not None
    ]
    return f"of trial {trial.number}: {', '.join(drawn_shares) or 'nothing reported yet'}"


def draw_balance(
    shares: list[SourceShare], trial: s.Trial | None, study: s.Study, width: int, look: Palette
) -> Text:
    """Return a line for each source, below what the shares are of."""
    heads = [_describe_about(study, trial, look)]
    room = max(len("source"), min(NAME, max(len(sanitize(share.name, NAME)) for share in shares)))
    room = min(room, max(8, width - 24))
    figures = [("wanted", 7), ("drawn", 7)] + ([("tokens", 7)] if width >= room + 32 else [])
    figures = [("weight", 8), *figures] if width >= room + 40 else figures
    head = Text(f"{'source':<{room}}", style=look["muted"])
    head.append("".join(f"{name:>{cells}}" for name, cells in figures))
    bar = width - room - sum(cells for _, cells in figures) - 2
    lines = [*heads, head]
    for share in shares:
        line = Text(no_wrap=True, overflow="ellipsis")
        name = Text(sanitize(share.name, NAME))
        name.truncate(room, overflow="ellipsis", pad=True)
        line.append_text(name)
        line.append("".join(f"{_format_figure(share, name):>{cells}}" for name, cells in figures))
        if bar >= BAR:
            line.append("  ")
            line.append_text(_draw_bar(share, min(40, bar), look))
        lines.append(line)
    lines.append(Text("│ marks the wanted share", style=look["muted"]) if bar >= BAR else Text())
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def _describe_about(study: s.Study, trial: s.Trial | None, look: Palette) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    if trial is None:
        return Text("no trial draws rows yet", style=look["muted"])
    line.append(f"trial {trial.number}", style="bold")
    line.append(f" {trial.state}, step {trial.step}", style=look[trial.state])
    if trial.knobs.get(REPLAY.name) is not None:
        line.append(f"  replay {format_number(trial.knobs[REPLAY.name])}", style=look["muted"])
    temperature = study.settings.data.temperature
    line.append(
        f"  temperature {format_number(temperature)}" if temperature != 1.0 else "", style=look["muted"]
    )
    return line


def format_percent(share: float | None) -> str:
    """Return a share with a digit behind the point."""
    return NOTHING if share is None else f"{100 * share:.1f}%"


def _format_figure(share: SourceShare, name: str) -> str:
    if name == "weight":
        weight = "rows" if share.weight is None else f"{share.weight:.4g}"
        return f"{weight}{'↺' if share.replay else ''}"
    return format_percent({"wanted": share.wanted, "drawn": share.rows, "tokens": share.tokens}[name])


def _draw_bar(share: SourceShare, width: int, look: Palette) -> Text:
    """Return a bar as long as the drawn share, with a line at the wanted one."""
    full = round(width * min(1.0, max(0.0, share.rows or 0.0)))
    line = Text("█" * full, style=look["primary"])
    line.append("·" * (width - full), style=look["muted"])
    if share.wanted is None:
        return line
    at = min(width - 1, round(width * max(0.0, share.wanted)))
    return Text.assemble(line[:at], ("│", look["warning"]), line[at + 1 :])
