"""The entries of the data screen: the mixture, each source, and what the checks found in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from core.contract.spec.study_spec import DataOptions
from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.data_messages import MIXTURE, DataFinding, DataReview, DataSource
from tui.number_text import format_short
from tui.theme_colors import Palette

SEVERITIES = ("high", "medium", "low", "none")
SIGNS = {"blocks": "✗", "allowed": "!", "high": "▲", "medium": "●", "low": "·", "ok": "✓"}
COLOURS = {
    "blocks": "error", "allowed": "warning", "high": "error", "medium": "warning", "low": "accent",
    "ok": "good",
}  # fmt: skip
NOT_YET = "the check is not done yet"
WORD = 8  # cells of a severity
NAME = 60  # characters of a finding's name
ROOMY = 70  # cells of a line from which the tokens of a source are counted
LEAST = 0.0005  # share that is written as a number


@dataclass(frozen=True)
class Entry:
    """The mixture, where there is no ``source``; a source, one of its findings, or all checks that found
    nothing in it."""

    source: DataSource | None = None
    finding: DataFinding | None = None
    absent: tuple[DataFinding, ...] = ()


def list_entries(data: DataOptions, review: DataReview | None) -> list[Entry]:
    """Return the entries: of each source first what blocks, then by severity. Before the first review, the
    sources of the study file stand alone: their rows can be shown all the same."""
    entries = [Entry()] if data.mixture else []
    sources = review.sources if review is not None else tuple(_list_planned_sources(data))
    for source in sorted(sources, key=lambda source: source.key != MIXTURE):  # stable
        entries += [Entry(source)] if source.key != MIXTURE else []
        findings = [finding for finding in source.findings if finding.severity != "none"]
        entries += [Entry(source, finding) for finding in sorted(findings, key=make_rank)]
        if absent := tuple(finding for finding in source.findings if finding.severity == "none"):
            entries.append(Entry(source, absent=absent))
    return entries


def _list_planned_sources(data: DataOptions) -> Iterator[DataSource]:
    for key, section in data.checked.items():
        yield DataSource(f"{key}.source", section.source, why_not=NOT_YET)
        if isinstance(section.validation, str):
            yield DataSource(f"{key}.validation", section.validation, why_not=NOT_YET)


def make_rank(finding: DataFinding) -> tuple[int, int]:
    """Return the place of a finding among others: blocking ones first, then allowed ones."""
    block = 0 if finding.is_blocking else 1 if finding.allowed else 2
    is_known = finding.severity in SEVERITIES
    return block, SEVERITIES.index(finding.severity) if is_known else len(SEVERITIES)


def name_severity(finding: DataFinding) -> str:
    """Return blocks, allowed, high, medium, low or ok."""
    if finding.blocks:
        return "allowed" if finding.allowed else "blocks"
    return finding.severity if finding.severity in SIGNS else "ok"


def format_percent(hits: int, rows: int) -> str:
    """Return a share of rows, such as 1.33 %."""
    share = hits / rows if rows else 0.0
    return "0 %" if not share else "<0.05 %" if share < LEAST else f"{100 * share:.3g} %"


def shorten_name(name: str, room: int = 40) -> str:
    """Return the end of a path, which tells files apart."""
    text = sanitize(name, 4000)
    return text if len(text) <= room else "…" + text[-(room - 1) :]


def count_words(findings: Sequence[DataFinding]) -> str:
    """Return how many findings block, and how many there are of each severity."""
    words = [name_severity(finding) for finding in findings]
    counts = [(words.count(word), word) for word in SIGNS if word != "ok"]
    return " · ".join(f"{count} {word.replace('blocks', 'blocking')}" for count, word in counts if count)


def make_entry_line(entry: Entry, width: int, is_chosen: bool, balance: str, look: Palette) -> Text:
    """Return the entry in a line of ``width`` cells; ``balance`` sums up the mixture."""
    line = Text(no_wrap=True, overflow="ellipsis")
    right = ""
    if entry.source is None:
        line.append("mixture ", style="bold")
        line.append(balance, style=look["muted"])
    elif entry.finding is not None:
        right = _add_finding(line, entry.finding, look)
    elif entry.absent:
        _add_word(line, "ok", look)
        line.append(", ".join(sanitize(finding.name, NAME) for finding in entry.absent), style=look["muted"])
    else:
        right = _add_source(line, entry.source, width, look)
    line.truncate(max(1, width - len(right) - (1 if right else 0)), overflow="ellipsis", pad=True)
    line.append(f" {right}" if right else "")
    line.truncate(width, overflow="ellipsis", pad=True)
    if is_chosen:
        line.stylize(f"bold {look.cursor}")
    return line


def _add_source(line: Text, source: DataSource, width: int, look: Palette) -> str:
    line.append(f"{sanitize(source.key, 80)} ", style=f"bold {look['primary']}")
    if source.why_not:
        line.append(f"not checked: {sanitize(source.why_not, 200)}", style=look["muted"])
        return ""
    rows = f"{format_short(source.rows)} rows"
    right = f"{rows}, ~{format_short(source.tokens)} tokens" if width >= ROOMY else rows
    room = max(8, width - line.cell_len - len(right) - 1)
    line.append(shorten_name(source.name, room), style=look["muted"])
    return right


def _add_finding(line: Text, finding: DataFinding, look: Palette) -> str:
    _add_word(line, name_severity(finding), look)
    line.append(sanitize(finding.name, NAME))
    return f"{finding.hits:,} {format_percent(finding.hits, finding.rows):>7}"


def _add_word(line: Text, word: str, look: Palette) -> None:
    style = look[COLOURS[word]]
    line.append(f"  {SIGNS[word]} {word:<{WORD}}", style=f"bold {style}" if word == "blocks" else style)
