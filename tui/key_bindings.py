"""The table of keys, from which bindings, footer and help are made."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Key:
    """``keys`` as Textual names them; ``label`` for the footer; ``meaning`` for the help."""

    id: str
    keys: str
    action: str
    label: str
    meaning: str
    shown: bool = False
    priority: bool = False


STUDY = (
    Key("trial.detail", "enter", "detail", "open", "open the selected trial", shown=True),
    Key("trial.pause", "p", "pause", "pause", "pause or resume the selected trial", shown=True),
    Key("study.pause", "P", "pause_all", "pause all", "pause all trials and release the GPU, or resume"),
    Key("trial.prune", "x", "prune", "prune", "prune the selected trial (asks first)", shown=True),
    Key("study.stop", "s", "stop_study", "stop", "stop the study (asks first); results are kept", shown=True),
    # priority: the keys typed next go into the filter, not to the table
    Key(
        "list.filter",
        "slash",
        "filter",
        "find",
        "show trials such as: running  r=16  12",
        shown=True,
        priority=True,
    ),
    Key("list.sort", "o", "sort", "order", "order by number, or best first"),
    Key("list.down", "j,down", "move(1)", "down", "next trial"),
    Key("list.up", "k,up", "move(-1)", "up", "previous trial"),
    Key("list.top", "g,home", "edge(-1)", "first", "first trial"),
    Key("list.bottom", "G,end", "edge(1)", "last", "last trial"),
    Key("app.memory", "m", "memory", "memory", "memory by holder, and what would fit", shown=True),
    Key("app.boards", "b", "boards", "boards", "quality, safety and security of all trials", shown=True),
    Key("app.insight", "i", "insight", "insight", "insight: history, importance, Pareto front …"),
    Key("trial.mark", "v", "mark", "mark", "mark or unmark the trial for comparison"),
    Key("trial.compare", "V", "compare", "compare", "compare the marked trials, or this one and the best"),
    Key("study.switch", "S", "studies", "studies", "choose another study"),
    Key("list.clear", "escape", "clear_filter", "all trials", "remove the filter"),
)

STEERING = (
    Key("trial.new", "n", "new", "new", "queue a new trial like the selected one"),
    Key("trial.clone", "c", "clone", "clone", "clone the trial from its checkpoint with other knobs"),
    Key("trial.edit", "e", "edit", "edit", "change its knobs while it runs"),
    Key("trial.reprieve", "u", "reprieve", "undo prune", "undo a prune while the checkpoint exists"),
    Key("trial.star", "asterisk", "star", "star", "star or unstar the trial"),
    Key("trial.note", "N", "note", "note", "edit the trial's note"),
    Key("trial.pin", "D", "pin", "device", "pin the trial to a device, or unpin it"),
    Key("trial.earlier", "plus", "priority(1)", "earlier", "move up in the queue"),
    Key("trial.later", "minus", "priority(-1)", "later", "move down in the queue"),
    Key("study.change", "E", "change", "change", "change the study: space, sampler, limits, budget …"),
)

DETAIL = (
    Key("detail.back", "escape,backspace", "back", "back", "back to all trials", shown=True),
    Key("trial.pause", "p", "pause", "pause", "pause or resume the trial", shown=True),
    Key("trial.prune", "x", "prune", "prune", "prune the trial (asks first)", shown=True),
    Key("detail.next", "right_square_bracket,right", "neighbour(1)", "next", "next trial"),
    Key(
        "detail.previous",
        "left_square_bracket,left",
        "neighbour(-1)",
        "prev",
        "previous trial",
    ),
    Key("app.memory", "m", "memory", "memory", "memory by holder, and what would fit", shown=True),
    Key("app.boards", "b", "boards", "boards", "quality, safety and security of all trials", shown=True),
    Key("app.insight", "i", "insight", "insight", "insight: history, importance, Pareto front …"),
    Key("chart.smooth", "w", "smooth", "smooth", "smooth the training curve, or show it raw"),
    Key("chart.log", "l", "log", "log", "logarithmic or linear values"),
    Key("detail.insides", "a", "insides", "insides", "loss by token, and attention", shown=True),
)

INSIDES = (
    Key("insides.back", "escape,backspace,a", "back", "back", "back to the trial", shown=True),
    Key("insides.down", "down,j", "layer(1)", "layers", "further down the layers", shown=True),
    Key("insides.up", "up,k", "layer(-1)", "up", "further up the layers"),
    Key("insides.further", "pagedown,space", "page(1)", "tokens", "further down the tokens", shown=True),
    Key("insides.nearer", "pageup", "page(-1)", "up", "further up the tokens"),
    Key("insides.next", "right_square_bracket,right", "neighbour(1)", "next", "next trial", shown=True),
    Key("insides.previous", "left_square_bracket,left", "neighbour(-1)", "prev", "previous trial"),
    Key("insides.again", "r", "again", "ask again", "ask the engine again", shown=True),
)

MEMORY = (
    Key("memory.back", "escape,backspace,m", "back", "back", "back to where you came from", shown=True),
    Key("memory.part", "tab", "app.focus_next", "part", "the next part of the page", shown=True),
    Key("memory.reset", "r", "reset", "reset", "reset the what-if to the trial's knobs", shown=True),
    Key(
        "memory.next", "right_square_bracket", "neighbour(1)", "next", "ask about the next trial", shown=True
    ),
    Key("memory.previous", "left_square_bracket", "neighbour(-1)", "prev", "ask about the previous trial"),
    Key("app.boards", "b", "boards", "boards", "quality, safety and security of all trials"),
    Key("memory.down", "pagedown", "page(1)", "down", "further down the page"),
    Key("memory.up", "pageup", "page(-1)", "up", "further up the page"),
    Key("study.pause", "P", "pause_all", "pause all", "pause all trials and release the GPU, or resume"),
)

WHAT_IF = (
    Key("whatif.down", "down,j", "row(1)", "knob", "the next knob of the what-if", shown=True),
    Key("whatif.up", "up,k", "row(-1)", "up", "the previous knob"),
    Key("whatif.more", "right,l", "value(1)", "value", "a larger value, or the next", shown=True),
    Key("whatif.less", "left,h", "value(-1)", "less", "a smaller value, or the previous"),
)

BOARDS = (
    Key("boards.back", "escape,backspace,b", "back", "back", "back to where you came from", shown=True),
    Key(
        "boards.evidence", "enter", "evidence", "evidence", "the worst samples behind the number", shown=True
    ),
    Key("boards.next", "tab,right_square_bracket", "board(1)", "board", "the next board", shown=True),
    Key("boards.previous", "shift+tab,left_square_bracket", "board(-1)", "prev", "the previous board"),
    Key("boards.down", "down,j", "move(1,0)", "down", "the next trial"),
    Key("boards.up", "up,k", "move(-1,0)", "up", "the previous trial; the base is on top"),
    Key("boards.right", "right,l", "move(0,1)", "right", "the next metric, and on to the next board"),
    Key("boards.left", "left,h", "move(0,-1)", "left", "the previous metric"),
    Key("boards.top", "g,home", "move(-99999,0)", "first", "the base"),
    Key("boards.bottom", "G,end", "move(99999,0)", "last", "the last trial"),
    Key("boards.sort", "o", "sort", "order", "best first by the selected metric, or by number", shown=True),
    Key("boards.all", "a", "all", "all", "show or hide trials without scores", shown=True),
    Key("boards.intervals", "i", "intervals", "interval", "show or hide the intervals", shown=True),
    Key("boards.filter", "slash", "filter", "filter", "show trials such as: running  r=16", priority=True),
    Key("trial.pause", "p", "pause", "pause", "pause or resume the selected trial"),
    Key("trial.prune", "x", "prune", "prune", "prune the selected trial (asks first)"),
    Key("app.memory", "m", "memory", "memory", "memory by holder, and what would fit"),
)

EVIDENCE = (
    Key("evidence.back", "escape,backspace,enter", "back", "back", "back to the boards", shown=True),
    Key("evidence.next", "n,down,j", "sample(1)", "next", "the next sample", shown=True),
    Key("evidence.previous", "p,up,k", "sample(-1)", "previous", "the previous sample", shown=True),
    Key("evidence.down", "pagedown,space", "page(1)", "down", "further down a long sample", shown=True),
    Key("evidence.up", "pageup", "page(-1)", "up", "further up"),
    Key("evidence.again", "r", "again", "ask again", "ask the engine again", shown=True),
)

INSIGHT = (
    Key("insight.back", "escape,backspace,i", "back", "back", "back to where you came from", shown=True),
    Key("insight.next", "tab,right_square_bracket", "page(1)", "page", "the next page", shown=True),
    Key("insight.previous", "shift+tab,left_square_bracket", "page(-1)", "prev", "the previous page"),
    Key("insight.down", "down,j", "choose(1)", "knob", "the next knob or pair; in lists, trial", shown=True),
    Key("insight.up", "up,k", "choose(-1)", "up", "the previous knob, pair or trial"),
    Key("insight.right", "right,l", "trial(1)", "trial", "the next trial of the page", shown=True),
    Key("insight.left", "left,h", "trial(-1)", "left", "the previous trial"),
    Key("insight.open", "enter", "open", "open", "open the trial under the cursor", shown=True),
    Key("insight.objective", "o", "objective", "objective", "the next objective, where there are several"),
    Key("insight.method", "f", "method", "method", "importance by PED-ANOVA or fANOVA"),
)

COMPARE = (
    Key("compare.back", "escape,backspace,V", "back", "back", "back to all trials", shown=True),
    Key("compare.along", "a", "along", "axis", "over steps, tokens or training time", shown=True),
    Key("compare.next", "tab,right_square_bracket", "metric(1)", "metric", "the next metric", shown=True),
    Key("compare.previous", "shift+tab,left_square_bracket", "metric(-1)", "prev", "the previous metric"),
    Key("compare.log", "l", "log", "log", "logarithmic or linear values", shown=True),
    Key("compare.smooth", "e", "smooth", "smooth", "smooth the curves, or show them raw", shown=True),
    Key("compare.down", "down,j,pagedown", "scroll(1)", "down", "further down the list", shown=True),
    Key("compare.up", "up,k,pageup", "scroll(-1)", "up", "further up"),
)

EVERYWHERE = (
    Key("app.help", "question_mark", "app.help", "help", "this page", shown=True),
    Key("app.detach", "q", "app.detach", "detach", "leave; the study continues", shown=True),
)
ALWAYS = (Key("app.suspend", "ctrl+z", "suspend_process", "suspend", "suspend to the shell; fg returns"),)


def bindings(*groups: tuple[Key, ...]) -> list[BindingType]:
    """Return the groups as Textual bindings. A key map refers to their ids."""
    return [
        Binding(key.keys, key.action, key.label, show=key.shown, id=key.id, priority=key.priority)
        for group in groups
        for key in group
    ]
