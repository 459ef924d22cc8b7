"""Builds and loads ``fake_device.cpp``, a CUDA device that does nothing, and runs processes that use it.

With it FakeTensorMode runs tensors of device ``cuda`` forward and backward on a CPU-only torch. Nothing is
computed, but a tensor on the wrong device, a wrong dtype, a kernel and a wait are seen as on a GPU.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_suffix(".cpp")
ROOT = Path(__file__).resolve().parents[2]


def why_not() -> str:
    """Why the fake device cannot be used here; "" if it can."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    if not version("torch").endswith("+cpu"):
        return f"torch {version('torch')} may have a CUDA device guard of its own"
    if shutil.which("g++") is None:
        return "there is no g++ to compile the fake device with"
    return ""


def load() -> None:
    """Load the device into this process. Raises RuntimeError after torch was imported."""
    if "torch" in sys.modules:
        raise RuntimeError("the fake device must be loaded before torch is imported")
    built = _build()
    for name in ("libgomp.so.1", "libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(_torch() / "lib" / name), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(built), ctypes.RTLD_GLOBAL)


def run(module: str, *arguments: str) -> Any:
    """Run ``python -m module`` with the device in a process of its own; return the JSON that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout)


def _torch() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _build() -> Path:
    """Compile the device, once for each version of torch and of the source."""
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trimtab-tests"
    folder.mkdir(parents=True, exist_ok=True)
    built = folder / f"fake_device-{version('torch')}-{key}.so"
    if not built.exists():
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            made = Path(aside) / "fake_device.so"
            subprocess.run(_compiler(made), check=True)
            made.replace(built)  # another process may compile it too
    return built


def _compiler(made: Path) -> list[str]:
    include, lib = _torch() / "include", _torch() / "lib"
    return [
        "g++", "-O1", "-std=c++20", "-shared", "-fPIC", f"-I{include}", str(SOURCE), "-o", str(made),
        f"-L{lib}", "-lc10", "-ltorch_cpu",
    ]  # fmt: skip
