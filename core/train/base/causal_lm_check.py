"""Checks, by configuration and folder, that a base model is made to predict the next token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError

OTHERS = (  # class name endings of models with a head for another task
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForNextSentencePrediction",
)
FIX = "use a causal language model (…ForCausalLM in its config.json)"


def check_config(config: Any, location: str) -> None:
    """Raise TrimtabError for an encoder-decoder model, and for a model saved with another task's head."""
    if getattr(config.get_text_config(), "is_encoder_decoder", False) or config.is_encoder_decoder:
        raise TrimtabError.of(
            f"{sanitize(config.model_type, 40)} is an encoder-decoder model, and would lose its encoder as a "
            "causal language model",
            location,
            FIX,
        )
    for name in config.architectures or ():
        if str(name).endswith(OTHERS):
            problem = (
                f"the model was saved as {sanitize(str(name), 80)}, which does not predict the next token"
            )
            raise TrimtabError.of(problem, location, FIX)


def check_folder(folder: Path, location: str) -> None:
    """Raise TrimtabError for a folder with an adapter instead of model weights."""
    if (folder / "adapter_config.json").is_file() and not any(folder.glob("model*.safetensors")):
        _refuse_adapter(location)


def check_bare(model: Any, location: str) -> None:
    """Raise TrimtabError if transformers put an adapter on the model while loading it."""
    if getattr(model, "_hf_peft_config_loaded", False):
        _refuse_adapter(location)


def _refuse_adapter(location: str) -> None:
    raise TrimtabError.of(
        "this is an adapter, not a base model",
        location,
        "set model.base to the adapter's base model, and model.adapter to the adapter to start from it",
    )
