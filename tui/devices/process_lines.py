"""Lists who holds the devices: users with their processes, ours with the trials that they train. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from tui.devices.processes_by_user import Holder, UserHolds, group_by_user
from tui.number_text import format_percent, format_size
from tui.theme_colors import Palette

NAMED = 6  # trials of a worker that are named


def make_process_lines(state: s.State, look: Palette) -> list[Text]:
    """A line for each user and each process, the most memory first."""
    users = group_by_user(state)
    if not users:
        words = "no process holds GPU memory" if state.machine.devices else "no GPU: nothing to list"
        return [Text(words, style=look["muted"])]
    lines = [Text("GPU   memory  share   busy      pid  process", style=look["muted"], no_wrap=True)]
    for holds in users:
        lines.append(_make_user_line(holds, look))
        lines += [_describe_process(holder, look) for holder in holds.holders]
    return lines


def _make_user_line(holds: UserHolds, look: Palette) -> Text:
    line = Text(sanitize(holds.user, 30) or "users that the driver does not name", style="bold", no_wrap=True)
    line.append(f"  {format_size(holds.used_bytes)}", style="")
    if holds.share is not None:
        line.append(f", {format_percent(holds.share)} of all GPU memory", style=look["muted"])
    if holds.utilisation is not None:
        line.append(f", {format_percent(holds.utilisation)} of all GPU time", style=look["muted"])
    return line


def _describe_process(holder: Holder, look: Palette) -> Text:
    process = holder.process
    tone = "" if holder.ours else look["muted"]
    line = Text(f"{holder.device:>3} ", style="bold", no_wrap=True, overflow="ellipsis")
    line.append(
        f"{format_size(process.used_bytes):>8} {format_percent(holder.share):>6} "
        f"{format_percent(process.utilisation):>6} {process.pid:>8}  ",
        style=tone,
    )
    line.append(sanitize(process.name, 40) or "not named by the driver", style=tone)
    if holder.ours:
        line.append(f"  {_name_trials(holder)}", style=look["running"])
    return line


def _name_trials(holder: Holder) -> str:
    study = sanitize(holder.study, 40)
    if not holder.trials:
        return f"worker of {study}" if study else "a spare worker of trimtab"
    named = ", ".join(f"#{number}" for number in holder.trials[:NAMED])
    others_text = f" and {len(holder.trials) - NAMED} more" if len(holder.trials) > NAMED else ""
    return f"{'trial' if len(holder.trials) == 1 else 'trials'} {named}{others_text} of {study}"
