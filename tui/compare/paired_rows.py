"""The rows of the compare screen that pair trials on the same validation rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from core.contract.spec.study_spec import StudySpec
from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from core.contract.wire.console_api import AskPaired, PairedLosses
from tui.theme_colors import Palette
from tui.widgets.xy_plot import pad

NOT_KEPT = "not kept: evaluate.row_losses = true in the next study keeps the loss of each row"
WITH_MARGIN = 16  # cells of a column from which the margin stands beside the value


def keeps_row_losses(spec: StudySpec) -> bool:
    """Tell whether the losses of single validation rows are kept."""
    return spec.study.pruner == "wilcoxon" or spec.evaluate.row_losses


def paired_question(study: s.Study, trials: Sequence[s.Trial]) -> AskPaired | None:
    """Return the question how the trials differ from the first; None where nothing could answer it."""
    if len(trials) < 2 or not keeps_row_losses(study.settings):
        return None
    return AskPaired(study.name, trials[0].number, tuple(trial.number for trial in trials[1:]))


def paired_rows(
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
    known = {one.trial: one for one in paired}
    reasons = {one.why_none for one in paired if one.why_none}
    if not keeps_row_losses(study.settings):
        reasons = {NOT_KEPT}
    elif why:
        reasons = {why}
    if any(one.difference.value is not None for one in paired):
        cells = [(_difference(known.get(trial.number), widths[1]), _style(known.get(trial.number), look))
                 for trial in trials]  # fmt: skip
        lines.append(_line("difference", cells, widths, look))
        steps = [(_steps(known.get(trial.number)), look["muted"]) for trial in trials]
        lines.append(_line("at step, on rows", steps, widths, look))
    lines += [Text(plain(reason, 200), style=look["muted"]) for reason in sorted(reasons)]
    return lines


def _line(name: str, cells: list[tuple[str, str]], widths: tuple[int, int], look: Palette) -> Text:
    line = Text(pad(name, widths[0]), style=look["muted"], no_wrap=True)
    for text, style in cells:
        line.append(f" {pad(text, widths[1], right=True)}", style=style)
    return line


def _difference(one: PairedLosses | None, room: int) -> str:
    if one is None or one.difference.value is None:
        return "–"
    ends, value = one.difference.interval, f"{one.difference.value:+.4f}"
    return f"{value} ±{(ends[1] - ends[0]) / 2:.4f}" if ends and room >= WITH_MARGIN else value


def _style(one: PairedLosses | None, look: Palette) -> str:
    """Return the colour: better or worse where the interval leaves 0 out."""
    ends = one.difference.interval if one is not None else None
    if ends is None or ends[0] <= 0 <= ends[1]:
        return look["info"]
    return f"bold {look['good' if ends[1] < 0 else 'warning']}"


def _steps(one: PairedLosses | None) -> str:
    if one is None or one.difference.value is None:
        return ""
    steps = f"{one.step}" if one.step == one.first_step else f"{one.first_step}→{one.step}"
    return f"{steps}, {one.difference.samples}"
