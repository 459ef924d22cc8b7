"""The box of one answer: its text as it comes, and what it waits for."""

from __future__ import annotations

from rich.text import Text

from core.contract.text.sanitize import sanitize
from tui.samples.answer_stream import Answer
from tui.theme_colors import Palette
from tui.widgets.focus_box import Box

LONGEST = 20_000  # characters of an answer that are shown


class AnswerBox(Box):
    """Wraps its text, and stays at the end of one that grows."""

    DEFAULT_CSS = """
    AnswerBox { width: 1fr; height: 1fr; border-subtitle-color: $text-muted; }
    AnswerBox > Sheet { text-wrap: wrap; text-overflow: fold; }
    """

    def show_answer(self, title: str, answer: Answer | None, hint: str, look: Palette, fix: str = "") -> None:
        """Show an answer; without one, the ``hint``; ``fix`` is what to do about one that was refused."""
        state = describe_stage(answer) if answer is not None else ""
        if (self.border_title, self.border_subtitle) != (title, state):
            self.border_title, self.border_subtitle = title, state
        at_end = self.scroll_offset.y >= self.max_scroll_y
        text = Text(hint, style=look["muted"]) if answer is None else format_answer(answer, look, fix)
        self._sheet.draw(text)
        if answer is not None and answer.is_open and at_end:
            self.scroll_end(animate=False)


def describe_stage(answer: Answer) -> str:
    """Return what an answer is doing, in words."""
    tokens, most = answer.text.tokens, answer.request.max_tokens
    return {
        "queued": "waiting",
        "writing": f"writing {tokens} of {most} tokens",
        "done": f"done, {tokens} token{'s' * (tokens != 1)}",
        "cancelled": f"cancelled after {tokens} token{'s' * (tokens != 1)}",
        "refused": "no answer",
    }[answer.stage]


def format_answer(answer: Answer, look: Palette, fix: str = "") -> Text:
    """Return the text of an answer. Rich's Text holds it: no markup in it is obeyed."""
    text = Text(sanitize(answer.text.text, LONGEST, lines=True))
    match answer.stage:
        case "queued":
            return Text(
                "The answer is generated between micro-batches of the training, in the share of the time "
                "that scoring may take. It comes at once while nothing trains.",
                style=look["muted"],
            )
        case "writing":
            text.append("▌", style=look["accent"])
        case "done" if not answer.text.text.strip():
            text = Text("(the answer is empty)", style=look["muted"])
        case "refused":
            text = Text(sanitize(answer.why, 300), style=look["error"])
            if fix := fix or answer.fix:
                text.append(f"\n→ {sanitize(fix, 300)}", style=look["muted"])
    return text
