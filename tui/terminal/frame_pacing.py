"""When the next frame may be written: at the chosen rate, and not before the line has taken the last one."""

from __future__ import annotations

ANSWER_S = 2.0  # a terminal that has never answered within it does not know the question
LOST_S = 5.0  # an answer that comes later is not waited for
WATCHED_S = 0.4  # between two frames while no key is pressed: half the work, and as easy to read
LONGEST_S = 2.0  # between two such frames, however much work one is
WATCHING_SHARE = 0.025  # of a core, for which that time is chosen
AT_KEYS_S = 10.0  # so long after a key, somebody is at the keys
URGENT_S = 0.25  # so long after a key, what it changed is not held back by the rate
# A page is drawn in parts: widgets fit their columns again once they know their size. A part that comes
# within SETTLE_S of the last one is written with it, but none waits longer than LONGEST_SETTLE_S.
SETTLE_S, LONGEST_SETTLE_S = 0.08, 0.5


class FramePacing:
    """Times are seconds of a monotonic clock. ``asks`` says whether a frame is to end with the question for
    the cursor's position: its answer tells that the frame has arrived at the other end of the line."""

    def __init__(self, frames_per_s: float) -> None:
        self.every_s = 1.0 / frames_per_s
        self.asks = True
        self.round_trip_s: float | None = None
        self._sent = float("-inf")
        self._asked: float | None = None
        self._key = float("-inf")
        self._drawn: tuple[float, float] | None = None
        self._frame_cpu_s = 0.0
        self._taken: tuple[float, float] | None = (
            None  # when the first and the last part of the next frame came
        )

    def note_key(self, now: float) -> None:
        """What a person did shows at once."""
        self._key = now

    def find_draw_interval_s(self, now: float) -> float:
        """Return the time between two frames of an unchanged page whose figures change."""
        if self.is_attended(now):
            return self.every_s
        return max(self.every_s, WATCHED_S, min(LONGEST_S, self._frame_cpu_s / WATCHING_SHARE))

    def note_drawn(self, now: float, cpu_s: float) -> None:
        """A frame was drawn; ``cpu_s`` is the time that the process has computed. What it computed since the
        frame before is the work of a frame, unless that is long ago."""
        before, self._drawn = self._drawn, (now, cpu_s)
        if before is not None and now - before[0] <= LONGEST_S + WATCHED_S:
            self._frame_cpu_s = (self._frame_cpu_s + cpu_s - before[1]) / 2

    def note_taken(self, now: float) -> None:
        """A part of the next frame was drawn."""
        self._taken = (self._taken[0] if self._taken is not None else now, now)

    def is_attended(self, now: float) -> bool:
        """Tell whether someone is at the keys."""
        return now - self._key < AT_KEYS_S

    def wait_s(self, now: float, backlog: int) -> float | None:
        """Return the seconds until a frame may be written; None while the line is busy, until it is heard
        of again. ``backlog`` counts the bytes that the terminal has not taken."""
        if self.is_busy(now, backlog):
            return None
        if now - self._key < URGENT_S:
            return 0.0
        due = self._sent + self.every_s
        if self._taken is not None and self._sent > float("-inf"):  # the first paint waits for nothing
            first, last = self._taken
            due = max(due, min(last + SETTLE_S, max(first, due) + LONGEST_SETTLE_S))
        return max(0.0, due - now)

    def is_busy(self, now: float, backlog: int) -> bool:
        """Tell whether the last frame is still on its way."""
        if self._asked is not None:
            patience = ANSWER_S if self.round_trip_s is None else LOST_S
            if now - self._asked > patience:
                self.asks = self.round_trip_s is not None
                self._asked = None
        return backlog > 0 or self._asked is not None

    def note_sent(self, now: float) -> None:
        """A frame was written."""
        self._sent = now
        self._taken = None
        self._asked = now if self.asks else None

    def note_answer(self, now: float) -> None:
        """The terminal has answered."""
        if self._asked is not None:
            self.round_trip_s, self._asked = now - self._asked, None

    def restart(self) -> None:
        """The terminal was left, and with it any answer."""
        self._asked = None
