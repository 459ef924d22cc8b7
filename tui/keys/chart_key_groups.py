"""The keys of charts and of the devices screen; ``tui.keys.key_declarations`` has all others."""

from __future__ import annotations

from tui.keys.key_definition import Group, Key

CHARTS = Group(
    "charts",
    (
        Key("chart.enlarge", "enter", "enlarge", "enlarge", "show the selected chart alone, or all of them"),
        Key("chart.arrange", "number_sign", "arrange", "grid", "1×1 to 4×4 charts, or as many as fit"),
        Key("chart.right", "right", "crosshair(1)", "cursor", "values at the next point, in all charts"),
        Key("chart.left", "left", "crosshair(-1)", "cursor", "values at the previous point"),
        Key("chart.zoom_in", "z", "zoom(1)", "zoom", "zoom in around the cursor (also the wheel)"),
        Key("chart.zoom_out", "Z", "zoom(-1)", "zoom out", "zoom out"),
        Key(
            "chart.later",
            "greater_than_sign,shift+right",
            "pan(1)",
            "later",
            "later steps (also Shift and wheel)",
        ),
        Key("chart.earlier", "less_than_sign,shift+left", "pan(-1)", "earlier", "earlier steps"),
        Key("chart.whole", "0", "whole", "whole", "all steps, without a cursor"),
        Key("chart.smooth", "w", "smooth(1)", "smooth", "smooth more: a moving average, weight 0.5 to 0.99"),
        Key("chart.raw", "W", "smooth(-1)", "less", "smooth less, down to the measured values"),
        Key("chart.log", "L", "log", "log", "logarithmic or linear values"),
        Key("chart.log_x", "X", "log_x", "log x", "logarithmic or linear x axis"),
        Key("chart.along", "t", "along", "axis", "over steps, tokens or training time"),
    ),
    (
        "chart.enlarge", "chart.arrange", "chart.right", "chart.zoom_in", "chart.smooth", "chart.log",
        "chart.along",
    ),
)  # fmt: skip
CHART_CHOICE = Group(
    "charts: which one",
    (
        Key("chart.next", "down,j", "screen.choose(1)", "chart", "the next chart"),
        Key("chart.previous", "up,k", "screen.choose(-1)", "chart before", "the previous chart"),
    ),
)

DEVICES = Group(
    "devices",
    (
        Key("devices.back", "escape,backspace,d", "back", "back", "back to where you came from"),
        Key("devices.span", "t", "along", "1 min–1 day", "history of 1 or 10 minutes, 1 or 6 hours, 1 day"),
        Key("devices.next", "tab", "choose(1)", "chart", "the next chart"),
        Key("devices.previous", "shift+tab", "choose(-1)", "prev", "the previous chart"),
        Key(
            "devices.enlarge", "enter", "enlarge", "enlarge", "show the selected chart alone, or all of them"
        ),
        Key("devices.arrange", "number_sign", "arrange", "grid", "1×1 to 4×4 charts, or as many as fit"),
        Key("devices.right", "right", "crosshair(1)", "cursor", "values at the next point, in all charts"),
        Key("devices.left", "left", "crosshair(-1)", "cursor", "values at the previous point"),
        Key("devices.whole", "0", "whole", "whole", "the whole time, without a cursor"),
        Key("devices.down", "down,j,pagedown", "scroll(1)", "down", "further down the processes"),
        Key("devices.up", "up,k,pageup", "scroll(-1)", "up", "further up"),
        Key(
            "study.devices",
            "Y",
            "app.use_devices",
            "give back",
            "give a device back, or use another; trials move",
            "Give a device back, or use another",
        ),
        Key(
            "devices.signal",
            "exclamation_mark",
            "signal",
            "signal",
            "TERM, INT or KILL to a process of yours",
        ),
    ),
    ("devices.back", "devices.span", "study.devices", "devices.next", "devices.enlarge", "devices.signal"),
)
