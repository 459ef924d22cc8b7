"""Is a base too large for a CPU? It trains there all the same, and that should be no surprise."""

from __future__ import annotations

LARGE = 1_000_000_000  # parameters
LARGE_PACKED = 250_000_000  # of a base in 4 or 8 bit, which is unpacked again in every pass
PACKED = ("nf4", "int8")


def warning(parameters: int, precision: str, device: str) -> str:
    """What to expect of a base with so many parameters on ``device``; empty where it is no wonder."""
    packed = precision in PACKED
    if device != "cpu" or parameters < (LARGE_PACKED if packed else LARGE):
        return ""
    how = f" in {precision}, which is unpacked again in every pass" if packed else ""
    return (
        f"a base of {parameters / 1e9:.1f} B parameters trains on the CPU{how}: a step takes minutes; "
        "take a GPU, or a smaller base"
    )
