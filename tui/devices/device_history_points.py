"""The history of devices as points over the seconds before now. Pure."""

from __future__ import annotations

from core.contract.state import engine_state as s
from core.contract.state.machine_history import Track, average

SPANS = (60, 600, 3600, 21_600, 86_400)  # seconds
MEMORY, LOAD, POWER, TEMPERATURE = range(4)  # the numbers of a device's tracks
RECEIVED, SENT = 2, 3  # and those of the host's


def list_history(past: s.Past, number: int, span_s: int, now: float) -> tuple[list[float], list[float]]:
    """Return seconds up to 0, which is ``now``, and values, from the finest track that reaches so far."""
    track = next(
        track
        for track in (past.minute, past.hour, past.day)
        if track.every_s * track.keep >= span_s or track is past.day
    )
    points = [(at - now, value) for at, value in _list_points(track, number) if -span_s <= at - now <= 0]
    return [at for at, _ in points], [value for _, value in points]


def _list_points(track: Track, number: int) -> list[tuple[float, float]]:
    """The middle of each stretch with its mean; of the open one its beginning."""
    first = track.begun - track.every_s * len(track.points)
    rows = [(first + track.every_s * (place + 0.5), row) for place, row in enumerate(track.points)]
    if track.counts:
        rows.append((track.begun, average(track)))
    return [
        (at, float(value)) for at, row in rows if number < len(row) and (value := row[number]) is not None
    ]
