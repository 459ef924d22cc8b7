"""The rows of the compare screen that pair trials on the same validation rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.contract.wire.console_api import AskPaired, PairedLosses
from tui.theme_colors import Palette
from tui.widgets.xy_plot import pad

NOT_KEPT = "not kept: evaluate.row_losses = true in the next study keeps the loss of each row"
WITH_MARGIN = 16  # cells of a column from which the margin stands next to the value


def are_row_losses_kept(spec: StudySpec) -> bool:
    """Tell whether the losses of single validation rows are kept."""
    return spec.study.pruner == "wilcoxon" or spec.evaluate.row_losses


def make_paired_question(study: s.Study, trials: Sequence[s.Trial]) -> AskPaired | None:
    """Return the question how the trials differ from the first; None where nothing could answer it."""
    if len(trials) < 2 or not are_row_losses_kept(study.settings):
        return None
    return AskPaired(study.name, trials[0].number, tuple(trial.number for trial in trials[1:]))


def make_paired_rows(
    study: s.Study, trials: Sequence[s.Trial], paired: Sequence[PairedLosses], why: str,
    widths: tuple[int, int], look: Palette,
) -> list[Text]:  # fmt: skip
    """Return the lines: each trial's mean loss less the first's with the half width of its 95 % interval,
    and at which step; ``widths`` are the cells of a name and of a column, ``why`` says what is missing."""
    if len(trials) < 2:
        return []
    first = trials[0].number
    title = f"paired with #{first}: mean loss on the same validation rows, less that of #{first} (95 %)"
    lines = [Text(title, style=f"bold {look['primary']}", no_wrap=True)]
    losses_by_trial = {losses.trial: losses for losses in paired}
    reasons = {losses.why_none for losses in paired if losses.why_none}
    if not are_row_losses_kept(study.settings):
        reasons = {NOT_KEPT}
    elif why:
        reasons = {why}
    if any(losses.difference.value is not None for losses in paired):
        losses_of_shown = [losses_by_trial.get(trial.number) for trial in trials]
        cells = [
            (_format_difference(losses, widths[1]), _choose_style(losses, look)) for losses in losses_of_shown
        ]
        lines.append(_make_line("difference", cells, widths, look))
        steps = [(_format_steps(losses), look["muted"]) for losses in losses_of_shown]
        lines.append(_make_line("at step, on rows", steps, widths, look))
    lines += [Text(sanitize(reason, 200), style=look["muted"]) for reason in sorted(reasons)]
    return lines


def _make_line(name: str, cells: list[tuple[str, str]], widths: tuple[int, int], look: Palette) -> Text:
    line = Text(pad(name, widths[0]), style=look["muted"], no_wrap=True)
    for text, style in cells:
        line.append(f" {pad(text, widths[1], right=True)}", style=style)
    return line


def _format_difference(losses: PairedLosses | None, room: int) -> str:
    if losses is None or losses.difference.value is None:
        return "–"
    ends, value = losses.difference.interval, f"{losses.difference.value:+.4f}"
    return f"{value} ±{(ends[1] - ends[0]) / 2:.4f}" if ends and room >= WITH_MARGIN else value


def _choose_style(losses: PairedLosses | None, look: Palette) -> str:
    """Return the colour: better or worse where the interval leaves 0 out."""
    ends = losses.difference.interval if losses is not None else None
    if ends is None or ends[0] <= 0 <= ends[1]:
        return look["info"]
    return f"bold {look['good' if ends[1] < 0 else 'warning']}"


def _format_steps(losses: PairedLosses | None) -> str:
    if losses is None or losses.difference.value is None:
        return ""
    steps = f"{losses.step}" if losses.step == losses.first_step else f"{losses.first_step}→{losses.step}"
    return f"{steps}, {losses.difference.samples}"
