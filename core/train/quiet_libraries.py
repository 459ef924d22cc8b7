"""Silences banners, progress bars and advice of libraries, so that logs and terminals show what matters."""

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


def set_environment() -> None:
    """Set the environment variables that the libraries read on import; values set by the user stay."""
    for key, value in SETTINGS.items():
        os.environ.setdefault(key, value)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of a kernel that it works without


def silence_transformers() -> None:
    """Silence transformers; it must be imported for this."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)  # peft calls what transformers renames


def load_peft() -> None:
    """Import PEFT, and bitsandbytes with it, without loading torch's compiler.

    bitsandbytes calls torch.compile on its CPU fallback functions while it is imported, which takes 2 s, and
    few base models ever call them. Here they are compiled on their first call.
    """
    import torch

    compiles = torch.compile
    torch.compile = compile_at_first_call(compiles)
    try:
        import peft  # noqa: F401
    finally:
        torch.compile = compiles


def compile_at_first_call(compiles: Callable[..., Any]) -> Callable[..., Any]:
    """A replacement for torch.compile that defers ``compiles`` to the function's first call."""

    def compile_(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        compiled: list[Callable[..., Any]] = []

        def call(*args: Any, **named: Any) -> Any:
            if not compiled:
                compiled.append(compiles(function, **options))
            return compiled[0](*args, **named)

        return call

    return compile_
