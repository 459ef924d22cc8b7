"""The keys of the samples screen."""

from __future__ import annotations

from tui.keys.key_definition import Group, Key

SAMPLES = Group(
    "samples",
    (
        Key("samples.back", "escape,backspace", "back", "back", "cancel the answer, then back"),
        Key("samples.ask", "enter", "ask", "ask", "type a prompt; ↑ and ↓ bring earlier ones"),
        Key("samples.again", "r", "again", "ask again", "ask the same prompt again, or another row"),
        Key("samples.page", "tab,shift+tab", "page", "page", "blind pairs, or one trial"),
        Key("samples.left", "left", "rate('left')", "left", "the left answer is better"),
        Key("samples.tie", "equals_sign", "rate('tie')", "tie", "neither answer is better"),
        Key("samples.right", "right", "rate('right')", "right", "the right answer is better"),
        Key("samples.skip", "down,j", "skip", "next pair", "the next pair, without a rating"),
        Key("samples.base", "B", "base", "base", "the base's answer; in pairs: the base or trials alone"),
        Key("samples.next", "right_square_bracket", "neighbour(1)", "next", "ask the next trial"),
        Key("samples.previous", "left_square_bracket", "neighbour(-1)", "prev", "ask the previous trial"),
        Key("samples.heat", "H", "change('temperature')", "temperature", "the next temperature: 0 to 1"),
        Key("samples.length", "U", "change('max_tokens')", "length", "longer answers: 40 to 320 tokens"),
        Key("samples.source", "F", "change('source')", "prompts", "prompts that you type, or of rows"),
        Key("samples.further", "pagedown", "scroll(1)", "page", "further down the answers"),
        Key("samples.nearer", "pageup", "scroll(-1)", "page up", "further up the answers"),
    ),
    (
        "samples.left", "samples.tie", "samples.right", "samples.back", "samples.skip", "samples.ask",
        "samples.again", "samples.page", "samples.base", "samples.heat", "samples.length", "samples.source",
        "samples.next",
    ),
)  # fmt: skip

PROMPT_LINE = Group(
    "prompt",
    (
        Key("prompt.earlier", "up", "history(-1)", "earlier", "the prompt before"),
        Key("prompt.later", "down", "history(1)", "later", "the prompt after"),
        Key("prompt.close", "escape", "leave", "close", "leave without a prompt"),
    ),
)
