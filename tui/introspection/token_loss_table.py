"""Formats the loss by token: shares by kind and position, and the worst tokens in context. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.introspection_answer import Insides, Part, Token
from tui.theme_colors import Palette

NAMES = {"first": "first token"}
NAME = 11  # cells of a name at least
ROOMY = 46  # cells from which tokens are counted
LINE_END = "↵"
SHOWN = 400  # characters of a text that are looked at


def make_loss_shares(answer: Insides, width: int, look: Palette) -> Text:
    """By kind, then by quarter of the row: tokens, share of the loss, mean loss; base → trial."""
    counted = width >= ROOMY
    room = max(NAME, min(20, width - 10 - 12 - (7 if counted else 0)))
    head = Text(no_wrap=True, overflow="ellipsis", style=look["muted"])
    head.append(f"{'':<{room}}{' tokens' if counted else ''}{'% of loss':>10}{'nats/token':>12}")
    rows = [head]
    for group in (answer.kinds, answer.quarters):
        rows += [_make_part(part, room, counted, look) for part in group]
    return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)


def _make_part(part: Part, room: int, counted: bool, look: Palette) -> Text:
    name = sanitize(NAMES.get(part.name, part.name), 40)
    row = Text(_pad_name(name, room), no_wrap=True, overflow="ellipsis")
    if counted:
        row.append(f"{part.tokens:>7}", style=look["muted"])
    row.append(f"{100 * part.base_share:>6.0f}→", style=look["muted"])
    row.append(f"{100 * part.share:>3.0f}", style="bold")
    worse = part.mean > part.base_mean
    row.append(f"{part.base_mean:>7.2f}→"[-7:], style=look["muted"])
    row.append(f"{part.mean:>5.2f}", style=look["warning" if worse else "info"])
    return row


def make_worst_tokens(tokens: Sequence[Token], width: int, look: Palette) -> Text:
    """Return a line for each token: its loss, and the token in its context."""
    rows = [_make_token(token, width, look) for token in tokens]
    return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)


def _make_token(token: Token, width: int, look: Palette) -> Text:
    row = Text(no_wrap=True, overflow="ellipsis")
    row.append(f"{token.base_loss:>5.2f}→", style=look["muted"])
    row.append(f"{token.loss:>5.2f} ", style=look["warning" if token.loss > token.base_loss else "info"])
    room = max(12, width - row.cell_len)
    text = Text(join_lines(token.text)[:SHOWN] or " ")
    text.truncate(max(4, room // 2), overflow="ellipsis")
    after = min(room // 4, room - text.cell_len - 1)
    row.append(_cut_start(join_lines(token.before), room - text.cell_len - after), style=look["muted"])
    row.append(text.plain, style=f"bold {look.cursor}")
    row.append(join_lines(token.after)[:SHOWN], style=look["muted"])
    row.truncate(width, overflow="ellipsis")
    return row


def join_lines(text: str) -> str:
    """On one line, its line ends as signs: they are tokens, too."""
    return sanitize(
        sanitize(text[-SHOWN:] if len(text) > SHOWN else text, lines=True).replace("\n", LINE_END)
    )


def _cut_start(text: str, cells: int) -> str:
    """The end of ``text``, padded to ``cells`` at the left."""
    text = text[-cells:] if cells > 0 else ""
    while cell_len(text) > cells:
        text = text[1:]
    return " " * (cells - cell_len(text)) + text


def _pad_name(name: str, cells: int) -> str:
    fitted = Text(name)
    fitted.truncate(cells, overflow="ellipsis", pad=True)
    return fitted.plain
