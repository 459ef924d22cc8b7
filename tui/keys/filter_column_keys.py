"""The keys of the trial table's filter and of its dialog of columns."""

from __future__ import annotations

from tui.keys.key_definition import Group, Key

TABLE = (
    # priority: the keys typed next go into the filter, not to the table
    Key(
        "list.filter",
        "slash",
        "filter",
        "find",
        "show trials such as: state:running  lr<1e-4  loss<2.1  !best",
        priority=True,
    ),
    Key("list.sort", "o", "sort", "order", "order by number, or best first"),
    Key("list.reverse", "O", "reverse", "reverse", "turn the order round"),
    Key("list.columns", "C", "columns", "columns", "choose and order the columns", "Columns"),
    Key("race.along", "t", "along", "axis", "the race by steps, tokens or training time"),
    Key("race.toggle", "R", "race", "race", "show or hide the race of all trials"),
    Key(
        "panels.next", "underscore", "panels", "panels", "below: devices and events, one of them, or neither"
    ),
)

FILTER = Group(
    "filter of trials",
    (Key("filter.complete", "tab", "complete", "complete", "take over the completed name"),),
)

COLUMNS = Group(
    "columns of the table",
    (
        Key("columns.toggle", "space", "show", "show", "show or hide the column"),
        Key("columns.later", "shift+down,J", "shift(1)", "later", "move the column to the right"),
        Key("columns.earlier", "shift+up,K", "shift(-1)", "earlier", "move the column to the left"),
        Key("columns.order", "o", "order", "order", "order by the column; again: the other way round"),
        Key("columns.reset", "r", "reset", "reset", "the columns that trimtab chooses"),
        Key("columns.down", "j", "move(1)", "down", "the next column"),
        Key("columns.up", "k", "move(-1)", "up", "the previous column"),
        Key("columns.close", "escape,q,C", "done", "done", "back to the table"),
    ),
    ("columns.toggle", "columns.order", "columns.close"),
)
