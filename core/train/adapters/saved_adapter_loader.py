"""Finds the base model of a saved adapter, and loads the adapter on it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.spec.spec_file import load
from core.contract.spec.study_spec import ModelOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError

TRUST = "--trust-remote-code"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MISSING = "missing adapter keys"  # part of PEFT's warning
IMPORTS = ("auto_mapping", "megatron_config")  # keys that make PEFT import modules


def find_base(adapter: Path, trusted: bool) -> tuple[ModelOptions, StudySpec | None]:
    """The base model that the adapter belongs to, and the adapter's study if there is one.

    Code from the base model's repository runs only if the user allows it (``trusted``), never because a file
    of the study says so. Raises TrimtabError for a folder without an adapter, for another user's adapter, and
    for a base model that needs such code.
    """
    section, spec = _read_section(adapter), _read_study(adapter)
    if spec is not None:
        section = msgspec.structs.replace(spec.model, gradient_checkpointing=False)
    if section.trust_remote_code and not trusted:
        raise TrimtabError.of(
            "this adapter's base model runs code from its repository (model.trust_remote_code)",
            f"model.base = {sanitize(section.base, 200)!r}",
            "review that code, then add --trust-remote-code",
        )
    return msgspec.structs.replace(section, trust_remote_code=trusted), spec


def _read_section(adapter: Path) -> ModelOptions:
    """Read the base model that the adapter's own configuration names."""
    try:
        config = json.loads((adapter / CONFIG).read_text("utf-8"))
        section = ModelOptions(base=config["base_model_name_or_path"])
        if config.get("peft_type") != "LORA" or any(map(config.get, IMPORTS)):
            raise ValueError("it is not a plain LoRA adapter")
        if not (adapter / WEIGHTS).is_file():
            raise ValueError(f"{WEIGHTS} is missing, and pickled weights are never loaded")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrimtabError.of(
            f"this is not a usable adapter: {sanitize(f'{type(error).__name__}: {error}', 200)}",
            str(adapter),
            "give a folder with adapter_config.json, such as trials/N/adapter in a study's folder",
        ) from error
    for path in (adapter, adapter / CONFIG, adapter / WEIGHTS):
        _refuse_foreign(path)
    return section


def _read_study(adapter: Path) -> StudySpec | None:
    """Load the study of a trial's adapter (STUDY/trials/N/adapter), which has the base model's precision."""
    above = adapter.resolve().parents
    file = above[2] / "study.toml" if len(above) > 2 else None
    if file is None or not file.is_file():
        return None
    _refuse_foreign(file)
    return load(file)


def _refuse_foreign(path: Path) -> None:
    if not paths.is_own(path):
        raise TrimtabError.of(
            "the path is a link, or belongs to another user",
            str(path),
            "inspect it; if you trust it, make your own copy",
        )


def put_on(base: Any, name: str, adapter: Path) -> Any:
    """Put the adapter on the base model, which messages call ``name``. Raises TrimtabError."""
    from peft import PeftModel

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(base, str(adapter)).eval()
        missing = [str(item.message) for item in caught if MISSING in str(item.message)]
        if missing:  # PEFT initialises missing weights at random and continues
            raise ValueError(missing[0])
        return model
    except (OSError, ValueError, RuntimeError) as error:
        raise TrimtabError.of(
            f"the adapter does not fit its base model: {sanitize(str(error), 400)}",
            str(adapter),
            f"it was trained on {name}",
        ) from error
