"""The keys of dialogs and forms. ``tui.keys.key_declarations`` has those of the screens, and all groups."""

from __future__ import annotations

from tui.keys.key_definition import Group, Key

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


DEVICE_USE = Group(
    "giving a device back",
    (
        Key("use.close", "escape", "dismiss(None)", "close", "leave without a change"),
        Key("use.next", "Y,j", "next", "next", "the next device"),
    ),
    ("use.close",),
)


SIGNALS = Group(
    "sending a signal",
    (
        Key("signal.close", "escape", "dismiss(None)", "close", "leave without a signal"),
        Key("signal.int", "I", "send('INT')", "INT", "interrupt, as Ctrl-C does"),
        Key("signal.kill", "K", "send('KILL')", "KILL", "end it at once: nothing is saved"),
    ),
    ("signal.close", "signal.int", "signal.kill"),
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


MESSAGE_LIST = Group(
    "messages",
    (Key("messages.close", "escape,at,q", "dismiss", "close", "close the messages"),),
    ("messages.close",),
)


SAVE = Group(
    "saving",
    (
        Key("save.down", "down", "choose(1)", "what", "save the next of what there is", priority=True),
        Key("save.up", "up", "choose(-1)", "what", "save the one before", priority=True),
        Key("save.close", "escape", "dismiss(None)", "close", "leave without a file"),
    ),
    ("save.down", "save.close"),
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

DIALOGS = (CONFIRM, PIN, DEVICE_USE, SIGNALS, SAVE, MESSAGE_LIST, AWAY, START_FORM, HELP_PAGE, COMMAND_LINE)
