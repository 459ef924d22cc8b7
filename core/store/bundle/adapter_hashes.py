"""Hashes the tensors of an adapter, so that a rerun can be compared bit for bit."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

HEAD = struct.Struct("<Q")
LARGEST_HEADER_BYTES = 100 << 20  # as safetensors has it
FILE = "adapter_model.safetensors"


def hash_tensors(adapter: Path) -> dict[str, str]:
    """Return the SHA-256 of type, shape and bytes of each tensor in an adapter's folder; nothing without one.

    Raises OSError, and ValueError for a file that is not safetensors
    (https://github.com/huggingface/safetensors).
    """
    path = adapter / FILE
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        (size,) = HEAD.unpack(_require_size(file.read(HEAD.size), HEAD.size))
        if size > LARGEST_HEADER_BYTES:
            raise ValueError(f"{FILE} is not safetensors: a header of {size} bytes")
        header, hashes = json.loads(_require_size(file.read(size), size)), {}
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            begin, end = tensor["data_offsets"]
            file.seek(HEAD.size + size + begin)
            digest = hashlib.sha256(f"{tensor['dtype']} {tensor['shape']}\n".encode())
            digest.update(_require_size(file.read(end - begin), end - begin))
            hashes[name] = digest.hexdigest()
    return hashes


def _require_size(raw: bytes, size: int) -> bytes:
    if len(raw) != size:
        raise ValueError(f"{FILE} is truncated")
    return raw


def measure_distance(adapter: Path, other_adapter: Path) -> float | None:
    """Return the distance of two adapters: the largest relative norm of the difference over their tensors, so
    that tensors that start at zero count as much as random ones. None if they have different tensors, or
    types that numpy does not support."""
    import numpy
    from safetensors.numpy import load_file

    try:
        first, second = load_file(adapter / FILE), load_file(other_adapter / FILE)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if _list_shapes(first) != _list_shapes(second):
        return None
    distances = [0.0]
    for name, part in first.items():
        size, apart = (float(numpy.linalg.norm(tensor.ravel())) for tensor in (part, part - second[name]))
        distances.append(apart / size if size else apart)
    return max(distances)


def _list_shapes(tensors: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: part.shape for name, part in tensors.items()}
