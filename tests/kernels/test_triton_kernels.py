"""The Triton kernels compute what PyTorch does, and compile for every GPU generation, without a GPU.

Triton is no dependency of trimtab: it comes with PyTorch for CUDA. Here ``make kernels`` installs it.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLOSE = {
    "float32": 1e-6,
    "float16": 4e-3,  # a product is rounded before it is added
    "bfloat16": 1.6e-2,
}  # Triton's interpreter cuts bfloat16 off instead of rounding it, here up to twice
SCALARS = 16  # bytes of a few numbers that a kernel may keep on its stack

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed: run `make kernels`"
)


def run(module: str, *words: str, **environment: str) -> dict:
    command = [sys.executable, "-W", "ignore", "-m", f"tests.kernels.{module}", *words]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_kernels_compute_what_pytorch_does():
    errors = run("interpret_kernels", TRITON_INTERPRET="1")
    for name, error in errors.items():
        exact = name.startswith(("first choice", "drop keeps"))
        assert error <= (0 if exact else CLOSE[name.rsplit(".", 1)[-1]]), name


def test_kernels_compile_for_every_generation_and_keep_their_values_in_registers():
    built = run("compile_kernels")
    assert {name.rsplit(" ", 1)[1] for name in built} == {"80", "89", "90", "100"}
    assert max(kernel["stack_bytes"] for kernel in built.values()) <= SCALARS
    halves = [kernel for name, kernel in built.items() if "bf16" in name and "first" not in name]
    assert all(kernel["rounds_to_nearest"] for kernel in halves)
