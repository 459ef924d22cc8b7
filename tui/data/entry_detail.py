"""What the data screen says about its chosen entry: how a source is read, or what a check found. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.data_messages import DataFinding, DataReview, DataSource
from tui.data import finding_entries
from tui.data.length_histogram import draw_lengths, measure_cut_share
from tui.number_text import format_size
from tui.theme_colors import Palette
from tui.widgets.text_wrapping import wrap_text

LOW = 30  # lines of the screen below which the columns of lengths are short
NAMES = 400  # characters of all columns
Lines = list[Text]


def describe_source(source: DataSource, review: DataReview, room: tuple[int, int], look: Palette) -> Text:
    """Return how a source is read, its lengths, and what is left out; ``room`` are the cells of a line, and
    the lines of the screen."""
    width = room[0]
    lines: Lines = [Text(sanitize(source.key, 80), style=f"bold {look['primary']}")]
    lines += wrap_text(sanitize(source.name, 600), width, "")
    if source.why_not:
        lines += wrap_text(f"not checked: {source.why_not}", width, look["warning"])
        lines += wrap_text("Enter shows its rows all the same.", width, look["muted"])
        return _join(lines)
    used = ", ".join(source.used)
    lines += _make_named_line(
        "read as", f"{source.kind or 'unknown'}" + (f" ({used})" if used else ""), width, look
    )
    if source.unused:
        lines += _make_named_line("not used", sanitize(", ".join(source.unused), NAMES), width, look)
    files = f"{source.files} file{'s' * (source.files != 1)}, {format_size(source.size_bytes)}"
    lines += _make_named_line(
        "size", f"{files}; {source.rows:,} rows, about {source.tokens:,} tokens", width, look
    )
    sample_note = f"slow checks saw {source.sampled:,} of {source.rows:,} rows, drawn at random"
    lines += _make_named_line(
        "checked", sample_note if source.sampled < source.rows else "all rows", width, look
    )
    if source.lengths:
        lines += _draw_lengths(source, review.sequence_length, room, look)
    for note in (*source.notes, *review.notes):
        lines += wrap_text(note, width, look["muted"], "· ")
    return _join(lines)


def _draw_lengths(source: DataSource, cut: int, room: tuple[int, int], look: Palette) -> Lines:
    width, height = room
    share = measure_cut_share(source.lengths, cut)
    share_text = f"{100 * share:.3g} % of rows" if share else "no row"
    histogram = draw_lengths(source.lengths, cut, width, 3 if height < LOW else min(12, height // 5), look)
    return [
        *_make_named_line("lengths", f"tokens, estimated; cut at {cut:,} (│): {share_text}", width, look),
        *histogram.split("\n"),
    ]


def describe_finding(finding: DataFinding, width: int, look: Palette) -> Text:
    """Return the count, what blocks, the remedy and the examples of a finding."""
    word = finding_entries.name_severity(finding)
    style = look[finding_entries.COLOURS[word]]
    head = Text(f"{finding_entries.SIGNS[word]} {word}  ", style=f"bold {style}", no_wrap=True)
    head.append(sanitize(finding.name, 80), style="bold")
    lines: Lines = [head]
    share = finding_entries.format_percent(finding.hits, finding.rows)
    lines += wrap_text(
        f"{finding.hits:,} of {finding.rows:,} rows, {share}{_describe_bounds(finding)}", width, ""
    )
    if finding.blocks:
        allow_line = f'data.allow = ["{finding.blocks}"]'
        text = (
            f"{allow_line} lets the study start"
            if finding.allowed
            else f"no study starts without {allow_line}"
        )
        lines += wrap_text(text, width, look["warning" if finding.allowed else "error"])
    if finding.detail:
        lines += wrap_text(finding.detail, width, "")
    if finding.remedy:
        lines += wrap_text(finding.remedy, width, look["accent"], "→ ")
    for example in finding.examples:
        lines += wrap_text(f"row {example.row:,}: {example.text}", width, "", "  ")
    if finding.detector:
        lines += wrap_text(f"detector: {finding.detector}", width, look["muted"])
    return _join(lines)


def _describe_bounds(finding: DataFinding) -> str:
    if finding.low is None or finding.high is None:
        return ""
    return f" (true share: {100 * finding.low:.3g} to {100 * finding.high:.3g} %)"


def describe_absent(findings: Sequence[DataFinding], width: int, look: Palette) -> Text:
    """Return the checks that found nothing to mend, with what they say all the same."""
    lines: Lines = [Text("nothing to mend in:", style=f"bold {look['good']}")]
    for finding in findings:
        hits_text = (
            f"{finding.hits:,} of {finding.rows:,} rows{_describe_bounds(finding)}"
            if finding.rows
            else "no text"
        )
        lines += wrap_text(f"{sanitize(finding.name, 80)}: {hits_text}", width, "", "✓ ")
        if finding.detail:
            lines += wrap_text(finding.detail, width, look["muted"], "    ")
    return _join(lines)


def _make_named_line(name: str, value: str, width: int, look: Palette) -> Lines:
    lines = wrap_text(value, width, "", f"{name:<9}")
    lines[0].stylize(look["muted"], 0, 9)
    return lines


def _join(lines: Lines) -> Text:
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)
