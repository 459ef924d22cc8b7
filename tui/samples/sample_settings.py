"""How answers are generated, and where the prompts come from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.contract.wire.sample_messages import AskSample

TEMPERATURES = (0.0, 0.3, 0.7, 1.0)
LENGTHS = (40, 80, 160, 320)  # tokens
SOURCES = ("typed", "rows")
SEEDS = 2**32


@dataclass(frozen=True)
class SampleSettings:
    """``source`` is typed, or rows for the prompts of validation rows; ``max_tokens`` of an answer;
    ``base_in_pairs``: trials are also compared with the base."""

    temperature: float = 0.7
    max_tokens: int = 80
    source: str = "typed"
    base_in_pairs: bool = True

    def change(self, name: str) -> SampleSettings:
        """Return the settings with the next value of one of them."""
        choices: dict[str, Sequence[object]] = {
            "temperature": TEMPERATURES, "max_tokens": LENGTHS, "source": SOURCES,
            "base_in_pairs": (True, False),
        }  # fmt: skip
        values = choices[name]
        value = values[(values.index(getattr(self, name)) + 1) % len(values)]
        return replace(self, **{name: value})  # type: ignore[arg-type]

    def make_requests(self, study: str, trials: Sequence[int], prompt: str) -> list[AskSample]:
        """Return the requests for the answers of several trials to the same prompt; without one, to the same
        row."""
        seed = random.randrange(SEEDS)
        return [AskSample(study, trial, prompt, self.max_tokens, self.temperature, seed) for trial in trials]

    def describe(self, blind: bool) -> str:
        """Return the settings as they are shown, of blind pairs with who is compared."""
        pairs = "trials and the base" if self.base_in_pairs else "trials alone"
        prompts = "typed prompts" if self.source == "typed" else "row prompts"
        return f"temperature {self.temperature:g}  {self.max_tokens} tokens  {prompts}" + (
            f"  {pairs}" if blind else ""
        )
