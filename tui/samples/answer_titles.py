"""What stands above the answers: the prompt, and whose they are, or their sides before a rating. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire.sample_messages import BASE, Pair
from tui.samples.answer_stream import Answer
from tui.theme_colors import Palette

LONGEST = 500  # characters of a prompt that are shown


def name_pages(blind: bool, look: Palette) -> Text:
    """Return the names of the two pages, the one that is shown reversed."""
    line = Text("  ")
    for name, is_shown in (("one trial", not blind), ("blind pairs", blind)):
        line.append(f" {name} ", style=f"bold reverse {look['accent']}" if is_shown else look["muted"])
    return line


def make_about_line(trial: s.Trial | None, rated: Pair | None, wide: bool, look: Palette) -> Text:
    """Return who is asked; without a ``trial``, the question of a blind pair, or how a ``rated`` one was
    chosen."""
    line = Text(no_wrap=True, overflow="ellipsis")
    if trial is not None:
        line.append(f"trial {trial.number}  ", style="bold")
        line.append(f"{trial.state}, step {trial.step}  " if wide else "", style=look[trial.state])
    elif rated is not None:
        drawn_text = "at random" if rated.drawn else "as the most informative"
        line.append(f"rated; chosen {drawn_text}  ", style=look["good"])
    else:
        line.append("which is better?  ", style="bold")
    return line


def make_prompt_line(prompt: str, answers: Sequence[Answer], look: Palette) -> Text:
    """Return the line of the prompt, which an answer knows if it was drawn."""
    line = Text("prompt  ", style="", no_wrap=True, overflow="ellipsis")
    line.stylize(look["muted"])
    shown_prompt = next((answer.prompt for answer in answers if answer.prompt), prompt)
    line.append(sanitize(shown_prompt, LONGEST) if shown_prompt else "–")
    return line


def name_answers(number: int | None, answers: Sequence[Answer]) -> tuple[str, str]:
    """Return the titles of a trial's answer and of the base's."""
    return _describe(number, answers, 0), _describe(BASE, answers, 1)


def name_pair(pair: Pair | None, choice: str, answers: Sequence[Answer]) -> tuple[str, str]:
    """Return the titles of a blind pair: names only once it is rated."""
    if pair is None or not choice:
        return "left", "right"
    left, right = _describe(pair.left, answers, 0), _describe(pair.right, answers, 1)
    better = "  ✓ better"
    return left + better * (choice == "left"), right + better * (choice == "right")


def _describe(number: int | None, answers: Sequence[Answer], place: int) -> str:
    if number is None:
        return "no trial"
    if number == BASE:
        return "base model"
    step = answers[place].text.step if place < len(answers) else 0
    return f"trial {number}" + (f", step {step}" if step else "")
