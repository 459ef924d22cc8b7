"""Notifications whose time runs from the moment that they are on the screen, however busy the machine is."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from textual import events
from textual.app import App
from textual.content import Content
from textual.css.query import NoMatches
from textual.notifications import Notification, Notifications, Notify, SeverityLevel
from textual.widgets._toast import Toast, ToastHolder, ToastRack

from tui.ui_messages import ShownMessage

KEPT = 200  # messages that can be read after they have gone
LOOK_AGAIN_S = 0.05  # whether the frame with a toast has been written


class LastingNotification(Notification):
    """Expires ``timeout`` seconds after it was painted first; Textual counts from when it was raised."""

    clock: Callable[[], float] = time.time
    painted_at: float | None = None

    @property
    def time_left(self) -> float:
        """Return the seconds left; all of them until it was painted."""
        return self.timeout if self.painted_at is None else self.painted_at + self.timeout - self.clock()

    def note_painted(self) -> None:
        """Let its time run, unless it does already."""
        self.painted_at = self.clock() if self.painted_at is None else self.painted_at


class LastingToast(Toast):
    """A toast that begins to count after the screen that holds it was painted."""

    _begun = False

    def _on_mount(self, event: events.Mount) -> None:
        event.prevent_default()  # Textual's own toast begins to count here

    def render(self) -> Content:
        """Return the text; the first time the count begins once it is on the screen."""
        if not self._begun:
            self._begun = True
            self.call_after_refresh(self._begin)
        return super().render()

    def _begin(self) -> None:
        if getattr(self.app, "is_frame_due", False):  # drawn, but not on the terminal yet
            self.set_timer(LOOK_AGAIN_S, self._begin)
            return
        if isinstance(self._notification, LastingNotification):
            self._notification.note_painted()
        self.set_timer(max(0.0, self._notification.time_left), self._expire)


class NotifyingApp(App[None]):
    """An app with such notifications; ``messages`` has the last of them, the newest last."""

    clock: Callable[[], float]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.messages: deque[ShownMessage] = deque(maxlen=KEPT)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a notification for ``timeout`` seconds; safe from any thread."""
        seconds = self.NOTIFICATION_TIMEOUT if timeout is None else timeout
        notification = LastingNotification(message, title, severity, seconds, markup=markup)
        notification.clock = self.clock
        self.messages.append(ShownMessage(self.clock(), severity, title, message))
        self.post_message(Notify(notification))

    def _refresh_notifications(self) -> None:
        with contextlib.suppress(NoMatches, IndexError):
            rack = self.screen.get_child_by_type(ToastRack) if self.screen_stack else None
            if rack is not None:
                self.call_later(_show, rack, self._notifications)


def _show(rack: ToastRack, notifications: Notifications) -> Any:
    """Do what ``ToastRack.show`` does, with toasts of this kind."""
    rack.display = bool(notifications)
    for toast in rack.query(Toast):
        if toast._notification not in notifications:
            toast.remove()
    shown_ids = {holder.id for holder in rack.children}
    new = [
        notification
        for notification in notifications
        if rack._toast_id(notification) not in shown_ids and not notification.has_expired
    ]
    if new:
        rack.mount_all(
            ToastHolder(LastingToast(notification), id=rack._toast_id(notification)) for notification in new
        )
        rack.call_later(rack.scroll_end, animate=False, force=True)
