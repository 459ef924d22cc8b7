"""The keys of dialogs and forms. ``tui.key_declarations`` has those of the screens, and all groups."""

from __future__ import annotations

from tui.key_definition import Group, Key

FORM = Group(
    "forms",
    (Key("form.close", "escape", "dismiss(None)", "close", "leave without a change"),),
    ("form.close",),
)


FIELD = Group(
    "forms: a field",
    (
        Key("form.reset", "ctrl+r", "as_before", "as it was", "undo the change of a row"),
        Key("form.down", "down", "app.focus_next", "next", "the next row"),
        Key("form.up", "up", "app.focus_previous", "previous", "the previous row"),
    ),
)


CHOICE = Group(
    "forms: a choice",
    (
        Key("form.right", "right,space", "turn(1)", "next choice", "the next choice"),
        Key("form.left", "left", "turn(-1)", "choice before", "the previous choice"),
    ),
)


CONFIRM = Group(
    "confirmation",
    (
        Key("confirm.yes", "y", "answer(True)", "yes", "confirm"),
        Key("confirm.no", "n,escape", "answer(False)", "no", "do nothing"),
    ),
    ("confirm.yes", "confirm.no"),
)


PIN = Group(
    "pinning to a device",
    (
        Key("pin.close", "escape", "dismiss(None)", "close", "leave without a change"),
        Key("pin.next", "D,j", "next", "next", "the next device"),
    ),
    ("pin.close",),
)


STUDIES = Group(
    "choosing a study",
    (Key("studies.close", "escape", "dismiss(None)", "close", "leave without a change"),),
    ("studies.close",),
)


COMMAND_LINE = Group(
    "command line",
    (
        Key("command.complete", "tab", "complete", "complete", "take the completion", priority=True),
        Key("command.earlier", "up", "history(-1)", "earlier", "the command before"),
        Key("command.later", "down", "history(1)", "later", "the command after"),
        Key("command.close", "escape", "dismiss(None)", "close", "leave without a command"),
    ),
)


HELP_PAGE = Group(
    "this page",
    (
        Key("help.search", "slash", "search", "search", "search keys and manual"),
        Key("help.close", "escape,question_mark,q", "dismiss", "close", "close the help"),
    ),
    ("help.search", "help.close"),
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


AWAY = Group(
    "while you were away",
    (Key("away.close", "escape", "dismiss(None)", "close", "close the page"),),
    ("away.close",),
)


START_FORM = Group(
    "starting a study",
    (
        Key("start.complete", "tab", "complete", "complete", "complete the path, or go on", priority=True),
        Key("start.next", "down", "app.focus_next", "next", "the next row"),
        Key("start.previous", "up", "app.focus_previous", "previous", "the previous row"),
        Key("start.close", "escape", "dismiss(None)", "close", "leave without a study"),
    ),
    ("start.complete", "start.close"),
)

DIALOGS = (CONFIRM, PIN, STUDIES, AWAY, START_FORM, HELP_PAGE, COMMAND_LINE)
