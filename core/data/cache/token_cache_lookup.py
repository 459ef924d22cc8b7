"""Finds the token cache of a study's rows without the tokenizer that its name follows from.

A worker that has tokenised rows notes the name of their cache under what they come from: the files by their
sizes and times, the base model, the keys that say how rows are read. A check of the same rows then counts
tokens exactly; where nothing is noted, or anything has changed since, it estimates them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import msgspec

from core import paths
from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import StudySpec
from core.data.cache import cache_key, cache_limit, token_cache
from core.data.cache.cache_key import CacheKey
from core.data.cache.token_arrays import TokenizedRows
from core.errors import TrimtabError
from core.store import input_change_check
from core.store.input_fingerprints import fingerprint_model

NAME_LENGTH = 64  # hexadecimal digits of SHA-256


def note(key: CacheKey) -> None:
    """Note that these rows are in the cache of this name."""
    with contextlib.suppress(OSError, TrimtabError):
        cache_limit.keep(_find_place(key.spec), key.name.encode())


def find(spec: StudySpec) -> TokenizedRows | None:
    """Return the rows of a study, or of a source of its mixture, as trials read them; None if no cache is
    known to have them."""
    name = find_name(spec)
    return token_cache.load(name, find_longest_sequence(spec)) if name else None


def find_name(spec: StudySpec) -> str:
    """Return the name of the cache that is noted for these rows; "" if none is."""
    try:
        place = _find_place(spec)
        with open(place, "rb", opener=paths.open_without_link) as file:
            name = file.read(NAME_LENGTH + 1).decode("ascii")
        cache_limit.touch(place)
    except (OSError, ValueError, TrimtabError):
        return ""
    return name if len(name) == NAME_LENGTH and name.isalnum() else ""


def _find_place(spec: StudySpec) -> Path:
    """Return the file of the note. Raises OSError, TrimtabError."""
    stamps = {str(path): stamp for path, stamp in cache_key.stamp_places(spec).items()}
    whole = [
        cache_key.FORMAT, msgspec.to_builtins(spec.data), stamps, spec.study.seed, spec.evaluate.rows,
        _describe_base(spec), cache_key.list_versions(), cache_key.hash_code(),
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    return paths.cache() / f"rows-{digest}.txt"


def _describe_base(spec: StudySpec) -> list[str]:
    base, path = spec.model.base, paths.expand_home(spec.model.base)
    if path.is_dir():
        return [base, input_change_check.read_state("model.base", path).stamp]
    return [base, str(fingerprint_model(base, spec.model.revision).revision)]
