"""The ticket's results as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Found = Mapping[str, Any]
GIB, MIB = 2**30, 2**20


def table(found: Mapping[str, Found]) -> str:
    """All parts, by their letters."""
    lines = ["# The ticket", "", *_machine(found)]
    for letter, part in found.items():
        lines += [f"## {letter}. {part.get('about', {}).get('title', '')} ({part.get('state')})", ""]
        lines += VIEWS[letter](part)
        lines += ["", *(f"- {note}" for note in part.get("notes", ())), ""]
    return "\n".join(lines)


def _machine(found: Mapping[str, Found]) -> list[str]:
    """What it ran on, once."""
    machine = next((part["about"]["machine"] for part in found.values() if "machine" in part["about"]), {})
    versions = ", ".join(f"{name} {known}" for name, known in machine.get("packages", {}).items() if known)
    where = "a dry run on the CPU: no figure means anything" if machine.get("dry") else machine.get("name")
    return [f"On {where}; Python {machine.get('python')}, {versions}.", ""]


def grid(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """A Markdown table."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return lines + [f"| {' | '.join(text(cell) for cell in row)} |" for row in rows]


def text(cell: Any) -> str:
    """A cell; a missing measurement is a dash."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
    return str(cell).replace("|", "\\|").replace("\n", " ")


def _why(row: Found) -> str:
    """Why a row has no figures; "" if it has."""
    return str(row.get("error") or row.get("skipped") or row.get("why") or "")[:160]


def _tests(part: Found) -> list[str]:
    rows = part["rows"]
    count = {kind: sum(row.get("outcome") == kind for row in rows.values()) for kind in OUTCOMES}
    lines = [", ".join(f"{number} {kind}" for kind, number in count.items())]
    wrong = {name: row for name, row in rows.items() if row.get("outcome") != "passed"}
    return lines + [f"- {name}: {text(row.get('why', _why(row))[-300:])}" for name, row in wrong.items()]


OUTCOMES = ("passed", "failed", "skipped")


def _counts(part: Found) -> list[str]:
    head = ("case", "kernels", "counted", "waits", "counted", "device busy, ms", "faults")
    return grid(
        head,
        (
            (
                case, row.get("kernels"), row.get("counted", {}).get("kernels"), row.get("waits"),
                row.get("counted", {}).get("waits"), row.get("busy_ms"),
                _why(row) or len(row.get("faults", ())),
            )
            for case, row in part["rows"].items()
        ),
    )  # fmt: skip


def _speeds(part: Found) -> list[str]:
    rows = part["rows"]
    lines = grid(
        ("case", "step, ms", "tokens/s", "times PEFT one after another", "more GiB", "why"),
        (
            (
                case, _scaled(row.get("step_s"), 1e3), row.get("tokens_per_s"), row.get("ratio"),
                _scaled(row.get("more_bytes"), 1 / GIB), _why(row),
            )
            for case, row in rows.items()
            if case != "machine"
        ),
    )  # fmt: skip
    machine = rows.get("machine", {})
    flop, copied = machine.get("matrix_flop_per_s"), machine.get("copy_bytes_per_s")
    if flop and copied:
        lines += [
            "",
            f"At most {flop / 1e12:.3g} TFLOP/s in a product and {copied / 1e12:.3g} TB/s in a copy.",
        ]
    return lines


def _memory(part: Found) -> list[str]:
    rows = {case: row for case, row in part["rows"].items() if case != "constants"}
    errors = sorted(abs(row["relative_error"]) for row in rows.values() if "relative_error" in row)
    lines = grid(
        ("case", "estimated GiB", "measured GiB", "error, %", "why"),
        (
            (
                case, _scaled(row.get("estimated_bytes"), 1 / GIB),
                _scaled(row.get("measured_bytes"), 1 / GIB), _scaled(row.get("relative_error"), 100.0),
                _why(row),
            )
            for case, row in rows.items()
        ),
    )  # fmt: skip
    constants = part["rows"].get("constants", {})
    lines += ["", "; ".join(f"{name}: {_mib(value)}" for name, value in constants.items() if "bytes" in name)]
    if errors:
        lines += ["", f"median error {errors[len(errors) // 2]:.2%}, worst {errors[-1]:.2%}"]
    return lines


def _shortage(part: Found) -> list[str]:
    rows = part["rows"]
    paused = rows.get("pause", {})
    freed = (
        f"{_mib(paused.get('freed_by_nvml'))} by NVML, {_mib(paused.get('freed_by_allocator'))} of tensors"
    )
    lines = [f"A pause of all trials gives back {freed}. {_why(paused)}", ""]
    names = [name for name in rows if name != "pause"]
    return lines + grid(
        ("case", "recovered", "left the pack", "failed", "largest difference of a loss", "told"),
        (
            (
                name, rows[name].get("recovered"), rows[name].get("requeued"), rows[name].get("failed"),
                rows[name].get("largest_difference"),
                _why(rows[name]) or "; ".join(rows[name].get("told", ())),
            )
            for name in names
        ),
    )  # fmt: skip


def _study(part: Found) -> list[str]:
    run = part["rows"].get("study", {})
    looks = run.get("looks", ())
    cards = [device for look in looks for device in look["devices"]]
    most = {name: max((card.get(name) or 0 for card in cards), default=None) for name in READINGS}
    picture = "with a picture of the console" if run.get("console_svg") else "no picture of the console"
    return [
        f"exit code {text(run.get('exit_code'))} after {text(run.get('took_s'))} s, {len(looks)} readings, "
        f"{picture}. {_why(run)}",
        "",
        "at most: " + ", ".join(f"{name} {text(value)}" for name, value in most.items()),
        *(f"- {name}: exit code {text(row.get('exit_code'))}" for name, row in part["rows"].items()),
    ]


READINGS = ("used_bytes", "utilisation", "power_w", "temperature_c")


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value * by


def _mib(value: int | None) -> str:
    return "–" if value is None else f"{value / MIB:,.0f} MiB"


VIEWS: dict[str, Callable[[Found], list[str]]] = {
    "a": _tests, "b": _counts, "c": _speeds, "d": _memory, "e": _speeds, "f": _shortage, "g": _study,
}  # fmt: skip
