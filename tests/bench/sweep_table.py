"""The sweep's results as one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
NOTHING = "–"

LEGEND = """\
All times from the first join on, loading apart. start: joins before the first step. winner: until the trial
that is best in the end has completed. idle: the device at rest while trials come and go (of several
processes: all of them at once). ×a: how many times faster than (a) with the same stopping, for memory how
many times as much; ×ASHA: the winner's time against (a) with stopping. peak %: 4 FLOP × base parameters ×
trained tokens, of the device's rate in a large product. others %: of the machine's cores in use by others
meanwhile; above a few, run it again. memory: the most after loading, more: that without what was there when
all was loaded; on a card what torch allocated, contexts not counted. Δ loss: the largest difference of a
completed trial's last loss from (a)'s."""


def table(rows: list[Row], flop: float, rate: float) -> str:
    """Every run a line, then what the columns mean and what went wrong."""
    cells = [[name for name, _ in COLUMNS]]
    for row in rows:
        context = {"flop": flop, "rate": rate, **_rivals(rows, row)}
        cells.append([cell(row, context) for _, cell in COLUMNS])
    widths = [max(len(line[place]) for line in cells) for place in range(len(COLUMNS))]
    lines = [_line(line, widths) for line in cells]
    notes = [f"  {row['rival']}: {note}" for row in rows for note in row["notes"]]
    return "\n".join([*lines, "", LEGEND, *notes])


def _line(cells: list[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def _rivals(rows: list[Row], row: Row) -> dict[str, Row | None]:
    """The runs that this one is compared with."""
    first = {row["stopping"]: row for row in rows if row["rival"] == "sequential"}
    return {"same": first.get(row["stopping"]), "stopped": first.get(True)}


def _seconds(name: str) -> Callable[[Row, Row], str]:
    return lambda row, _: NOTHING if row[name] is None else f"{row[name]:.2f}"


def _times(name: str, other: str) -> Callable[[Row, Row], str]:
    def cell(row: Row, context: Row) -> str:
        rival = context[other]
        return f"{rival[name] / row[name]:.2f}" if rival and rival[name] and row[name] else NOTHING

    return cell


def _more(name: str) -> Callable[[Row, Row], str]:
    def cell(row: Row, context: Row) -> str:
        rival = context["same"]
        return f"{row[name] / rival[name]:.2f}" if rival and rival[name] else NOTHING

    return cell


def _share(row: Row, context: Row) -> str:
    return f"{100 * row['tokens_per_s'] * context['flop'] / context['rate']:.1f}"


def _apart(row: Row, context: Row) -> str:
    rival = context["same"]
    if rival is None:
        return NOTHING
    done = {str(number) for number in row["completed"]} & {str(number) for number in rival["completed"]}
    return f"{max((abs(row['losses'][one] - rival['losses'][one]) for one in done), default=0.0):.1e}"


def _winner(row: Row, _: Row) -> str:
    return NOTHING if row["winner"] is None else f"{row['winner']}: {row['winner_loss']:.4f}"


def _ends(row: Row, _: Row) -> str:
    return "/".join(str(len(row[state])) for state in ("completed", "pruned", "failed"))


COLUMNS: tuple[tuple[str, Callable[[Row, Row], str]], ...] = (
    ("rival", lambda row, _: row["rival"] + (" +ASHA" if row["stopping"] else "")),
    ("load s", _seconds("load_s")),
    ("start s", _seconds("start_s")),
    ("makespan s", _seconds("makespan_s")),
    ("×a", _times("makespan_s", "same")),
    ("winner s", _seconds("winner_s")),
    ("×a", _times("winner_s", "same")),
    ("×ASHA", _times("winner_s", "stopped")),
    ("idle s", _seconds("idle_s")),
    ("tokens/s", lambda row, _: f"{row['tokens_per_s']:.0f}"),
    ("×a", _more("tokens_per_s")),
    ("peak %", _share),
    ("others %", lambda row, _: f"{100 * row['others']:.0f}"),
    ("memory MiB", lambda row, _: f"{row['peak_bytes'] / 2**20:.0f}"),
    ("×a", _more("peak_bytes")),
    ("more MiB", lambda row, _: f"{row['more_bytes'] / 2**20:.0f}"),
    ("best trial", _winner),
    ("Δ loss", _apart),
    ("done/pruned/failed", _ends),
)
