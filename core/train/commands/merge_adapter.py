"""``python -P -m core.train.commands.merge_adapter FOLDER OUT``: merges an adapter into its base model.

It merges on the CPU, so that running trials keep their GPU memory. A base model in nf4 or int8 is first
dequantised to bf16: the adapter was trained on those rounded weights, and merging into 4 bit would round the
update away.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from core.contract.spec.study_spec import ModelOptions
from core.contract.text.error_reports import run_guarded
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.train.adapters import saved_adapter_loader
from core.train.quiet_libraries import set_environment, silence_transformers

QUANTISED = ("nf4", "int8")


def main(argv: list[str]) -> int:
    """Merge the adapter and write the model. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="trimtab merge", description=__doc__)
    parser.add_argument("adapter", type=Path, metavar="ADAPTER_FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument(
        saved_adapter_loader.TRUST, action="store_true", help="run code from the base model's repository"
    )
    arguments = parser.parse_args(argv)
    set_environment()

    def run() -> int:
        merge(arguments.adapter, arguments.out, arguments.trust_remote_code)
        return 0

    return run_guarded("trimtab merge", run)


def merge(adapter: Path, out: Path, trusted: bool = False) -> None:
    """Write the merged model and tokenizer into the new folder ``out``, atomically. Raises TrimtabError."""
    if os.path.lexists(out):
        raise TrimtabError.of("the output path already exists", str(out), "give a new folder with --out")
    section, _ = saved_adapter_loader.find_base(adapter, trusted)
    model, tokenizer = load_merged(section, adapter)
    aside, is_made = out.with_name(f".{out.name}.new-{secrets.token_hex(4)}"), False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()  # fails if another user made it: in a shared folder the name may be taken
        is_made = True
        _say("writing the merged weights")
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        aside.rename(out)
    except OSError as error:
        problem = f"the merged model cannot be written: {sanitize(str(error), 300)}"
        raise TrimtabError.of(problem, str(out), "free disk space, or give another --out") from error
    finally:
        if is_made:
            shutil.rmtree(aside, ignore_errors=True)


def load_merged(section: ModelOptions, adapter: Path) -> tuple[Any, Any]:
    """Load the base model, merge the adapter into it, and return model and tokenizer. Raises TrimtabError."""
    import torch

    from core.train.base.base_model import compute_type, load_section

    silence_transformers()
    if section.precision == "auto":  # the precision that a worker uses on this machine
        precision = compute_type(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        section = msgspec.structs.replace(section, precision=precision)
    device_text = "on the CPU, to leave GPU memory to running trials"
    base = load_section(section, torch.device("cpu"), lambda stage, *_: _say(f"{stage}, {device_text}"))
    weights = base.model
    if section.precision in QUANTISED:
        _say(f"dequantising the base model from {section.precision} to bf16; the merged model is in bf16")
        weights = weights.dequantize(torch.bfloat16).to(torch.bfloat16)
    model = saved_adapter_loader.put_on(weights, base.name, adapter)
    try:
        result = model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise TrimtabError.of(
            f"the adapter cannot be merged: {sanitize(str(error), 300)}",
            str(adapter),
            "check the trial's losses: its weights may not be finite",
        ) from error
    result.config.use_cache = True  # training switched it off
    return result, base.tokenizer


def _say(stage: str) -> None:
    print(f"{sanitize(stage)} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
