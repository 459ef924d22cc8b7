"""The history of a device over a minute, an hour and a day, thinned as it comes. Pure."""

from __future__ import annotations

import msgspec

Numbers = tuple[int | None, ...]


class Track(msgspec.Struct, frozen=True, array_like=True):
    """Means of whole numbers over stretches of ``every_s`` seconds, oldest first, at most ``keep``.

    ``begun`` is when the open stretch began (Unix seconds), ``sums`` and ``counts`` are what is known
    of it. A missing reading is None, and so is a stretch in which no one read.
    """

    every_s: int
    keep: int
    begun: float = 0.0
    points: tuple[Numbers, ...] = ()
    sums: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()


MINUTE, HOUR, DAY = Track(1, 90), Track(15, 240), Track(300, 288)  # empty ones of three lengths


def add_reading(track: Track, at: float, numbers: Numbers) -> Track:
    """Return the track with one more reading."""
    start = at - at % track.every_s
    if start > track.begun:
        track = _close_track(track, start, len(numbers))
    is_same_length = len(track.sums) == len(numbers)
    before = zip(track.sums, track.counts, strict=True) if is_same_length else ((0, 0) for _ in numbers)
    sums, counts = [], []
    for (total, count), number in zip(before, numbers, strict=True):
        sums.append(total + (number or 0))
        counts.append(count + (number is not None))
    return msgspec.structs.replace(track, sums=tuple(sums), counts=tuple(counts))


def _close_track(track: Track, start: float, width: int) -> Track:
    """The track with its open stretch closed, and with stretches without a reading up to ``start``."""
    points = track.points
    if track.begun:
        missed = min(track.keep, round((start - track.begun) / track.every_s) - 1)
        points = (*points, average(track), *(((None,) * width,) * missed))[-track.keep :]
    return Track(track.every_s, track.keep, start, points)


def average(track: Track) -> Numbers:
    """Return the means of the stretch that is still open."""
    return tuple(
        round(total / count) if count else None for total, count in zip(track.sums, track.counts, strict=True)
    )
