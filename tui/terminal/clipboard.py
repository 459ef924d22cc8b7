"""Copies by OSC 52: the text reaches the clipboard of the machine that a person sits at, also over SSH."""

from __future__ import annotations

import base64
from collections.abc import Mapping

LONGEST_BYTES = 74_000  # as base64 just below what xterm takes at once, 100,000 characters


def make_copy_sequence(text: str, environment: Mapping[str, str]) -> str:
    """Return what copies ``text``; raises ValueError for one that terminals cut off."""
    data = text.encode("utf-8", "replace")
    if len(data) > LONGEST_BYTES:
        raise ValueError(f"{len(data):,} bytes are more than a terminal takes ({LONGEST_BYTES:,})")
    plain = f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\x07"
    return plain + wrap_for_multiplexer(plain, environment)


def wrap_for_multiplexer(sequence: str, environment: Mapping[str, str]) -> str:
    """Return ``sequence`` as tmux hands it on to the terminal outside, where its allow-passthrough is on;
    empty outside tmux."""
    if "TMUX" not in environment:
        return ""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
