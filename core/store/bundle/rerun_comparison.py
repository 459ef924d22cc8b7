"""Compares a rerun's objectives and adapter with those of the bundle's trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.store.bundle import adapter_hashes
from core.store.bundle.rerun_study import Original

PLAIN_TOLERANCE, ROUGH_TOLERANCE = 1e-4, 1e-2  # of an objective, relative; in fp32 on a CPU, and elsewhere
SAME_ADAPTER = 0.1  # of a tensor's norm: rounding changes far less, other rows or another seed far more
CLOCKS = frozenset({"train/tokens_per_s", "quality/tokens_per_s", "quality/latency_s"})
ADAPTER = "adapter"  # its folder in a bundle


def find_tolerance(original: Original) -> float:
    """Return the largest relative difference of an objective that counts as the same result."""
    plainly = original.on_cpu and original.spec.model.precision in ("auto", "fp32")
    return PLAIN_TOLERANCE if plainly else ROUGH_TOLERANCE


@dataclass(frozen=True)
class Outcome:
    """The comparison of a rerun. ``apart`` is the relative difference by repeatable objective; ``tensors``
    counts the adapter's tensors, ``other`` those that differ (None if unknown); ``distance`` is that of the
    adapters."""

    values: dict[str, tuple[float, float]]
    apart: dict[str, float]
    clocks: tuple[str, ...]
    tensors: int
    other: int | None
    distance: float | None = None

    @property
    def identical(self) -> bool:
        """Whether all compared numbers and the adapter are the same, bit for bit."""
        return self.other == 0 and all(before == now for before, now in self._compare_losses())

    def agrees_within(self, limit: float) -> bool:
        """Do all objectives agree within ``limit``, and the adapters within rounding?"""
        is_near = self.distance is None or self.distance <= SAME_ADAPTER
        return is_near and all(apart <= limit for apart in self.apart.values())

    def _compare_losses(self) -> list[tuple[float, float]]:
        return [self.values[name] for name in self.apart]


def compare(original: Original, values: Mapping[str, float], adapter: Path) -> Outcome:
    """Compare the rerun's objectives and adapter with the original's. Raises OSError, ValueError."""
    sums = adapter_hashes.hash_tensors(adapter)
    old = {name: value for name, value in original.trial["values"].items() if value is not None}
    value_pairs = {name: (float(old[name]), float(values[name])) for name in old if name in values}
    clocks = tuple(name for name in value_pairs if name in CLOCKS or name.startswith("memory/"))
    apart = {
        name: _measure_relative_difference(*pair) for name, pair in value_pairs.items() if name not in clocks
    }
    before = original.trial.get("adapter_sha256") or {}
    differing_tensors = (
        sum(1 for name in {*before, *sums} if before.get(name) != sums.get(name)) if before else None
    )
    distance = (
        adapter_hashes.measure_distance(original.folder / ADAPTER, adapter) if differing_tensors else None
    )
    return Outcome(value_pairs, apart, clocks, len(before), differing_tensors, distance)


def _measure_relative_difference(value: float, other_value: float) -> float:
    if value == other_value:
        return 0.0
    largest = max(abs(value), abs(other_value))
    return abs(value - other_value) / largest if math.isfinite(largest) and largest else math.inf
