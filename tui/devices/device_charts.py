"""The history of all devices as charts: load, memory, power, temperature, host. Pure."""

from __future__ import annotations

from core.contract.state import engine_state as s
from tui.charts.chart_curve import ChartData, Curve
from tui.devices import device_history_points as h

COLOURS = ("primary", "warning", "good", "failed", "accent", "info", "base", "muted")
DEVICE_CHARTS = (
    ("load", h.LOAD, "%"),
    ("memory", h.MEMORY, "%"),
    ("power", h.POWER, "W"),
    ("temperature", h.TEMPERATURE, "°C"),
)
HOST_CHARTS = (
    ("host", (("cpu", h.LOAD), ("ram", h.MEMORY)), "%"),
    ("network", (("in", h.RECEIVED), ("out", h.SENT)), "kB/s"),
)
PERCENT = (0.0, 100.0)


def make_device_charts(machine: s.Machine, span_s: int) -> list[ChartData]:
    """The charts over the last ``span_s`` seconds; those of GPUs where there is one."""
    now = machine.read_at
    span = (-float(span_s), 0.0)
    charts = []
    for title, number, unit in DEVICE_CHARTS if machine.devices else ():
        curves = tuple(
            _make_curve(str(device.index), machine.past.get(str(device.index)), number, place, (span_s, now))
            for place, device in enumerate(machine.devices)
            if not device.fault
        )
        ends = PERCENT if unit == "%" else None
        charts.append(ChartData(title, curves, (), unit, 0.0, "not reported by the driver", span, ends))
    for title, pair, unit in HOST_CHARTS:
        curves = tuple(
            _make_curve(label, machine.past.get("host"), number, place, (span_s, now))
            for place, (label, number) in enumerate(pair)
        )
        ends = PERCENT if unit == "%" else None
        charts.append(ChartData(title, curves, (), unit, 0.0, "no reading yet", span, ends))
    return charts


def _make_curve(label: str, past: s.Past | None, number: int, place: int, span: tuple[int, float]) -> Curve:
    steps, values = h.list_history(past or s.Past(), number, *span)
    sign = label[-1] if label.isdigit() else ""
    return Curve(label, steps, values, COLOURS[place % len(COLOURS)], sign)
