"""What is wrong with a trial's curves, in words, with what a person may do about it. Found in core.watch."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.contract.wire.console_api import AnyRequest

# Each kind with its title, the gravest first: lists are in this order.
KINDS: dict[str, str] = {
    "not-finite": "not a finite number",
    "divergence": "diverged",
    "rate-too-high": "learning rate too high",
    "overfitting": "overfitting",
    "spike": "loss spike",
    "noisy-evaluation": "noisy evaluation",
    "rate-too-low": "learning rate too low",
    "plateau": "plateau",
    "under-trained": "under-trained",
    "clipping": "gradient clipped on most steps",
}
GRAVE = frozenset({"not-finite", "divergence", "rate-too-high"})


@dataclass(frozen=True)
class Remedy:
    """What may help, as an action of the console; ``request`` None: advice for the next study file."""

    label: str
    request: AnyRequest | None = None


@dataclass(frozen=True)
class Finding:
    """What one rule found in the curves. ``since_step``: where it began; ``figures`` are those of the
    sentence, by name."""

    kind: str
    since_step: int
    sentence: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis(Finding):
    """A finding with its remedies, the first the one to try."""

    remedies: tuple[Remedy, ...] = ()

    @property
    def title(self) -> str:
        """Return its kind in words."""
        return KINDS[self.kind]

    @property
    def level(self) -> str:
        """Return error or warning, as event lines have them."""
        return "error" if self.kind in GRAVE else "warning"
