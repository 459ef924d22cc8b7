"""Sizes in bytes as people write and read them: "22 GiB", "512MB", 24000000000."""

from __future__ import annotations

import re

LARGEST = 2**60  # bytes: a million terabytes
LONGEST = 40  # characters
UNITS = {
    "": 1, "b": 1, "k": 10**3, "kb": 10**3, "kib": 2**10, "m": 10**6, "mb": 10**6, "mib": 2**20,
    "g": 10**9, "gb": 10**9, "gib": 2**30, "t": 10**12, "tb": 10**12, "tib": 2**40,
}  # fmt: skip
WRITTEN = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)\s*")


def parse(text: object) -> int:
    """Parse a size in bytes from ``text``. Raises ValueError that says what is expected."""
    if isinstance(text, int) and not isinstance(text, bool):
        bytes_ = text
    else:
        match = WRITTEN.fullmatch(text) if isinstance(text, str) and len(text) <= LONGEST else None
        if match is None or match[2].lower() not in UNITS:
            raise ValueError('must be a size such as "22 GiB" or a number of bytes')
        size = float(match[1]) * UNITS[match[2].lower()]
        bytes_ = round(size) if size <= LARGEST else LARGEST + 1
    if bytes_ <= 0:
        raise ValueError("must be above 0")
    if bytes_ > LARGEST:
        raise ValueError("must be at most 2^60 bytes (1024 PiB)")
    return bytes_


def format_bytes(count: float) -> str:
    """Format as 3.1 GiB, 212 MiB, 4.0 KiB; below zero with a sign."""
    sign, count = ("-" if count < 0 else ""), abs(count)
    if count >= 2**29:
        return f"{sign}{count / 2**30:.1f} GiB"
    if count >= 2**20 / 2:
        return f"{sign}{count / 2**20:.0f} MiB"
    return f"{sign}{count / 2**10:.1f} KiB" if count >= 1024 else f"{sign}{count:.0f} B"
