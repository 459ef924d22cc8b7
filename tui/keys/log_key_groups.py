"""The keys of long lists: events, logs, and the studies of all hosts."""

from __future__ import annotations

from tui.keys.key_definition import Group, Key

EVENTS = Group(
    "events",
    (
        Key("events.back", "escape,backspace", "back", "back", "show all events, then back"),
        Key("events.open", "enter", "open", "open trial", "open the trial of the event"),
        Key(
            "events.filter",
            "slash",
            "filter",
            "filter",
            "show events such as: level:error  trial:12  worker",
            priority=True,
        ),
        Key("events.down", "down,j", "move(1)", "down", "the next event"),
        Key("events.up", "up,k", "move(-1)", "up", "the previous event"),
        Key("events.further", "pagedown", "page(1)", "page", "a page further down"),
        Key("events.nearer", "pageup", "page(-1)", "page up", "a page further up"),
        Key("events.top", "g,home", "edge(-1)", "first", "the first event"),
        Key("events.bottom", "G,end", "edge(1)", "newest", "the newest event; new ones are followed"),
    ),
    ("events.back", "events.open", "events.filter", "events.further", "events.bottom"),
)

LOGS = Group(
    "logs",
    (
        Key("logs.back", "escape,backspace", "back", "back", "remove the filter, then back"),
        Key("logs.next_file", "tab", "file(1)", "file", "the next log: the engine's, then each worker's"),
        Key("logs.previous_file", "shift+tab", "file(-1)", "prev file", "the previous log"),
        Key(
            "logs.filter",
            "slash",
            "filter",
            "filter",
            "show lines that match a regular expression",
            priority=True,
        ),
        Key("logs.next", "semicolon", "match(1)", "next match", "the next line that matches"),
        Key("logs.previous", "comma", "match(-1)", "prev match", "the previous line that matches"),
        Key("logs.all", "A", "all", "all", "show or hide the lines that do not match"),
        Key("logs.down", "down,j", "move(1)", "down", "the next line"),
        Key("logs.up", "up,k", "move(-1)", "up", "the previous line"),
        Key("logs.further", "pagedown", "page(1)", "page", "a page further down"),
        Key("logs.nearer", "pageup", "page(-1)", "page up", "a page further up"),
        Key("logs.top", "g,home", "edge(-1)", "first", "the first line that was read"),
        Key("logs.bottom", "G,end", "edge(1)", "end", "the last line; new ones are followed"),
    ),
    (
        "logs.back", "logs.next_file", "logs.filter", "logs.next", "logs.previous", "logs.all", "logs.bottom",
    ),
)  # fmt: skip

STUDIES = Group(
    "studies of all hosts",
    (
        Key("studies.back", "escape,backspace,S", "back", "back", "remove the filter, then back"),
        Key("studies.open", "enter", "open", "open", "show the study; attach to its host if it is another"),
        Key(
            "studies.filter", "slash", "filter", "filter", "show studies such as: gpu2 running", priority=True
        ),
        Key("studies.again", "r", "again", "ask again", "ask all hosts now (every 30 s by itself)"),
        Key("studies.down", "down,j", "move(1)", "down", "the next study"),
        Key("studies.up", "up,k", "move(-1)", "up", "the previous study"),
        Key("studies.further", "pagedown", "page(1)", "page", "a page further down"),
        Key("studies.nearer", "pageup", "page(-1)", "page up", "a page further up"),
        Key("studies.top", "g,home", "edge(-1)", "first", "the first study"),
        Key("studies.bottom", "G,end", "edge(1)", "last", "the last study"),
    ),
    ("studies.back", "studies.open", "studies.filter", "studies.again"),
)
