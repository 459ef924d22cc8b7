"""Values of knobs, and changes of them, as short texts for the event list."""

from __future__ import annotations

from typing import Any


def format_value(value: object) -> str:
    """Format a knob's value briefly."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_changes(changes: dict[str, tuple[Any, Any]]) -> str:
    """Return text such as "learning_rate 0.001 → 0.0005"."""
    return ", ".join(
        f"{name} {format_value(old)} → {format_value(new)}" for name, (old, new) in changes.items()
    )
