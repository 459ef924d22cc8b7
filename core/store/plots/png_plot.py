"""Draws plots as PNG with Pillow (a dependency of tensorboard), for programs without SVG support."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.store.plots.plot_layout import HEIGHT, LIGHT, WIDTH, Mark, find_width, list_marks
from core.store.plots.report_curves import Plot

SCALE, FINER = 2, 2  # pixels per drawing unit, and the supersampling factor
ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def write_png(plot: Plot, path: Path) -> str:
    """Draw the plot on a light background. Returns "" or, if Pillow is missing, why it was not drawn."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        return "no PNG: Pillow is not installed (pip install pillow)"
    fine = SCALE * FINER
    picture = Image.new("RGB", (WIDTH * fine, HEIGHT * fine), LIGHT["ground"])
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12 * fine)
    for mark in list_marks(plot):
        _draw_shape(draw, font, mark, fine)
    picture.reduce(FINER).save(path, "PNG")
    return ""


def _draw_shape(draw: Any, font: Any, mark: Mark, fine: int) -> None:
    points = [(x * fine, y * fine) for x, y in mark.points]
    x, y = points[0]
    if mark.text:
        draw.text((x, y), mark.text, LIGHT[mark.role], font, anchor=ANCHORS[mark.anchor])
    elif len(points) == 1:
        draw.ellipse((x - 2 * fine, y - 2 * fine, x + 2 * fine, y + 2 * fine), LIGHT[mark.role])
    else:
        draw.line(points, LIGHT[mark.role], round(find_width(mark) * fine), joint="curve")
