"""Lists who holds the devices: users with their processes, ours with the trials that they train. Pure."""

from __future__ import annotations

from rich.text import Text

from core.contract.state import engine_state as s
from core.contract.text.sanitize import plain
from tui.devices.device_processes import Holder, UserHolds, group_by_user
from tui.number_text import percent, size
from tui.theme_colors import Palette

NAMED = 6  # trials of a worker that are named


def process_lines(state: s.State, look: Palette) -> list[Text]:
    """A line for each user and each process, the most memory first."""
    users = group_by_user(state)
    if not users:
        words = "no process holds GPU memory" if state.machine.devices else "no GPU: nothing to list"
        return [Text(words, style=look["muted"])]
    lines = [Text("GPU   memory  share      pid  process", style=look["muted"], no_wrap=True)]
    for holds in users:
        lines.append(_user(holds, look))
        lines += [_process(holder, look) for holder in holds.holders]
    return lines


def _user(holds: UserHolds, look: Palette) -> Text:
    line = Text(plain(holds.user, 30) or "users that the driver does not name", style="bold", no_wrap=True)
    line.append(f"  {size(holds.used_bytes)}", style="")
    if holds.share is not None:
        line.append(f", {percent(holds.share)} of all GPU memory", style=look["muted"])
    return line


def _process(holder: Holder, look: Palette) -> Text:
    process = holder.process
    tone = "" if holder.ours else look["muted"]
    line = Text(f"{holder.device:>3} ", style="bold", no_wrap=True, overflow="ellipsis")
    line.append(f"{size(process.used_bytes):>8} {percent(holder.share):>6} {process.pid:>8}  ", style=tone)
    line.append(plain(process.name, 40) or "not named by the driver", style=tone)
    if holder.ours:
        line.append(f"  {_trials(holder)}", style=look["running"])
    return line


def _trials(holder: Holder) -> str:
    study = plain(holder.study, 40)
    if not holder.trials:
        return f"worker of {study}" if study else "a spare worker of trimtab"
    named = ", ".join(f"#{number}" for number in holder.trials[:NAMED])
    more = f" and {len(holder.trials) - NAMED} more" if len(holder.trials) > NAMED else ""
    return f"{'trial' if len(holder.trials) == 1 else 'trials'} {named}{more} of {study}"
