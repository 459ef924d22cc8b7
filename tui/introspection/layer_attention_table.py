"""Formats attention by layer: entropy, heads, and the shares on first and special tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from rich.text import Text

from core.contract.wire.answers.introspection_answer import Layer
from tui.number_text import BLOCKS
from tui.theme_colors import Palette

BAR, HEADS = 5, 4  # cells: of a bar at least, of the heads at least
WIDE = 64  # cells from which special tokens have a column of their own
LEGEND = "1: all alike, 0: one token, ▒: lost"
NARROW, MIDDLE = 0.1, 0.4  # entropy below which a head looks at few tokens, and at some


def make_layers(all_layers: Sequence[Layer], width: int, look: Palette) -> tuple[Text, Text]:
    """The head of the table and a line for each layer, each of ``width`` cells at most."""
    special = width >= WIDE
    room = width - 3 - 11 - 9 - (9 if special else 0) - 2
    most_heads = max((len(layer.entropy) for layer in all_layers), default=0)
    cells = max(HEADS, min(most_heads, room - BAR - 1))
    bar = max(BAR, min(16, room - cells - 1))
    heads = "heads" if most_heads <= cells else "the lowest of every few heads" if width >= WIDE else "lowest"
    names = f"{'':>3} {'entropy':<{10 + bar}} {'first':>8}{'  special' if special else ''}  {heads}"
    head = Text(names, style=look["muted"], no_wrap=True, overflow="ellipsis")
    rows = [_make_layer(layer, bar, cells, special, look) for layer in all_layers]
    return head, Text("\n", no_wrap=True, overflow="ellipsis").join(rows)


def _make_layer(layer: Layer, bar: int, cells: int, special: bool, look: Palette) -> Text:
    now, base = _average(layer.entropy), _average(layer.base_entropy)
    row = Text(f"{layer.layer:>3} ", style=look["muted"], no_wrap=True, overflow="ellipsis")
    row.append(f"{base:.2f}→", style=look["muted"])
    row.append(f"{now:.2f} "[-5:], style=look["info"])
    row.append_text(_draw_entropy_bar(now, base, bar, look))
    row.append(" ")
    row.append_text(_draw_shares(layer.base_first, layer.first, look))
    if special:
        row.append(" ")
        row.append_text(_draw_shares(layer.base_special, layer.special, look))
    row.append("  ")
    for value in keep_lowest(layer.entropy, cells):
        row.append(_choose_block(value), style=look[_explain_meaning(value)])
    return row


def _draw_entropy_bar(now: float, base: float, width: int, look: Palette) -> Text:
    """Draw a bar as long as the current entropy; the change from the base is highlighted."""
    end, before = (round(min(1.0, max(0.0, entropy)) * width) for entropy in (now, base))
    bar = Text("█" * min(end, before), style=look["primary"])
    bar.append("█" * max(0, end - before), style=look["good"])
    bar.append("▒" * max(0, before - end), style=look["warning"])
    bar.append("·" * (width - max(end, before)), style=look["muted"])
    return bar


def _draw_shares(base: float, now: float, look: Palette) -> Text:
    """Such as " 12→ 30%"."""
    cell = Text(f"{100 * base:>3.0f}→", style=look["muted"])
    risen = now - base >= 0.1
    cell.append(f"{100 * now:>3.0f}%", style=look["warning" if risen else "info"])
    return cell


def keep_lowest(values: Sequence[float], cells: int) -> list[float]:
    """At most ``cells`` values: the lowest of each stretch, so that no head that collapsed is hidden."""
    if len(values) <= cells:
        return list(values)
    cuts = [cell * len(values) // cells for cell in range(cells + 1)]
    return [min(values[begin:end]) for begin, end in pairwise(cuts)]


def _choose_block(value: float) -> str:
    return BLOCKS[min(7, max(0, int(value * 8)))]


def _explain_meaning(value: float) -> str:
    return "warning" if value < NARROW else "accent" if value < MIDDLE else "primary"


def _average(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0
