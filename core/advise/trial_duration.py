"""Guesses the duration of a trial from the FLOPs of its tokens and the card's peak. A study's own measurement
after its first minute is better."""

from __future__ import annotations

from dataclasses import dataclass

SHARE = 0.4  # of the peak: what training is assumed to reach
PASSES = 4.0  # FLOPs per parameter and token of LoRA: forward, and backward through the frozen weights
AGAIN = 2.0  # added by checkpointing: one more forward pass
GIB = 2**30


@dataclass(frozen=True)
class Card:
    """A GPU model. ``tflops`` is dense 16-bit, from the maker's data sheet; ``bf16`` says whether it supports
    bfloat16."""

    name: str
    tflops: float
    memory_bytes: int
    bf16: bool = True


CARDS = (  # the longer name first where one holds the other
    Card("B200", 2250, 180 * GIB), Card("H200", 989, 141 * GIB), Card("H100 PCIe", 756, 80 * GIB),
    Card("H100", 989, 80 * GIB), Card("A100", 312, 40 * GIB), Card("A10G", 70, 24 * GIB),
    Card("A10", 125, 24 * GIB), Card("L40S", 362, 48 * GIB), Card("L40", 181, 48 * GIB),
    Card("L4", 121, 24 * GIB), Card("A6000", 155, 48 * GIB), Card("5090", 209, 32 * GIB),
    Card("4090", 165, 24 * GIB), Card("3090", 71, 24 * GIB), Card("V100", 125, 16 * GIB, False),
    Card("T4", 65, 16 * GIB, False),
)  # fmt: skip


def find_card(text: str) -> Card | None:
    """Return the known card that ``text`` names, a driver's name or user input; None for an unknown one."""
    words = text.upper().replace("-", " ").split()
    for entry in CARDS:
        if set(entry.name.upper().split()) <= set(words):
            return entry
    return None


def count_flops_a_token(active: int, checkpointing: bool) -> float:
    """Return FLOPs per token for a base with ``active`` parameters per token."""
    return (PASSES + AGAIN * checkpointing) * active


def estimate_trial_s(active: int, checkpointing: bool, tokens: float, gpu: Card | None) -> float | None:
    """Return seconds for a trial of ``tokens``; None for an unknown card."""
    if gpu is None:
        return None
    return count_flops_a_token(active, checkpointing) * tokens / (gpu.tflops * 1e12 * SHARE)
