"""Switches off a check of transformers that waits for the device in every pass."""

from __future__ import annotations

from typing import Any


def skip_packing_check() -> None:
    """Tell transformers that no row of a batch holds several sequences, which is always so here. It would
    compare all position ids on the device, and wait for the result."""
    from transformers import masking_utils

    if hasattr(masking_utils, "find_packed_sequence_indices"):  # a private function: else the check stays
        masking_utils.find_packed_sequence_indices = _find_no_packed_rows


def _find_no_packed_rows(position_ids: Any) -> None:
    """No row of ``position_ids`` (B, T) holds several sequences."""
