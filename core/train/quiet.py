"""Libraries that announce, count and advise are told not to: logs and terminals are for what matters."""

from __future__ import annotations

import logging
import os
import warnings

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
