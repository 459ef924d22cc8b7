"""Early stopping: ends a trial that has not improved for some evaluations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Stops after ``patience`` evaluations without an improvement of more than ``min_delta``; 0 never stops.

    Prechelt's simplest rule (1998).
    """

    patience: int
    min_delta: float = 0.0
    direction: str = "minimize"
    best: float | None = None
    waited: int = 0

    def update(self, value: float) -> str | None:
        """Add one evaluation; returns the reason to stop, else None."""
        gain = (
            None if self.best is None else (self.best - value) * (1 if self.direction == "minimize" else -1)
        )
        if gain is None or gain > self.min_delta:
            self.best, self.waited = value, 0
            return None
        self.waited += 1
        if not self.patience or self.waited < self.patience:
            return None
        more = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return f"no improvement on {self.best:.4g}{more} for {self.waited} evaluations"
