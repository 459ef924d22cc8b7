"""The keys of the data screen, and of the screen of a source's rows."""

from __future__ import annotations

from tui.keys.key_definition import Group, Key

DATA = Group(
    "data",
    (
        Key("data.back", "escape,backspace,J", "back", "back", "back to where you came from"),
        Key("data.rows", "enter", "rows", "rows", "rows of the source or finding, learnt tokens marked"),
        Key("data.down", "down,j", "move(1)", "down", "the next source or finding"),
        Key("data.up", "up,k", "move(-1)", "up", "the previous source or finding"),
        Key("data.top", "g,home", "edge(-1)", "first", "the first entry"),
        Key("data.bottom", "G,end", "edge(1)", "last", "the last entry"),
        Key("data.further", "pagedown", "page(1)", "page", "further down the details"),
        Key("data.nearer", "pageup", "page(-1)", "page up", "further up the details"),
        Key("data.next", "right_square_bracket", "neighbour(1)", "next trial", "the next trial's mixture"),
        Key("data.previous", "left_square_bracket", "neighbour(-1)", "prev", "the previous trial's mixture"),
        Key("data.again", "r", "again", "check again", "check the rows again, whatever was kept"),
    ),
    ("data.back", "data.rows", "data.down", "data.further", "data.next", "data.again"),
)

ROWS = Group(
    "rows of a source",
    (
        Key("rows.back", "escape,backspace", "back", "back", "back to the data"),
        Key("rows.next", "down,j", "row(1)", "next row", "the next row"),
        Key("rows.previous", "up,k", "row(-1)", "prev row", "the previous row"),
        Key("rows.later", "shift+down", "row(100)", "+100", "100 rows further"),
        Key("rows.earlier", "shift+up", "row(-100)", "-100", "100 rows back"),
        Key("rows.top", "g,home", "first", "first", "the first row"),
        Key("rows.example", "right_square_bracket", "neighbour(1)", "example", "the next row of the finding"),
        Key(
            "rows.example_before", "left_square_bracket", "neighbour(-1)", "prev", "the finding's row before"
        ),
        Key("rows.further", "pagedown", "page(1)", "page", "further down a long row"),
        Key("rows.nearer", "pageup", "page(-1)", "page up", "further up"),
        Key("rows.again", "r", "again", "ask again", "ask the engine again"),
    ),
    ("rows.back", "rows.next", "rows.previous", "rows.later", "rows.example", "rows.further", "rows.again"),
)
