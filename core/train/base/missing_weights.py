"""Whether a model's files hold all of its weights: transformers draws missing ones at random, in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from core.contract.text.sanitize import plain
from core.errors import TrimtabError

SHOWN = 3  # names of tensors in one message
FIX = "download or save the model again, whole, with the config.json that belongs to it"
ASKED: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # of from_pretrained


def check(info: Mapping[str, Any], where: str) -> list[str]:
    """Words on tensors that the model has no use for, from transformers' ``output_loading_info``. Raises
    TrimtabError where the files lack weights."""
    why = ""
    if info["missing_keys"]:
        why = f"the files lack {_named(info['missing_keys'])}"
    elif info["mismatched_keys"]:
        shapes = {
            f"{name}: {tuple(found)}, not {tuple(wanted)}" for name, found, wanted in info["mismatched_keys"]
        }
        why = f"the files hold {_named(shapes)} of another shape than config.json says"
    elif info["error_msgs"]:
        why = f"not all weights can be loaded ({plain('; '.join(info['error_msgs']), 300)})"
    if why:
        what = f"{why}: drawn at random instead, they would make another model at each load"
        raise TrimtabError.of(what, where, FIX)
    unused = info["unexpected_keys"]
    if not unused:
        return []
    return [f"{where}: the files hold {_named(unused)} that the model as loaded does not use"]


def _named(names: Collection[str]) -> str:
    """Such as "2 tensors (a.weight, b.weight)"."""
    some = ", ".join(plain(name, 120) for name in sorted(names)[:SHOWN])
    more = ", …" if len(names) > SHOWN else ""
    return f"{len(names)} {'tensor' if len(names) == 1 else 'tensors'} ({some}{more})"
