"""Warns about a base that is large for a CPU: it trains there, but slowly."""

from __future__ import annotations

LARGE = 1_000_000_000  # parameters
LARGE_PACKED = 250_000_000  # parameters of a 4 or 8 bit base, which every pass dequantises
PACKED = ("nf4", "int8")


def warn_if_slow(parameters: int, precision: str, device: str) -> str:
    """The warning for a base with ``parameters`` on ``device``; "" if there is nothing to warn about."""
    packed = precision in PACKED
    if device != "cpu" or parameters < (LARGE_PACKED if packed else LARGE):
        return ""
    precision_text = f" in {precision}, which every pass dequantises" if packed else ""
    return (
        f"a base of {parameters / 1e9:.1f} B parameters trains on the CPU{precision_text}, so a step "
        "takes minutes; "
        "use a GPU or a smaller base"
    )
