"""Draws plots as SVG, as separate files or as part of a page."""

from __future__ import annotations

import html

from core.contract.text.sanitize import sanitize
from core.store.plots.plot_layout import DARK, HEIGHT, LIGHT, WIDTH, Mark, find_width, list_marks
from core.store.plots.report_curves import Plot

FONT = "font:12px system-ui,-apple-system,'Segoe UI',sans-serif"


def make_style(colours: dict[str, str]) -> str:
    """Return the CSS rules that colour the drawings."""
    rules = [f".plot .ground{{fill:{colours['ground']};stroke:none}}"]
    for role, colour in colours.items():
        if role != "ground":
            rules.append(f".plot .{role}{{stroke:{colour};fill:none}}")
            rules.append(f".plot text.{role},.plot circle.{role}{{fill:{colour};stroke:none}}")
    return "".join(rules)


def make_svg(plot: Plot, alone: bool = True) -> str:
    """Return the SVG text. ``alone`` makes a file with its own colours; otherwise the page provides them."""
    name = html.escape(f"{sanitize(plot.metric.name, 60)} over steps")
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {HEIGHT}"']
    parts.append(f' role="img" aria-label="{name}"><title>{name}</title>')
    if alone:
        dark = f"@media (prefers-color-scheme:dark){{{make_style(DARK)}}}"
        parts.append(f"<style>.plot{{{FONT}}}{make_style(LIGHT)}{dark}</style>")
        parts.append(f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>')
    return "".join([*parts, *(_make_shape(mark) for mark in list_marks(plot)), "</svg>\n"])


def _make_shape(mark: Mark) -> str:
    x, y = mark.points[0]
    if mark.text:
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{mark.anchor}"'
        return f'<text class="{mark.role}" {place}>{html.escape(mark.text)}</text>'
    if len(mark.points) == 1:
        return f'<circle class="{mark.role}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
    dash = ' stroke-dasharray="5 4"' if mark.dashed else ""
    veil = ' stroke-opacity="0.55"' if mark.role == "other" else ""
    return f'<polyline class="{mark.role}" points="{path}" stroke-width="{find_width(mark)}"{dash}{veil}/>'
