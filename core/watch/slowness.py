"""Why a trial is slow: ranked reasons with their figures, from readings that are there already. Pure.

``gather`` takes what the state knows of a trial's device, worker and speed; ``explain`` ranks what
of it costs speed. What is not measured is None and gives no reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from core.contract.events.machine_reading import Device, Host, Process, Worker
from core.contract.state.engine_state import Machine, Study, Trial
from core.contract.text.sanitize import sanitize
from core.contract.views.device_condition_text import (
    HOT,
    NOT_SLOW,
    describe_clock,
    describe_faults,
    describe_link,
)

RECENT = 5  # reports whose median is the speed now: a single step may be short
BUSY = 0.9  # share from which a card or a core counts as fully used
WAITS = 0.6  # a card busy less than this waits for something
CROWDED = 0.25  # share of the cores that other programs use
WORTH = 0.05  # share of the time below which a reason is not told
PADDED = 0.2  # share of padding below which it is not told
SLOWER = 0.15  # share below a trial's own best that is more than noise
LANE_BYTES_S = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.97e9, 5: 3.94e9, 6: 7.56e9}  # PCIe, by generation
LINK_FULL = 0.5  # share of a link's bytes from which copies hold the card up
GIB = 1 << 30


@dataclass(frozen=True)
class Circumstances:
    """What is known around a trial. Shares are of the training time, 0 to 1; None: not measured."""

    device: Device | None = None  # None: the CPU, or a card without a reading
    host: Host = field(default_factory=Host)
    worker: Worker | None = None
    own_pids: frozenset[int] = frozenset()
    tokens_per_s: float | None = None
    best_tokens_per_s: float | None = None  # of the same trial, earlier
    data_wait: float | None = None
    scoring: float | None = None
    evaluation: float | None = None
    padding: float | None = None


@dataclass(frozen=True)
class SlowReason:
    """One reason, and what helps if anything does. ``cost``: the share of the speed that it may take, 0 to
    1; None where no figure tells."""

    kind: str
    sentence: str
    cost: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    remedy: str = ""


def gather(machine: Machine, study: Study, trial: Trial) -> Circumstances:
    """Return what the state knows of ``trial``; what its worker has not reported stays None."""
    device = next(
        (device for device in machine.devices if f"gpu{device.index}" == trial.device and not device.fault),
        None,
    )
    worker = next(
        (worker for worker in machine.workers if worker.name == trial.worker and worker.study == study.name),
        None,
    )
    now, best = _list_speeds(trial)
    own = frozenset(worker.pid for worker in machine.workers)
    pack = study.packs.get(trial.worker)
    shares = (pack.data_wait, pack.scoring, pack.evaluation, pack.padding) if pack else ()
    return Circumstances(device, machine.host, worker, own, now, best, *shares)


def explain(circumstances: Circumstances) -> tuple[SlowReason, ...]:
    """Return the reasons, the costliest first and those without a figure last; empty where none is seen."""
    reasons = [reason for rule in RULES for reason in rule(circumstances)]
    return tuple(sorted(reasons, key=lambda reason: (reason.cost is None, -(reason.cost or 0.0))))


def describe_speed(circumstances: Circumstances) -> str:
    """Return text such as "4.1k tokens/s, 38 % below its own best (6.6k)"; empty without a speed."""
    now, best = circumstances.tokens_per_s, circumstances.best_tokens_per_s
    if now is None:
        return ""
    below = 1 - now / best if best else 0.0
    text = f"{_format_thousands(now)} tokens/s"
    return (
        f"{text}, {below:.0%} below its own best ({_format_thousands(best or 0.0)})"
        if below >= SLOWER
        else text
    )


def _list_speeds(trial: Trial) -> tuple[float | None, float | None]:
    """The speed now, and the best that lasted for as many reports."""
    curve = trial.series.get("train/tokens_per_s")
    values = [value for value in (curve.values if curve else ()) if value > 0]
    if not values:
        return None, None
    spans = [values[end - RECENT : end] for end in range(RECENT, len(values) + 1)] or [values]
    return median(spans[-1]), max(median(span) for span in spans)


# -- rules: one kind each -------------------------------------------------------------------------


def _find_broken(circumstances: Circumstances) -> list[SlowReason]:
    faults = describe_faults(circumstances.device) if circumstances.device else ()
    return [SlowReason("fault", sentence, 1.0) for sentence in faults[:1]]


def _find_throttled(circumstances: Circumstances) -> list[SlowReason]:
    card = circumstances.device
    if card is None or not set(card.slowed_by or ()) - NOT_SLOW:
        return []
    figures: dict[str, float] = {}
    words, cost = [describe_clock(card)], None
    if HOT & set(card.slowed_by or ()) and card.temperature_c is not None:
        words.append(f"{card.temperature_c:.0f} °C")
        figures["temperature_c"] = card.temperature_c
    elif card.power_w is not None and card.power_limit_w:
        words.append(f"{card.power_w:.0f} of {card.power_limit_w:.0f} W")
        figures |= {"power_w": card.power_w, "power_limit_w": card.power_limit_w}
    if card.clock_mhz is not None and card.clock_limit_mhz:
        cost = max(0.0, 1 - card.clock_mhz / card.clock_limit_mhz)
        words.append(f"clock {card.clock_mhz} of {card.clock_limit_mhz} MHz ({cost:.0%} below)")
        figures |= {"clock_mhz": card.clock_mhz, "clock_limit_mhz": card.clock_limit_mhz}
    return [SlowReason("throttled", ", ".join(words), cost, figures)]


def _find_share_reason(
    kind: str, words: str, share: float | None, least: float, remedy: str
) -> list[SlowReason]:
    if share is None or share < least:
        return []
    return [SlowReason(kind, words.format(share=f"{share:.0%}"), share, {"share": share}, remedy)]


def _find_data_waits(circumstances: Circumstances) -> list[SlowReason]:
    words = "training waits for rows {share} of the time"
    return _find_share_reason(
        "data", words, circumstances.data_wait, WORTH, "free a core of the host for its worker"
    )


def _find_scoring(circumstances: Circumstances) -> list[SlowReason]:
    words = "scoring takes {share} of the device's time"
    return _find_share_reason(
        "scoring", words, circumstances.scoring, WORTH, "lower evaluate.budget, which limits its share"
    )


def _find_evaluation(circumstances: Circumstances) -> list[SlowReason]:
    words = "validation takes {share} of the device's time"
    return _find_share_reason(
        "evaluation", words, circumstances.evaluation, WORTH, "raise evaluate.every or lower evaluate.rows"
    )


def _find_padding(circumstances: Circumstances) -> list[SlowReason]:
    words = "{share} of what is computed is padding: rows of one batch differ much in length"
    remedy = "more trials at once (resources.pack) let rows of like length share a pass; or lower "
    return _find_share_reason("padding", words, circumstances.padding, PADDED, f"{remedy}sequence_length")


def _find_host_bound(circumstances: Circumstances) -> list[SlowReason]:
    """The card waits while the worker fills a core, or all cores are busy. Without a card there is none that
    waits."""
    busy = circumstances.device.utilisation if circumstances.device else None
    if busy is None or busy >= WAITS:
        return []
    cores = circumstances.worker.cpu if circumstances.worker else None
    if circumstances.host.cpu is not None and circumstances.host.cpu >= BUSY:
        why = f"all {circumstances.host.cores} cores of the host are busy ({circumstances.host.cpu:.0%})"
    elif cores is not None and cores >= BUSY:
        why = (
            f"its worker fills a core of the host ({cores:.1f} cores): larger batches give the card more work"
        )
    else:
        return []
    figures = {"utilisation": busy, "host_cpu": circumstances.host.cpu or 0.0, "worker_cores": cores or 0.0}
    return [SlowReason("host", f"the card is busy {busy:.0%} of the time while {why}", 1 - busy, figures)]


def _find_crowded_host(circumstances: Circumstances) -> list[SlowReason]:
    """Training on the CPU: other programs use the cores."""
    host, own = circumstances.host, circumstances.worker.cpu if circumstances.worker else None
    if circumstances.device is not None or host.cpu is None or own is None or host.cpu < BUSY:
        return []
    other_processes = host.cpu * host.cores - own
    if other_processes < CROWDED * host.cores:
        return []
    busy = f"all {host.cores} cores of the host are busy ({host.cpu:.0%})"
    sentence = f"{busy}, {other_processes:.1f} of them with other programs"
    cost = other_processes / host.cores
    return [
        SlowReason(
            "host", sentence, cost, {"host_cpu": host.cpu, "worker_cores": own, "others": other_processes}
        )
    ]


def _find_link_bound(circumstances: Circumstances) -> list[SlowReason]:
    card = circumstances.device
    if card is None or card.pcie_link is None:
        return []
    generation, lanes = card.pcie_link
    moved = max(card.pcie_sent_bytes_s or 0, card.pcie_received_bytes_s or 0)
    capacity = LANE_BYTES_S.get(generation, LANE_BYTES_S[6]) * lanes
    share = moved / capacity if capacity else 0.0
    if share < LINK_FULL:
        return []
    sentence = (
        f"copies fill {share:.0%} of the link to the host ({describe_link(card)}, {moved / 1e9:.1f} GB/s)"
    )
    return [SlowReason("link", sentence, None, {"bytes_s": float(moved), "share": share})]


def _find_shared_card(circumstances: Circumstances) -> list[SlowReason]:
    if circumstances.device is None:
        return []
    other_processes = [
        process for process in circumstances.device.processes if process.pid not in circumstances.own_pids
    ]
    if not other_processes:
        return []
    held_bytes = sum(process.used_bytes or 0 for process in other_processes)
    busy = circumstances.device.utilisation
    names = _join_names(other_processes)
    count = f"{len(other_processes)} other process{'es' * (len(other_processes) > 1)}"
    sentence = f"{count} on this card: {names}, {held_bytes / GIB:.1f} GiB"
    shares = [process.utilisation for process in other_processes if process.utilisation is not None]
    cost = min(1.0, sum(shares)) if shares else None
    if cost is not None:
        sentence += f"; they compute {cost:.0%} of its time"
    elif busy is not None and busy >= BUSY:
        sentence += f"; the card is {busy:.0%} busy with all of them"
    return [
        SlowReason(
            "shared",
            sentence,
            cost,
            {"processes": float(len(other_processes)), "used_bytes": float(held_bytes)},
        )
    ]


def _join_names(processes: Sequence[Process]) -> str:
    names = [
        sanitize(f"{process.name or 'pid ' + str(process.pid)} {process.user}".strip(), 40)
        for process in processes
    ]
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _format_thousands(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}"


RULES = (
    _find_broken, _find_throttled, _find_data_waits, _find_scoring, _find_evaluation, _find_padding,
    _find_host_bound, _find_crowded_host,
    _find_link_bound, _find_shared_card,
)  # fmt: skip
