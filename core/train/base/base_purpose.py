"""Whether a base is made to predict the next token, as far as its configuration and folder say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.contract.text.sanitize import plain
from core.errors import TrimtabError

OTHERS = (  # ends of class names of models whose last layer does something else
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForNextSentencePrediction",
)
FIX = "take a causal language model (…ForCausalLM in its config.json)"


def check_config(config: Any, where: str) -> None:
    """Raises TrimtabError for an encoder with a decoder, and for a model saved with another task's head."""
    if getattr(config.get_text_config(), "is_encoder_decoder", False) or config.is_encoder_decoder:
        raise TrimtabError.of(
            f"{plain(config.model_type, 40)} is an encoder with a decoder: as a causal language model it "
            "would lose its encoder",
            where,
            FIX,
        )
    for name in config.architectures or ():
        if str(name).endswith(OTHERS):
            what = f"the model was saved as {plain(str(name), 80)}, which does not predict the next token"
            raise TrimtabError.of(what, where, FIX)


def check_folder(folder: Path, where: str) -> None:
    """Raises TrimtabError for a folder that holds an adapter in place of a model's weights."""
    if (folder / "adapter_config.json").is_file() and not any(folder.glob("model*.safetensors")):
        _refuse_adapter(where)


def check_bare(model: Any, where: str) -> None:
    """Raises TrimtabError where transformers has put an adapter on the model while it loaded."""
    if getattr(model, "_hf_peft_config_loaded", False):
        _refuse_adapter(where)


def _refuse_adapter(where: str) -> None:
    raise TrimtabError.of(
        "that is an adapter, and no base model",
        where,
        "name the adapter's own base there, and the adapter as model.adapter to begin from it",
    )
