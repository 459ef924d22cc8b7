"""Memory formulas of unknown model families: traced once in a process of their own, and cached."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError
from core.memory.base.model_shape import Model

MODULE = "core.train.tracing.trace_model"
LIMIT_S = 600.0
VERSION = 3  # of the derivation: formulas of an earlier version are traced again
Say = Callable[[str], None]


def read_cached(config: dict[str, Any], dtype: str) -> Model | None:
    """The cached model with its formulas, if it was traced before."""
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        with open(_find_file(config, dtype), "rb", opener=paths.open_without_link) as file:
            return msgspec.json.decode(file.read(), type=Model)
    return None


def _find_file(config: dict[str, Any], dtype: str) -> Path:
    digest = hashlib.sha256(msgspec.json.encode(config, order="sorted")).hexdigest()[:24]
    return paths.cache() / f"formulas-{VERSION}-{digest}-{dtype}.json"


def trace(config: dict[str, Any], base: str, revision: str | None, dtype: str, say: Say) -> Model:
    """Trace the base with the code that would train it; takes seconds, ``say`` gets each stage. Raises
    TrimtabError with the reason if that fails."""
    command = [sys.executable, "-P", "-m", MODULE, base, revision or "", dtype]
    environment = {**os.environ, "PYTHONPATH": str(paths.find_root()), "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        cwd=Path.cwd(),
    ) as process:
        assert process.stdout and process.stderr
        last = ""
        for line in process.stderr:
            last = line.strip() or last
            if line.startswith("tracing "):
                say(sanitize(line.strip(), 200))
        out = process.stdout.read()
    try:
        if process.returncode:
            raise ValueError(last)
        model = msgspec.json.decode(out.strip().rsplit("\n", 1)[-1], type=Model)
    except (ValueError, msgspec.DecodeError) as error:
        raise TrimtabError.of(
            f"the model's memory use cannot be traced: {sanitize(str(error), 300)}",
            f"model.base = {sanitize(base, 200)!r}",
            "start the study anyway: trials are admitted by measured memory",
        ) from error
    paths.keep(_find_file(config, dtype), msgspec.json.encode(model))
    return model
