"""``python -P -m core.train.commands.merge_adapter FOLDER OUT``: merges an adapter into its base model.

On the CPU, so that no training has to make room for it. A base in nf4 or int8 is dequantised to bf16 first:
the adapter was trained on those rounded weights, and merging into 4 bit would round the update away.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

from core.contract.spec.study_spec import ModelSection
from core.contract.text.error_reports import guarded
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.train.adapters import trained_adapter
from core.train.quiet_libraries import quieten, settle

QUANTISED = ("nf4", "int8")


def main(argv: list[str]) -> int:
    """Merge and write. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="trimtab merge", description=__doc__)
    parser.add_argument("adapter", type=Path, metavar="ADAPTER_FOLDER")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument(trained_adapter.TRUST, action="store_true", help="let the base's own code run")
    arguments = parser.parse_args(argv)
    settle()

    def run() -> int:
        merge(arguments.adapter, arguments.out, arguments.trust_remote_code)
        return 0

    return guarded("trimtab merge", run)


def merge(adapter: Path, out: Path, trusted: bool = False) -> None:
    """Write model and tokenizer into the new folder ``out``, whole or not at all. Raises TrimtabError."""
    if os.path.lexists(out):
        raise TrimtabError.of("something is there already", str(out), "give a new folder with --out")
    section, _ = trained_adapter.base_of(adapter, trusted)
    model, tokenizer = merged(section, adapter)
    aside, made = out.with_name(f".{out.name}.new-{secrets.token_hex(4)}"), False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()  # ours from the start: in a folder of all users another may have made one of this name
        made = True
        _say("writing the merged weights")
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        aside.rename(out)
    except OSError as error:
        what = f"the merged model cannot be written: {plain(str(error), 300)}"
        raise TrimtabError.of(what, str(out), "make room, or give another --out") from error
    finally:
        if made:
            shutil.rmtree(aside, ignore_errors=True)


def merged(section: ModelSection, adapter: Path) -> tuple[Any, Any]:
    """The merged model, and its tokenizer. Raises TrimtabError."""
    import torch

    from core.train.base.base_model import load_section

    quieten()
    if section.precision == "auto":  # as a worker takes it on this machine
        precision = "bf16" if torch.cuda.is_available() else "fp32"
        section = section.model_copy(update={"precision": precision})
    where = "on the CPU, so that no training has to make room"
    base = load_section(section, torch.device("cpu"), lambda stage, *_: _say(f"{stage}, {where}"))
    whole = base.model
    if section.precision in QUANTISED:
        _say(f"the base is in {section.precision}: dequantising it to bf16, the merged model is in bf16")
        whole = whole.dequantize(torch.bfloat16).to(torch.bfloat16)
    model = trained_adapter.put_on(whole, base.name, adapter)
    try:
        found = model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise TrimtabError.of(
            f"the adapter cannot be merged: {plain(str(error), 300)}", str(adapter), "look at its losses"
        ) from error
    found.config.use_cache = True  # training switched it off
    return found, base.tokenizer


def _say(stage: str) -> None:
    print(f"{plain(stage)} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
