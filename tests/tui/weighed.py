"""A scripted engine's word on memory: what devices hold, what a change takes, what the queue waits for."""

from __future__ import annotations

from core.contract.events import event_types as e
from core.contract.wire import console_api
from core.contract.wire.memory_forecast import DeviceMemory, Forecast, MemoryNow, PackEstimate, Part, Verdict
from tests.tui.scene import NOW, study_events

MIB, GIB = 2**20, 2**30
LIMIT = 72 * GIB


def foretold(trials: tuple[int, ...], activations: int, base: int = 4 * GIB) -> PackEstimate:
    """``trials`` on a base of 4 GiB."""
    parts = [Part("base model", base), Part("workspace", 32 * MIB)]
    for number in trials:
        parts += [
            Part("adapter", 320 * MIB, number),
            Part("gradients", 160 * MIB, number),
            Part("optimizer", 640 * MIB, number),
        ]
    parts += [Part("activations", activations), Part("loss", 2 * GIB), Part("dequantised weights", 260 * MIB)]
    peak = sum(part.used_bytes for part in parts)
    whole = 520 * MIB + round(1.02 * peak)
    return PackEstimate(
        tuple(parts), peak, whole, "the backward pass of a step", 7_600_000_000, (40_370_176,)
    )


def on_cards() -> MemoryNow:
    """Three trials on the first card; the second holds a base of which nothing is known."""
    told = foretold((6, 7, 8), 31 * GIB)
    first = DeviceMemory(
        "gpu0", 80 * GIB, LIMIT, "free memory at the start less a margin of 1.0 GiB", (6, 7, 8), told,
        measured_bytes=round(told.peak_bytes / 1.02), reserve_bytes=900 * MIB,
        correction=1.04, learnt_from=12,
    )  # fmt: skip
    second = DeviceMemory(
        "gpu1", 12 * GIB, None, "the driver does not say how much is free", (5,),
        why_not="the architecture 'mambaX' is not known, and the trials were not measured yet",
    )  # fmt: skip
    return MemoryNow((first, second), QUEUE)


def on_cpu() -> MemoryNow:
    """Two trials on the host."""
    told = foretold((6, 7), 700 * MIB, base=513 * MIB)
    host = DeviceMemory(
        "cpu", 24 * GIB, 11 * GIB, "", (6, 7), told, measured_bytes=told.peak_bytes + 90 * MIB, learnt_from=1
    )
    return MemoryNow((host,), QUEUE)


QUEUE = (
    Verdict(9, "fits", "info", 5 * GIB),
    Verdict(10, "fits after #8 ends", "warning", 13 * GIB),
    Verdict(11, "never fits: 93.4 GiB at sequence_length 8192, of 72.0 GiB", "error", 93 * GIB),
)


def answers(now: MemoryNow):
    """An engine that knows ``now``, and foretells by batch and pack."""

    def answer(request: console_api.AnyRequest) -> console_api.Answer | None:
        if isinstance(request, console_api.WeighMemory):
            return now
        return forecast(request, now) if isinstance(request, console_api.Foresee) else None

    return answer


def forecast(request: console_api.Foresee, now: MemoryNow) -> Forecast:
    """More rows, longer ones and more trials take more."""
    device = next((device for device in now.devices if device.label == request.device), now.devices[0])
    rows = request.changes.get("batch_size", 4) * request.changes.get("sequence_length", 512) * request.pack
    whole = rows * 2 * MIB // (4 if request.changes.get("gradient_checkpointing") else 1)
    base = {"bf16": 14 * GIB, "fp32": 28 * GIB}.get(request.changes.get("precision", ""), 4 * GIB)
    told = foretold(tuple(range(request.pack)), whole, base)
    limit = device.limit_bytes
    fits = told.device_bytes <= (limit or device.total_bytes)
    advice = ("activations take most of it", "gradient_checkpointing = on would take a quarter of them")
    return Forecast(told, device.label, device.total_bytes, limit, fits, advice)


OFF = (1.0, 0.97, 1.12, 0.85, 1.01, 0.99, 1.03)  # foretold against measured, by trial


def weighed_study() -> list[e.Event]:
    """The scene's study, whose trials were foretold when they were queued and measured when they ran."""
    told: list[e.Event] = []
    for event in study_events():
        told.append(event)
        if isinstance(event, e.TrialQueued | e.TrialRunning):
            size = (11 + event.trial) * GIB // 2
            ran = isinstance(event, e.TrialRunning) and event.trial < len(OFF)
            measured = round(size / OFF[event.trial]) if ran else None
            told.append(
                e.TrialWeighed(
                    at=NOW, study="tidy-7b", trial=event.trial, foretold_bytes=size, measured_bytes=measured
                )
            )
    return told


def shared_card() -> list[e.Event]:
    """A card with colleagues on it, one of whom came just now; a second one of which little is said."""
    told: list[e.Event] = []
    for tick in range(90):
        mine, theirs = round(min(1.0, tick / 40) * 39.5 * GIB), 14 * GIB if tick > 60 else 0
        processes = (
            e.Process(4321, "python", "ada", mine),
            e.Process(977, "jupyter-lab", "bob", theirs),
            e.Process(31337, "python3", "eve", 3 * GIB),
        )
        cards = (
            e.Device(
                0,
                "NVIDIA A100-SXM4-80GB",
                "GPU-0",
                mine + theirs + 3 * GIB,
                80 * GIB,
                0.9,
                processes=processes,
            ),
            e.Device(1, "Tesla K80", "GPU-1", 3 * GIB, 12 * GIB),
        )
        workers = (e.Worker("gpu0-a1b2c3", 4321, "gpu0", 5 * GIB, 1.1, "tidy-7b"),)
        host = e.Host(0.31, 64, 120 * GIB, 512 * GIB, 900 * GIB, 12.0, "box")
        told.append(e.MachineRead(at=NOW - 90 + tick, devices=cards, host=host, workers=workers))
    return told
