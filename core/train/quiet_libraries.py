"""Libraries that announce, count and advise are told not to: logs and terminals are for what matters."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

SETTINGS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "BITSANDBYTES_NOWELCOME": "1",
    "TQDM_DISABLE": "1",
}


def settle() -> None:
    """Set what the libraries read when they are imported; what the person has set stays."""
    for key, value in SETTINGS.items():
        os.environ.setdefault(key, value)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # a kernel it would download, and does without


def quieten() -> None:
    """Tell transformers, once it is imported."""
    from transformers.utils import logging as words

    words.set_verbosity_error()
    words.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)  # peft calls what transformers renames


def load_peft() -> None:
    """Import PEFT, and bitsandbytes with it. That has functions of its CPU fallback compiled while it is
    imported, for which torch loads its whole compiler: 2 s, and few bases ever call them. Here the first call
    has them compiled."""
    import torch

    compiles = torch.compile
    torch.compile = compiled_at_first_call(compiles)
    try:
        import peft  # noqa: F401
    finally:
        torch.compile = compiles


def compiled_at_first_call(compiles: Callable[..., Any]) -> Callable[..., Any]:
    """In the place of torch.compile: what it gives has ``compiles`` run when it is first called."""

    def compile_(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        made: list[Callable[..., Any]] = []

        def call(*args: Any, **named: Any) -> Any:
            if not made:
                made.append(compiles(function, **options))
            return made[0](*args, **named)

        return call

    return compile_
