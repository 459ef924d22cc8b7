"""A trained adapter and the base that it belongs to, as their folders say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.contract.plain import plain
from core.contract.spec import ModelSection, Spec
from core.contract.specfile import load
from core.errors import TrimtabError


def section(adapter: Path) -> ModelSection:
    """The base that the adapter itself names. Raises TrimtabError for what is no adapter."""
    try:
        found = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        return ModelSection(base=found["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrimtabError.of(
            f"this is no adapter: {plain(f'{type(error).__name__}: {error}', 200)}",
            str(adapter),
            "give a folder with adapter_config.json, as trials/N/adapter in a study's folder",
        ) from error


def study(adapter: Path) -> Spec | None:
    """The study beside a trial's adapter (STUDY/trials/N/adapter): it knows the base's precision."""
    above = adapter.resolve().parents
    file = above[2] / "study.toml" if len(above) > 2 else None
    return load(file) if file is not None and file.is_file() else None


def put_on(base: Any, name: str, adapter: Path) -> Any:
    """The base with the adapter on it; ``name`` is the base's, for words. Raises TrimtabError."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(base, str(adapter)).eval()
    except (OSError, ValueError, RuntimeError) as error:
        raise TrimtabError.of(
            f"the adapter does not fit its base: {plain(str(error), 400)}",
            str(adapter),
            f"it was trained on {name}",
        ) from error
