"""What blind ratings show: the side bias, and the strengths of trials with their intervals. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.metric_score import Score
from core.contract.spec.metric_table import STRENGTH
from core.contract.state import engine_state as s
from core.contract.state import unrated_trials
from tui.number_text import GLYPHS
from tui.theme_colors import Palette

LEAST_RATINGS = 6  # with fewer even one side alone is no more than chance
LEAST_BAR = 12  # cells; a narrower interval is not drawn
LABELS = 44  # cells of a row next to its bar


def make_summary_line(study: s.Study, look: Palette) -> Text:
    """Return what the study waits for, the number of ratings, and whether people prefer a side."""
    line, count = Text(no_wrap=True, overflow="ellipsis"), len(study.ratings)
    if unrated := len(unrated_trials.list_unrated(study)):
        enough = study.settings.evaluate.ratings
        text = f"{unrated} trial{'s' * (unrated != 1)} of fewer than {enough} ratings"
        line.append(f"the study waits for {text}   ", style=look["warning"])
    if not count:
        line.append("no ratings yet: ← = → rate when both have answered", style=look["muted"])
        return line
    line.append(f"{count} rating{'s' * (count != 1)}", style="bold")
    share = study.left_share
    if share is not None and share.value is not None and share.interval:
        side_text = f"left in {share.value:.0%} ({share.interval[0]:.0%} to {share.interval[1]:.0%})"
        if is_biased(share):
            line.append(f"   ⚠ side bias: {side_text}", style=look["warning"])
        else:
            finding = "no side bias" if share.samples >= LEAST_RATINGS else "too few to tell"
            line.append(f"   {side_text}: {finding}", style=look["muted"])
    random_pairs = sum(rating.drawn for rating in study.ratings)
    line.append(f"   {random_pairs} of random pairs", style=look["muted"])
    return line


def is_biased(share: Score) -> bool:
    """Return whether the share of the left side differs from one half by more than chance."""
    return share.low is not None and share.high is not None and not share.low <= 0.5 <= share.high


def make_strength_lines(study: s.Study, width: int, look: Palette) -> list[Text]:
    """Return the rated trials and the base, the strongest first, in lines of ``width`` cells."""
    scores = {number: trial.scores.get(STRENGTH) for number, trial in study.trials.items()}
    rated = {number: score for number, score in scores.items() if score is not None and score.interval}
    base = study.base_scores.get(STRENGTH)
    if base is not None and base.interval:
        rated[-1] = base
    if not rated:
        return []
    ends = [end for score in rated.values() for end in (score.interval or ())]
    scale = min(*ends, 0.0), max(*ends, 0.0)
    order = sorted(rated, key=lambda number: -(rated[number].value or 0.0))
    return [_make_line(study, number, rated[number], scale, width, look) for number in order]


def _make_line(
    study: s.Study, number: int, score: Score, scale: tuple[float, float], width: int, look: Palette
) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    trial = study.trials.get(number)
    sign = GLYPHS.get(trial.state, " ") if trial is not None else " "
    line.append(f"{sign} ", style=look[trial.state] if trial is not None else "")
    line.append(f"{f'#{number}' if trial is not None else 'base':<6}", style="bold")
    low, high = score.interval or (0.0, 0.0)
    line.append(f"{score.value or 0.0:+6.2f} ")
    room = width - LABELS
    if room >= LEAST_BAR:
        line.append_text(_draw_bar(score, scale, room, look))
    line.append(f" {f'{low:+.2f} to {high:+.2f}':<15}", style=look["muted"])
    line.append(f" {score.samples:>4} rating{'s' * (score.samples != 1)}", style=look["muted"])
    return line


def _draw_bar(score: Score, scale: tuple[float, float], room: int, look: Palette) -> Text:
    """Draw the interval, the value in it, and a mark at 0, the mean of all."""
    low, high = score.interval or (0.0, 0.0)
    bottom, span = scale[0], max(1e-9, scale[1] - scale[0])
    first, last, zero, value = (
        min(room - 1, max(0, round((number - bottom) / span * (room - 1))))
        for number in (low, high, 0.0, score.value or 0.0)
    )
    cells = [" "] * room
    cells[first : last + 1] = ["─"] * (last + 1 - first)
    cells[zero] = "┼" if first <= zero <= last else "│"
    cells[value] = "●"
    bar = Text("".join(cells), style=look["muted"])
    bar.stylize(look["accent"], first, last + 1)
    return bar
