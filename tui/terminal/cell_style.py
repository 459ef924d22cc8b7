"""The style of a terminal cell as SGR parameters, and the shortest change from one style to another."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from rich.color import ColorSystem
from rich.style import Style

FLAGS = ("bold", "dim", "italic", "underline", "blink", "reverse", "strike", "underline2", "overline")
ON = {
    "bold": "1", "dim": "2", "italic": "3", "underline": "4", "blink": "5", "reverse": "7", "strike": "9",
    "underline2": "21", "overline": "53",
}  # fmt: skip
# Bold and dim are ended by one code, and so are the two underlines.
OFF = {
    "bold": "22", "dim": "22", "italic": "23", "underline": "24", "blink": "25", "reverse": "27",
    "strike": "29", "underline2": "24", "overline": "55",
}  # fmt: skip
INK_ON_BLANKS = frozenset({"underline", "underline2", "strike", "overline", "reverse"})


class CellStyle(NamedTuple):
    """``front`` and ``back`` are SGR parameters, empty for the terminal's own colours."""

    flags: frozenset[str] = frozenset()
    front: str = ""
    back: str = ""

    @property
    def blank(self) -> CellStyle:
        """The style of a space: where no ink shows, only the background counts."""
        if self.flags & INK_ON_BLANKS:
            return self
        return _make_background(self.back)


PLAIN = CellStyle()


@lru_cache(maxsize=1024)
def _make_background(back: str) -> CellStyle:
    return CellStyle(back=back)


@lru_cache(maxsize=8192)
def find_style(style: Style | None, colors: ColorSystem | None) -> CellStyle:
    """Return Rich's ``style`` for a terminal with these colours; None for one that is to show no colour."""
    if style is None:
        return PLAIN
    flags = frozenset(name for name in FLAGS if getattr(style, name))
    if colors is None:
        return CellStyle(flags)
    front = back = ""
    if style.color is not None and not style.color.is_default:
        front = ";".join(style.color.downgrade(colors).get_ansi_codes())
    if style.bgcolor is not None and not style.bgcolor.is_default:
        back = ";".join(style.bgcolor.downgrade(colors).get_ansi_codes(foreground=False))
    return CellStyle(flags, front, back)


@lru_cache(maxsize=8192)
def change(before: CellStyle, after: CellStyle) -> str:
    """Return the shortest escape sequence that makes the terminal go from one style to the other."""
    if before == after:
        return ""
    fresh = _list_parameters(PLAIN, after)
    from_reset = f"\x1b[0;{fresh}m" if fresh else "\x1b[m"
    onward = f"\x1b[{_list_parameters(before, after)}m"
    return min(onward, from_reset, key=len)


def _list_parameters(before: CellStyle, after: CellStyle) -> str:
    ended = {OFF[name] for name in before.flags - after.flags}
    switched_on = [
        name for name in FLAGS if name in after.flags and (name not in before.flags or OFF[name] in ended)
    ]
    codes = [*sorted(ended), *(ON[name] for name in switched_on)]
    if before.front != after.front:
        codes.append(after.front or "39")
    if before.back != after.back:
        codes.append(after.back or "49")
    return ";".join(codes)
