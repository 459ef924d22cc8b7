"""Finds a base model's config.json without loading the model: in a folder, in the hub's cache, else on the
hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.text import error_reports
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.memory.base import hub_reachability, step_formulas, traced_formula_cache
from core.memory.base.model_shape import Model, count_positions, describe

DEMO = "demo:smollm2"
ETAG_S = 5.0  # for the hub to name its version
# SmolLM2-135M-Instruct, whose GGUF weights are converted at the first run.
SMOLLM2 = {
    "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}  # fmt: skip


def read_model(
    base: str,
    revision: str | None = None,
    fetch: bool = True,
    dtype: str = "bf16",
    say: traced_formula_cache.Say | None = None,
    hub: Path | None = None,
) -> Model:
    """The shape of ``base`` from its configuration.

    ``fetch``: ask the hub if the configuration is not local; ``hub``: a cache other than this process's. A
    family without formulas has its own in ``dtype`` if it was traced before; with ``say`` it is traced now.
    Raises TrimtabError if the configuration is missing or unusable.
    """
    location = f"model.base = {sanitize(base, 200)!r}"
    config = read(base, revision, fetch, hub)
    inner = config.get("text_config")
    family = str((inner if isinstance(inner, dict) else config).get("model_type", ""))
    if family in step_formulas.read_table():
        return describe(config, location)
    traced = traced_formula_cache.read_cached(config, dtype)
    if traced is None and say is not None and family:
        traced = traced_formula_cache.trace(config, base, revision, dtype, say)
    if traced is not None:  # older cached models lack positions
        return msgspec.structs.replace(traced, positions=count_positions(config))
    return describe(config, location)


def read(
    base: str, revision: str | None = None, fetch: bool = True, hub: Path | None = None
) -> dict[str, Any]:
    """The configuration itself. Raises TrimtabError if there is none."""
    return _read_config(base, revision, f"model.base = {sanitize(base, 200)!r}", fetch, hub)


def is_local(base: str, revision: str | None = None) -> bool:
    """Whether the configuration is local, or supposed to be."""
    local = base == DEMO or base.startswith(("/", ".", "~")) or paths.expand_home(base).exists()
    return local or _find_cached(base, revision) is not None


def _read_config(
    base: str, revision: str | None, location: str, fetch: bool, hub: Path | None
) -> dict[str, Any]:
    if base == DEMO:
        return SMOLLM2
    folder = paths.expand_home(base)
    if folder.exists() or base.startswith(("/", ".", "~")):
        return _read(folder if folder.is_file() else folder / "config.json", location)
    cached = _find_cached(base, revision, hub)
    if cached is None and not fetch:
        raise TrimtabError.of(
            "the configuration is not downloaded yet", location, "a worker fetches it when it starts"
        )
    return _read(cached or _fetch(base, revision, location), location)


def _read(file: Path, location: str) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text())
    except FileNotFoundError as error:
        fix = "give a folder written by save_pretrained, or a Hugging Face id"
        raise TrimtabError.of(
            f"{sanitize(str(file.parent), 200)} has no {file.name}", location, fix
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        problem = f"the configuration could not be read: {sanitize(str(error), 200)}"
        raise TrimtabError.of(problem, sanitize(str(file), 200), "it must be one JSON object") from error
    if not isinstance(config, dict):
        raise TrimtabError.of(
            "the configuration is not a JSON object", sanitize(str(file), 200), "write it again"
        )
    return config


def _find_cached(base: str, revision: str | None, hub: Path | None = None) -> Path | None:
    """The file in the hub's cache, found without huggingface_hub."""
    place = (hub or paths.hub_cache()) / f"models--{base.replace('/', '--')}"
    try:
        commit = (place / "refs" / (revision or "main")).read_text().strip()
    except OSError:
        commit = revision or ""
    file = place / "snapshots" / commit / "config.json"
    return file if commit and file.is_file() else None


def _fetch(base: str, revision: str | None, location: str) -> Path:
    fix = "check the id and the network, or give the model's folder"
    offline_by = hub_reachability.explain_offline()
    if offline_by or (unreachable := hub_reachability.find_fault()):
        why = f"{offline_by} is set" if offline_by else f"no network: {unreachable}"
        problem = f"the configuration is not cached and could not be fetched: {sanitize(why, 300)}"
        raise TrimtabError.of(
            problem, location, f"unset {offline_by}, or give the model's folder" if offline_by else fix
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it logs its retries; the final error is raised below
        return Path(hf_hub_download(base, "config.json", revision=revision, etag_timeout=ETAG_S))
    except Exception as error:  # errors of the hub, of requests, ImportError
        problem = f"the configuration is not cached and could not be fetched: {sanitize(str(error), 200)}"
        raise TrimtabError.of(problem, location, error_reports.give_advice(error, fix)) from error
