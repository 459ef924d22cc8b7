"""The keys of what stands behind a score or a loss: report card, evidence, loss by token and attention."""

from __future__ import annotations

from tui.keys.key_definition import Group, Key

REPORT_CARD = Group(
    "report card of a trial",
    (
        Key("card.back", "escape,backspace,K", "back", "back", "back to the boards"),
        Key("card.down", "down,j", "line(1)", "down", "further down"),
        Key("card.up", "up,k", "line(-1)", "up", "further up"),
        Key("card.further", "pagedown", "page(1)", "page", "a page further down"),
        Key("card.nearer", "pageup", "page(-1)", "up", "a page further up"),
    ),
    ("card.back", "card.down", "card.further"),
)

EVIDENCE = Group(
    "evidence of a score",
    (
        Key("evidence.back", "escape,backspace", "back", "back", "back to the boards"),
        Key("evidence.next", "down,j", "sample(1)", "next", "the next sample"),
        Key("evidence.previous", "up,k", "sample(-1)", "previous", "the previous sample"),
        Key("evidence.down", "pagedown", "page(1)", "down", "further down a long sample"),
        Key("evidence.up", "pageup", "page(-1)", "up", "further up"),
        Key("evidence.again", "r", "again", "ask again", "ask the engine again"),
    ),
    ("evidence.back", "evidence.next", "evidence.previous", "evidence.down", "evidence.again"),
)

INTROSPECTION = Group(
    "inside a trial",
    (
        Key("insides.back", "escape,backspace,a", "back", "back", "back to the trial"),
        Key("insides.down", "down,j", "layer(1)", "layers", "further down the layers"),
        Key("insides.up", "up,k", "layer(-1)", "up", "further up the layers"),
        Key("insides.further", "pagedown", "page(1)", "tokens", "further down the tokens"),
        Key("insides.nearer", "pageup", "page(-1)", "up", "further up the tokens"),
        Key("insides.next", "right_square_bracket,right", "neighbour(1)", "next", "next trial"),
        Key("insides.previous", "left_square_bracket,left", "neighbour(-1)", "prev", "previous trial"),
        Key("insides.again", "r", "again", "ask again", "ask the engine again"),
    ),
    ("insides.back", "insides.down", "insides.further", "insides.next", "insides.again"),
)
