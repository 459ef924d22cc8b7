"""Checks that a model's files have all its weights: transformers silently makes up missing ones at random."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError

SHOWN = 3  # names of tensors in one message
FIX = "download or save the complete model again, with the config.json that belongs to it"
ASKED: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # for from_pretrained


def check(info: Mapping[str, Any], location: str) -> list[str]:
    """Return notes on unused tensors, from transformers' ``output_loading_info``. Raises TrimtabError if the
    files lack weights."""
    why = ""
    if info["missing_keys"]:
        why = f"the files lack {_list(info['missing_keys'])}"
    elif info["mismatched_keys"]:
        shapes = {
            f"{name}: {tuple(actual)}, not {tuple(expected)}"
            for name, actual, expected in info["mismatched_keys"]
        }
        why = f"the files have {_list(shapes)} of another shape than config.json specifies"
    elif info["error_msgs"]:
        why = f"not all weights can be loaded ({sanitize('; '.join(info['error_msgs']), 300)})"
    if why:
        problem = f"{why}: they would be random instead, and differ at every load"
        raise TrimtabError.of(problem, location, FIX)
    unused = info["unexpected_keys"]
    if not unused:
        return []
    return [f"{location}: the files have {_list(unused)} that the loaded model does not use"]


def _list(names: Collection[str]) -> str:
    """Format names, such as "2 tensors (a.weight, b.weight)"."""
    shown_names = ", ".join(sanitize(name, 120) for name in sorted(names)[:SHOWN])
    ellipsis = ", …" if len(names) > SHOWN else ""
    return f"{len(names)} {'tensor' if len(names) == 1 else 'tensors'} ({shown_names}{ellipsis})"
