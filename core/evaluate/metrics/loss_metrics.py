"""Loss, perplexity and accuracy on held-out targets, from sums over tokens. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Sums:
    """Sums over the target tokens of the validation rows. ``loss`` in nats."""

    loss: float = 0.0
    tokens: int = 0
    correct: int = 0

    def add(self, loss: float, tokens: int, correct: int) -> None:
        """Add one batch."""
        self.loss += loss
        self.tokens += tokens
        self.correct += correct

    def compute_metrics(self) -> dict[str, float]:
        """Return loss per token, perplexity = exp(loss) weighted by tokens (Jelinek et al. 1977), and
        next-token accuracy. Values that are not finite are left out."""
        if not self.tokens:
            return {}
        loss = self.loss / self.tokens
        values = {"eval/loss": loss, "eval/accuracy": self.correct / self.tokens}
        if loss < 700.0:  # exp overflows beyond
            values["eval/perplexity"] = math.exp(loss)
        return {name: value for name, value in values.items() if math.isfinite(value)}
