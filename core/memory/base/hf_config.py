"""Finds a base model's config.json without loading anything: a folder, the hub's cache, else the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.text import error_reports
from core.contract.text.sanitize import plain
from core.errors import TrimtabError
from core.memory.base import hub_network, step_formulas, traced_formulas
from core.memory.base.model_shape import Model, describe, positions

DEMO = "demo:smollm2"
ETAG_S = 5.0  # for the hub to say which version it has
# SmolLM2-135M-Instruct, whose weights come as a GGUF file that is converted at the first run.
SMOLLM2 = {
    "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}  # fmt: skip


def model(
    base: str,
    revision: str | None = None,
    fetch: bool = True,
    dtype: str = "bf16",
    say: traced_formulas.Say | None = None,
    hub: Path | None = None,
) -> Model:
    """What the configuration of ``base`` says; ``fetch``: ask the hub when it is nowhere here, ``hub`` being
    its cache where that is not this process's. A family that
    is not known by heart has forms of its own in ``dtype`` when it was traced before; with ``say`` it is
    traced now. Raises TrimtabError when there is no configuration, or none of use."""
    where = f"model.base = {plain(base, 200)!r}"
    found = read(base, revision, fetch, hub)
    inner = found.get("text_config")
    family = str((inner if isinstance(inner, dict) else found).get("model_type", ""))
    if family in step_formulas.table():
        return describe(found, where)
    sketched = traced_formulas.kept(found, dtype)
    if sketched is None and say is not None and family:
        sketched = traced_formulas.make(found, base, revision, dtype, say)
    if sketched is not None:  # those that were kept before did not say
        return msgspec.structs.replace(sketched, positions=positions(found))
    return describe(found, where)


def read(
    base: str, revision: str | None = None, fetch: bool = True, hub: Path | None = None
) -> dict[str, Any]:
    """The configuration itself. Raises TrimtabError when there is none."""
    return _config(base, revision, f"model.base = {plain(base, 200)!r}", fetch, hub)


def here(base: str, revision: str | None = None) -> bool:
    """Is the configuration on this machine, or said to be?"""
    local = base == DEMO or base.startswith(("/", ".", "~")) or paths.expanded(base).exists()
    return local or _cached(base, revision) is not None


def _config(base: str, revision: str | None, where: str, fetch: bool, hub: Path | None) -> dict[str, Any]:
    if base == DEMO:
        return SMOLLM2
    folder = paths.expanded(base)
    if folder.exists() or base.startswith(("/", ".", "~")):
        return _read(folder if folder.is_file() else folder / "config.json", where)
    cached = _cached(base, revision, hub)
    if cached is None and not fetch:
        raise TrimtabError.of("the configuration is not here yet", where, "a worker fetches it when it loads")
    return _read(cached or _fetched(base, revision, where), where)


def _read(file: Path, where: str) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError as error:
        fix = "give a folder as save_pretrained writes it, or a Hugging Face id"
        raise TrimtabError.of(
            f"there is no {file.name} in {plain(str(file.parent), 200)}", where, fix
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        what = f"the configuration cannot be read: {plain(str(error), 200)}"
        raise TrimtabError.of(what, plain(str(file), 200), "it should be one JSON object") from error
    if not isinstance(found, dict):
        raise TrimtabError.of("the configuration is no JSON object", plain(str(file), 200), "write it anew")
    return found


def _cached(base: str, revision: str | None, hub: Path | None = None) -> Path | None:
    """The file in the hub's cache, as huggingface_hub lays it out; reading it needs no library."""
    place = (hub or paths.hub_cache()) / f"models--{base.replace('/', '--')}"
    try:
        commit = (place / "refs" / (revision or "main")).read_text().strip()
    except OSError:
        commit = revision or ""
    file = place / "snapshots" / commit / "config.json"
    return file if commit and file.is_file() else None


def _fetched(base: str, revision: str | None, where: str) -> Path:
    fix = "check the id and the network, or give the model's folder"
    forbidden = hub_network.offline()
    if forbidden or (unreached := hub_network.fault()):
        why = f"{forbidden} is set" if forbidden else f"no network: {unreached}"
        what = f"the configuration is not in the cache and cannot be fetched: {plain(why, 300)}"
        raise TrimtabError.of(
            what, where, f"unset {forbidden}, or give the model's folder" if forbidden else fix
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # it says what it tries again; the end of it is told below
        return Path(hf_hub_download(base, "config.json", revision=revision, etag_timeout=ETAG_S))
    except Exception as error:  # the hub's own, requests', ImportError
        what = f"the configuration is not in the cache and cannot be fetched: {plain(str(error), 200)}"
        raise TrimtabError.of(what, where, error_reports.advice(error, fix)) from error
