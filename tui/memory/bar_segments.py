"""The pieces of a memory bar: their names, letters, patterns and the meaning of their colours. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from core.contract.text.sanitize import sanitize
from core.contract.wire.memory_forecast import PackEstimate


@dataclass(frozen=True)
class Share:
    """One piece. ``letter`` begins it and ``pattern`` fills it: a bar is read without colours, too."""

    letter: str
    label: str
    used_bytes: int
    meaning: str
    pattern: str = " "

    @property
    def of_trial(self) -> bool:
        """Does it belong to one trial? Its letter is the trial's number."""
        return self.letter.isdigit()


# part as the engine names it → letter, meaning, pattern
KINDS = {
    "base model": ("B", "base", " "),
    "adapter": ("D", "adapter", "╱"),
    "gradients": ("G", "adapter-2", "╲"),
    "optimizer": ("O", "adapter", "╌"),
    "activations": ("A", "activations", "░"),
    "loss": ("S", "loss", "▒"),
    "dequantised weights": ("Q", "copies", "┄"),
    "workspace": ("W", "reserve", "·"),
}
REST = ("E", "loss", "+")  # a part that this console has no name for
CONTEXT = ("C", "reserve", ":")
RESERVE = ("R", "reserve", "-")


def make_kind_share(name: str, used_bytes: int) -> Share:
    """A part that belongs to no single trial."""
    letter, meaning, pattern = KINDS.get(name, REST)
    return Share(letter, sanitize(name, 30), max(0, used_bytes), meaning, pattern)


def make_trial_share(number: int, used_bytes: int, place: int) -> Share:
    """What one trial holds for itself; neighbours take turns in shade and pattern."""
    odd = place % 2
    return Share(
        str(number),
        f"#{number} adapter + optimizer",
        max(0, used_bytes),
        "adapter-2" if odd else "adapter",
        "╲" if odd else "╱",
    )


def group_by_kind(estimate: PackEstimate) -> list[Share]:
    """Return the parts summed over all trials, in the engine's order, then the process overhead."""
    names = dict.fromkeys(part.name for part in estimate.parts)
    shares = [make_kind_share(name, estimate.sum_bytes(name)) for name in sorted(names, key=_find_place)]
    return [*shares, *make_overhead(estimate, None)]


def group_by_trial(estimate: PackEstimate, reserve_bytes: int | None) -> list[Share]:
    """Return the base, each trial, the activations of the peak, then the process overhead."""
    own: dict[int, int] = {}
    common: dict[str, int] = {}
    for part in estimate.parts:
        if part.trial >= 0:
            own[part.trial] = own.get(part.trial, 0) + part.used_bytes
        else:
            common[part.name] = common.get(part.name, 0) + part.used_bytes
    shared = [make_kind_share(name, common[name]) for name in sorted(common, key=_find_place)]
    trials = [make_trial_share(number, own[number], place) for place, number in enumerate(sorted(own))]
    bases = [share for share in shared if share.letter == "B"]
    other_segments = [share for share in shared if share.letter != "B"]
    return [*bases, *trials, *other_segments, *make_overhead(estimate, reserve_bytes)]


def make_overhead(estimate: PackEstimate, reserve_bytes: int | None) -> list[Share]:
    """Return the process overhead: the allocator's reserve where it is known, and CUDA's context."""
    rest = max(0, estimate.device_bytes - estimate.peak_bytes)
    if reserve_bytes is None:
        letter, meaning, pattern = CONTEXT
        return [Share(letter, "context and reserve", rest, meaning, pattern)] if rest else []
    return [
        make_reserve_share(reserve_bytes),
        Share(CONTEXT[0], "context", max(0, rest - reserve_bytes), *CONTEXT[1:]),
    ]


def make_reserve_share(used_bytes: int) -> Share:
    """Return the memory that the allocator has reserved and not used."""
    letter, meaning, pattern = RESERVE
    return Share(letter, "allocator's reserve", max(0, used_bytes), meaning, pattern)


def _find_place(name: str) -> int:
    return list(KINDS).index(name) if name in KINDS else len(KINDS)
