"""``python -P -m core.train.commands.generate_text FOLDER PROMPT``: generates text with a trained adapter."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.contract.spec.study_spec import ModelOptions
from core.contract.text.error_reports import run_guarded
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.train.adapters import saved_adapter_loader
from core.train.quiet_libraries import set_environment, silence_transformers


def main(argv: list[str]) -> int:
    """Print the generated text. Returns the exit code."""
    arguments = _make_parser().parse_args(argv)
    set_environment()

    def run() -> int:
        write(
            arguments.adapter, arguments.prompt, arguments.tokens, arguments.raw, arguments.trust_remote_code
        )
        return 0

    return run_guarded("trimtab generate", run)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trimtab generate", description=__doc__)
    parser.add_argument("adapter", type=Path, metavar="ADAPTER_FOLDER")
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="generate at most N tokens")
    parser.add_argument(
        "--raw", action="store_true", help="continue the prompt as it is, without the chat template"
    )
    parser.add_argument(
        saved_adapter_loader.TRUST, action="store_true", help="run code from the base model's repository"
    )
    return parser


def write(adapter: Path, prompt: str, tokens: int, raw: bool = False, trusted: bool = False) -> None:
    """Load the adapter on its base model and print a greedy continuation. Raises TrimtabError."""
    section, spec = saved_adapter_loader.find_base(adapter, trusted)
    raw = raw or (spec is not None and spec.data.format == "text")
    if tokens < 1:
        raise TrimtabError.of(f"--tokens {tokens} generates nothing", "", "give 1 or more")
    base = _load(section, adapter, "auto" if spec is None else spec.resources.devices)
    ids = _encode_prompt(base.tokenizer, prompt, raw)
    _check_room(base, ids, tokens)
    _stream(base.model, base.tokenizer, ids, tokens)


def _check_room(base: Any, ids: list[int], tokens: int) -> None:
    """Raise TrimtabError for tokens outside the vocabulary, or more than the model has positions for."""
    from core.train.data import vocab_and_length_check

    unknown = next((token for token in ids if token >= base.vocabulary), None)
    if unknown is not None:
        vocab_and_length_check.refuse(base, unknown, "PROMPT")
    if base.positions is not None and len(ids) + tokens > base.positions:
        raise TrimtabError.of(
            f"the prompt has {len(ids)} tokens, and the model has positions for {base.positions} in all",
            f"--tokens {tokens}",
            f"give --tokens {base.positions - len(ids)} or fewer"
            if len(ids) < base.positions
            else "give a shorter prompt",
        )


def _load(section: ModelOptions, adapter: Path, devices_setting: str | Sequence[int]) -> Any:
    """Load the base model with the adapter on it."""
    from core.train.base.base_model import load_section
    from core.train.commands import command_device

    silence_transformers()
    device, device_text = command_device.choose_device(devices_setting)
    base = load_section(section, device, lambda stage, *_: command_device.say(f"{stage}, {device_text}"))
    base.model = saved_adapter_loader.put_on(base.model, base.name, adapter)
    return base


def _encode_prompt(tokenizer: Any, prompt: str, raw: bool) -> list[int]:
    if raw or not tokenizer.chat_template:
        result: list[int] = tokenizer(prompt)["input_ids"]
        return result
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    result = tokenizer(text, add_special_tokens=False)["input_ids"]
    return result


def make_streamer(tokenizer: Any) -> Any:
    """A streamer that prints tokens as they come, sanitized for the terminal."""
    from transformers import TextStreamer

    class Plain(TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            super().on_finalized_text(sanitize(text, lines=True), stream_end)

    return Plain(tokenizer, skip_prompt=True, skip_special_tokens=True)


def _stream(model: Any, tokenizer: Any, ids: list[int], tokens: int) -> None:
    import torch

    if not ids:
        raise TrimtabError.of("the prompt is empty", "PROMPT", "give some text to continue")
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    input_ids = torch.tensor([ids], device=model.device)  # (1, T) int64
    with torch.inference_mode():
        model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=tokens,
            do_sample=False,
            use_cache=True,
            pad_token_id=pad if pad is not None else end,
            streamer=make_streamer(tokenizer),
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
