"""A trained adapter and the base that it belongs to, as their folders say."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from core import paths
from core.contract.spec.spec_file import load
from core.contract.spec.study_spec import ModelSection, Spec
from core.contract.text.sanitize import plain
from core.errors import TrimtabError

TRUST = "--trust-remote-code"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MISSING = "missing adapter keys"  # how PEFT calls it in a warning
IMPORTS = ("auto_mapping", "megatron_config")  # PEFT imports modules that are named there or beside


def base_of(adapter: Path, trusted: bool) -> tuple[ModelSection, Spec | None]:
    """The base that the adapter belongs to, and the study beside it where there is one.

    Code of the base's model repository runs when the user says so (``trusted``), never because a file beside
    the adapter does. Raises TrimtabError for what is no adapter, is another user's, or wants such code.
    """
    section, spec = _section(adapter), _study(adapter)
    if spec is not None:
        section = spec.model.model_copy(update={"gradient_checkpointing": False})
    if section.trust_remote_code and not trusted:
        raise TrimtabError.of(
            "this adapter's base runs code of its model repository (model.trust_remote_code)",
            f"model.base = {plain(section.base, 200)!r}",
            "read that code, then say --trust-remote-code",
        )
    return section.model_copy(update={"trust_remote_code": trusted}), spec


def _section(adapter: Path) -> ModelSection:
    """The base that the adapter itself names."""
    try:
        found = json.loads((adapter / CONFIG).read_text("utf-8"))
        section = ModelSection(base=found["base_model_name_or_path"])
        if found.get("peft_type") != "LORA" or any(map(found.get, IMPORTS)):
            raise ValueError("it is no plain LoRA")
        if not (adapter / WEIGHTS).is_file():
            raise ValueError(f"there is no {WEIGHTS}, and pickled weights are never read")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrimtabError.of(
            f"this is no adapter: {plain(f'{type(error).__name__}: {error}', 200)}",
            str(adapter),
            "give a folder with adapter_config.json, as trials/N/adapter in a study's folder",
        ) from error
    for one in (adapter, adapter / CONFIG, adapter / WEIGHTS):
        _refuse_strange(one)
    return section


def _study(adapter: Path) -> Spec | None:
    """The study beside a trial's adapter (STUDY/trials/N/adapter): it knows the base's precision."""
    above = adapter.resolve().parents
    file = above[2] / "study.toml" if len(above) > 2 else None
    if file is None or not file.is_file():
        return None
    _refuse_strange(file)
    return load(file)


def _refuse_strange(path: Path) -> None:
    if not paths.is_own(path):
        raise TrimtabError.of(
            "it is a link, or belongs to another user",
            str(path),
            "look at what is in it; where you trust it, make a copy of your own",
        )


def put_on(base: Any, name: str, adapter: Path) -> Any:
    """The base with the adapter on it; ``name`` is the base's, for words. Raises TrimtabError."""
    from peft import PeftModel

    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            whole = PeftModel.from_pretrained(base, str(adapter)).eval()
        missing = [str(one.message) for one in told if MISSING in str(one.message)]
        if missing:  # PEFT draws what is not there, and goes on
            raise ValueError(missing[0])
        return whole
    except (OSError, ValueError, RuntimeError) as error:
        raise TrimtabError.of(
            f"the adapter does not fit its base: {plain(str(error), 400)}",
            str(adapter),
            f"it was trained on {name}",
        ) from error
