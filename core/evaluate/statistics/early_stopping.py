"""Early stopping: a trial that has not improved for some evaluations is done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Patience:
    """Prechelt's simplest rule (1998): stop after ``patience`` evaluations without an improvement of more
    than ``min_delta``. ``patience`` 0 never stops."""

    patience: int
    min_delta: float = 0.0
    direction: str = "minimize"
    best: float | None = None
    waited: int = 0

    def seen(self, value: float) -> str | None:
        """Take one evaluation in; the reason to stop, or None."""
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
        return f"not better than {self.best:.4g}{more} for {self.waited} evaluations"
