"""All keys of the console, each declared once: bindings, footer, help, command palette and manual use it."""

from __future__ import annotations

from tui.keys.chart_key_groups import CHART_CHOICE, CHARTS, DEVICES
from tui.keys.data_key_groups import DATA, ROWS
from tui.keys.dialog_key_groups import CHOICE, DIALOGS, FIELD, FORM
from tui.keys.evidence_key_groups import EVIDENCE, INTROSPECTION, REPORT_CARD
from tui.keys.filter_column_keys import COLUMNS, FILTER, TABLE
from tui.keys.key_definition import Group, Key
from tui.keys.log_key_groups import EVENTS, LOGS, STUDIES
from tui.keys.sample_key_groups import PROMPT_LINE, SAMPLES

PLACES = ("trials", "trial", "boards", "memory", "insight", "compare", "devices", "events", "logs")

OPEN = Key("trial.detail", "enter", "detail", "open", "open the selected trial")
PAUSE = Key("trial.pause", "p", "pause", "pause", "pause or resume the trial", "Pause or resume")
PRUNE = Key("trial.prune", "x", "prune", "prune", "prune the trial (asks first)", "Prune")
PAUSE_ALL = Key(
    "study.pause",
    "P",
    "pause_all",
    "pause all",
    "pause all trials and release the GPU, or resume",
    "Pause or resume all",
)
STOP = Key("study.stop", "s", "stop_study", "stop", "stop the study (asks first)", "Stop the study")
TO_MEMORY = Key("app.memory", "m", "memory", "memory", "memory by holder, and what would fit", "Memory")
TO_BOARDS = Key("app.boards", "b", "boards", "boards", "quality, safety and security of all trials", "Boards")
TO_INSIGHT = Key(
    "app.insight", "i", "insight", "insight", "insight: history, importance, Pareto front …", "Insight"
)
TO_DEVICES = Key(
    "app.devices", "d", "devices", "devices", "GPUs and host: load, history, processes by user", "Devices"
)
TO_SAMPLES = Key(
    "app.samples", "T", "samples", "samples", "ask a trial a prompt, and compare two blind", "Samples"
)
TO_DATA = Key("app.data", "J", "data", "data", "the rows: how they are read, findings, mixture", "Data")
CLONE = Key(
    "trial.clone",
    "c",
    "clone",
    "clone",
    "clone the trial from its checkpoint with other knobs",
    "Clone",
)
EDIT = Key("trial.edit", "e", "edit", "edit", "change its knobs while it runs", "Edit live")
UNDO = Key(
    "trial.reprieve",
    "u",
    "reprieve",
    "undo prune",
    "undo a prune while the checkpoint exists",
    "Undo a prune",
)
CHANGE = Key(
    "study.change",
    "E",
    "change",
    "change",
    "change the study: space, sampler, limits, budget …",
    "Change the study",
)
SWITCH = Key(
    "study.switch", "S", "app.studies", "studies", "all studies, also those of other hosts", "Choose a study"
)
HELP = Key("app.help", "question_mark", "app.help", "help", "this page", "Help")
DETACH = Key("app.detach", "q", "app.detach", "detach", "leave; the study continues", "Detach")
COPY = Key("app.copy", "y", "app.copy", "copy", "copy the marked text, or the trial's knobs", "Copy")
SAVE_FILE = Key(
    "app.save", "ctrl+s", "app.save", "save", "save table, curves, screen, report or bundle as a file", "Save"
)
LAST_PLACE = Key("app.last", "grave_accent", "app.last", "last", "back to the screen before, and again")
MESSAGES = Key(
    "app.messages", "at", "app.messages", "messages", "the messages that were shown, newest first", "Messages"
)
SUSPEND = Key("app.suspend", "ctrl+z", "suspend_process", "suspend", "suspend to the shell; fg returns")
REPAINT = Key("app.repaint", "ctrl+l", "app.repaint", "repaint", "draw the whole screen again")
COMMAND = Key(
    "app.command", "colon", "app.command", "command", "type a command: trial 12, sort loss, go boards"
)
DIGITS = tuple(
    Key(f"app.go-{place}", str(digit), f"app.go({place!r})", place, f"go to {place}")
    for digit, place in enumerate(PLACES, 1)
)
PALETTE = Key("app.palette", "ctrl+p", "command_palette", "palette", "all commands and themes")

STUDY = Group(
    "all trials",
    (
        OPEN,
        PAUSE,
        PAUSE_ALL,
        PRUNE,
        STOP,
        *TABLE,
        Key("list.down", "j,down", "move(1)", "down", "next trial"),
        Key("list.up", "k,up", "move(-1)", "up", "previous trial"),
        Key("list.top", "g,home", "edge(-1)", "first", "first trial"),
        Key("list.bottom", "G,end", "edge(1)", "last", "last trial"),
        TO_MEMORY,
        TO_BOARDS,
        TO_INSIGHT,
        TO_DEVICES,
        TO_SAMPLES,
        TO_DATA,
        Key(
            "trial.mark",
            "space,v",
            "mark",
            "select",
            "select or unselect the trial; keys act on all selected",
        ),
        Key("trial.mark-all", "M", "mark_all", "select all", "select all shown trials, or none"),
        Key(
            "trial.compare",
            "V",
            "compare",
            "compare",
            "compare the selected trials, or this one and the best",
        ),
        SWITCH,
        Key("list.clear", "escape", "clear_filter", "all trials", "remove the filter, then the selection"),
    ),
    (
        "trial.detail",
        "trial.pause",
        "trial.prune",
        "study.stop",
        "list.filter",
        "app.memory",
        "app.boards",
    ),
)


STEERING = Group(
    "steering, on both screens",
    (
        Key("trial.new", "n", "new", "new", "queue a new trial like the selected one", "New trial"),
        CLONE,
        EDIT,
        UNDO,
        Key("trial.star", "asterisk", "star", "star", "star or unstar the trial", "Star"),
        Key("trial.note", "N", "note", "note", "edit the trial's note", "Note"),
        Key("trial.pin", "D", "pin", "device", "pin the trial to a device, or unpin it", "Pin to a device"),
        Key("trial.earlier", "plus", "priority(1)", "earlier", "move up in the queue"),
        Key("trial.later", "minus", "priority(-1)", "later", "move down in the queue"),
        CHANGE,
    ),
)

TRIAL = Group(
    "one trial",
    (
        Key("detail.back", "escape,backspace", "back", "back", "back to all trials"),
        PAUSE,
        PRUNE,
        Key("detail.next", "right_square_bracket", "neighbour(1)", "next", "next trial"),
        Key("detail.previous", "left_square_bracket", "neighbour(-1)", "prev", "previous trial"),
        TO_MEMORY,
        TO_BOARDS,
        TO_INSIGHT,
        TO_DEVICES,
        TO_SAMPLES,
        TO_DATA,
        Key("detail.insides", "a", "insides", "insides", "loss by token, and attention"),
    ),
    ("detail.back", "trial.pause", "trial.prune", "app.memory", "app.boards", "detail.insides"),
)

MEMORY = Group(
    "memory",
    (
        Key("memory.back", "escape,backspace,m", "back", "back", "back to where you came from"),
        Key("memory.part", "tab", "app.focus_next", "part", "the next part of the page"),
        Key("memory.reset", "delete", "reset", "reset", "reset the what-if to the trial's knobs"),
        Key("memory.next", "right_square_bracket", "neighbour(1)", "next", "ask about the next trial"),
        Key(
            "memory.previous", "left_square_bracket", "neighbour(-1)", "prev", "ask about the previous trial"
        ),
        TO_BOARDS,
        Key("memory.down", "pagedown", "page(1)", "down", "further down the page"),
        Key("memory.up", "pageup", "page(-1)", "up", "further up the page"),
        PAUSE_ALL,
    ),
    ("memory.back", "memory.part", "memory.reset", "memory.next"),
)

WHAT_IF = Group(
    "memory: what would fit",
    (
        Key("whatif.down", "down,j", "row(1)", "knob", "the next knob of the what-if"),
        Key("whatif.up", "up,k", "row(-1)", "up", "the previous knob"),
        Key("whatif.more", "right,l", "value(1)", "value", "a larger value, or the next"),
        Key("whatif.less", "left,h", "value(-1)", "less", "a smaller value, or the previous"),
    ),
    ("whatif.down", "whatif.more"),
)

BOARDS = Group(
    "boards",
    (
        Key("boards.back", "escape,backspace,b", "back", "back", "back to where you came from"),
        Key("boards.evidence", "enter", "evidence", "evidence", "the worst samples behind the number"),
        Key("boards.next", "tab", "board(1)", "board", "the next board"),
        Key("boards.previous", "shift+tab", "board(-1)", "prev", "the previous board"),
        Key("boards.down", "down,j", "move(1,0)", "down", "the next trial"),
        Key("boards.up", "up,k", "move(-1,0)", "up", "the previous trial; the base is on top"),
        Key("boards.right", "right,l", "move(0,1)", "right", "the next metric, and on to the next board"),
        Key("boards.left", "left,h", "move(0,-1)", "left", "the previous metric"),
        Key("boards.top", "g,home", "move(-99999,0)", "first", "the base"),
        Key("boards.bottom", "G,end", "move(99999,0)", "last", "the last trial"),
        Key("boards.sort", "o", "sort", "order", "best first by the selected metric, or by number"),
        Key("boards.all", "A", "all", "all", "show or hide trials without scores"),
        Key("boards.card", "K", "card", "card", "the report card: what the scores show, and what not"),
        Key("boards.intervals", "I", "intervals", "interval", "show or hide the intervals"),
        Key(
            "boards.filter", "slash", "filter", "filter", "show trials such as: running  r=16", priority=True
        ),
        PAUSE,
        PRUNE,
        TO_MEMORY,
    ),
    ("boards.back", "boards.evidence", "boards.next", "boards.card", "boards.sort", "boards.intervals"),
)

INSIGHT = Group(
    "insight",
    (
        Key("insight.back", "escape,backspace,i", "back", "back", "back to where you came from"),
        Key("insight.next", "tab", "page(1)", "page", "the next page"),
        Key("insight.previous", "shift+tab", "page(-1)", "prev", "the previous page"),
        Key("insight.down", "down,j", "choose(1)", "knob", "the next knob or pair; in lists, trial"),
        Key("insight.up", "up,k", "choose(-1)", "up", "the previous knob, pair or trial"),
        Key("insight.right", "right,l", "trial(1)", "trial", "the next trial of the page"),
        Key("insight.left", "left,h", "trial(-1)", "left", "the previous trial"),
        Key("insight.open", "enter", "open", "open", "open the trial under the cursor"),
        Key(
            "insight.objective",
            "full_stop",
            "objective",
            "objective",
            "the next objective, where there are several",
        ),
        Key("insight.all", "A", "all", "results", "show or hide the trials that were stopped early"),
        Key("insight.method", "f", "method", "method", "importance by PED-ANOVA or fANOVA"),
    ),
    ("insight.back", "insight.next", "insight.down", "insight.right", "insight.open", "insight.all"),
)

COMPARE = Group(
    "comparing trials",
    (
        Key("compare.back", "escape,backspace,V", "back", "back", "back to all trials"),
        Key("compare.next", "tab", "choose(1)", "metric", "the next metric"),
        Key("compare.previous", "shift+tab", "choose(-1)", "prev", "the previous metric"),
        Key("compare.down", "down,j,pagedown", "scroll(1)", "down", "further down the list"),
        Key("compare.up", "up,k,pageup", "scroll(-1)", "up", "further up"),
    ),
    ("compare.back", "compare.next", "compare.down"),
)

EVERYWHERE = Group(
    "everywhere",
    (HELP, COMMAND, COPY, SAVE_FILE, LAST_PLACE, MESSAGES, DETACH, *DIGITS),
    (HELP.id, COMMAND.id, DETACH.id),
)
ALWAYS = Group("everywhere", (SUSPEND, REPAINT))  # also under a form or a dialog

GROUPS = (
    STUDY,
    FILTER,
    COLUMNS,
    TRIAL,
    CHARTS,
    CHART_CHOICE,
    STEERING,
    WHAT_IF,
    MEMORY,
    BOARDS,
    REPORT_CARD,
    EVIDENCE,
    INSIGHT,
    COMPARE,
    DEVICES,
    INTROSPECTION,
    STUDIES,
    EVENTS,
    LOGS,
    SAMPLES,
    PROMPT_LINE,
    DATA,
    ROWS,
    Group("forms", (*FORM, *FIELD, *CHOICE)),
    *DIALOGS,
    Group(
        "everywhere",
        (
            HELP, COMMAND, *DIGITS, LAST_PLACE, MESSAGES, COPY, SAVE_FILE, DETACH, SUSPEND, REPAINT, PALETTE,
        ),
    ),
)  # fmt: skip


def list_command_keys() -> dict[str, Key]:
    """Return the keys with a title by the name that is typed after `:`, such as pause-all."""
    return {key.label.replace(" ", "-"): key for key in list_commands()}


def list_commands() -> list[Key]:
    """Return every key with a title in the command palette, once."""
    keys = {key.id: key for group in GROUPS for key in group if key.command}
    return list(keys.values())
