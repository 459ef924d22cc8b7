"""Compiles the Triton kernels for GPUs that are not there, down to machine code, and prints their registers:
``python -m tests.kernels.compile_kernels [CAPABILITY…]``, such as 80 (A100), 89 (RTX 4090), 90 (H100)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from core.train.kernels import adapter_kernels, dropout_loss_kernels, layer_kernels
from core.train.kernels.adapter_kernels import LEAST
from core.train.kernels.adapter_ops import MOST

CAPABILITIES = (80, 89, 90, 100)
TYPES = ("bf16", "fp16", "fp32")
CONSTANT = "constexpr"


def main() -> None:
    """Print {kernel: {"registers", "stack_bytes", "rounds_to_nearest"}} for each capability and type."""
    wanted = [int(word) for word in sys.argv[1:]] or CAPABILITIES
    found = {
        f"{name} {type_name} {capability}": _compile(source, capability, warps)
        for capability in wanted
        for type_name in TYPES
        for name, source, warps in _sources(type_name)
    }
    print(json.dumps(found, indent=1))


def _sources(kind: str) -> Iterator[tuple[str, Any, int]]:
    words = {"keys": "*i32", "thresholds": "*i32", "scales": f"*{kind}", "starts": "*i32"}
    numbers = dict.fromkeys(("layer", "tokens", "length", "channels"), "i32")
    for add in (False, True):
        yield "add_dropped" if add else "drop", ASTSource(
            fn=dropout_loss_kernels.dropout_kernel,
            signature={"x": f"*{kind}", "out": f"*{kind}", **words, **numbers}
            | dict.fromkeys(("ADD", "TOKENS", "WIDTH"), CONSTANT),
            constexprs={
                "ADD": add, "TOKENS": dropout_loss_kernels.TOKENS, "WIDTH": dropout_loss_kernels.WIDTH,
            },
        ), 4  # fmt: skip
    for grad in (False, True):
        yield "loss_and_grad" if grad else "loss_and_first", ASTSource(
            fn=dropout_loss_kernels.loss_kernel,
            signature={
                "logits": f"*{kind}", "targets": "*i64", "losses": "*fp32", "firsts": "*i64",
                "vocabulary": "i32", "scale": "fp32", "cap": "fp32",
            }
            | dict.fromkeys(("GRAD", "CAPPED", "BLOCK"), CONSTANT),
            constexprs={"GRAD": grad, "CAPPED": True, "BLOCK": dropout_loss_kernels.VOCABULARY},
        ), dropout_loss_kernels.WARPS  # fmt: skip
    yield from _adapter_sources(kind)
    for backward in (False, True):
        constants = {"BACKWARD": backward, "Q_HEADS": 32, "K_HEADS": 8, "HALF": 64}  # a model of 8B
        names = ("angles", "q_heads", "k_heads", "width")
        signature = dict.fromkeys(layer_kernels.rotary_kernel.arg_names, f"*{kind}")
        signature |= dict.fromkeys(names, "i32") | dict.fromkeys(constants, CONSTANT)
        source = ASTSource(fn=layer_kernels.rotary_kernel, signature=signature, constexprs=constants)
        yield "rotary_backward" if backward else "rotary", source, 8
    pointers = dict.fromkeys(("x", "weight", "out", "grad", "gate", "up"), f"*{kind}")
    pointers |= {"gate_grad": f"*{kind}", "up_grad": f"*{kind}", "rates": "*fp32"}
    sizes = {"width": "i32", "count": "i32", "epsilon": "fp32", "BLOCK": CONSTANT}
    for function, block in (
        (layer_kernels.norm_kernel, 4096), (layer_kernels.norm_backward_kernel, 4096),
        (layer_kernels.swiglu_kernel, 1024), (layer_kernels.swiglu_backward_kernel, 1024),
    ):  # fmt: skip
        signature = {name: {**pointers, **sizes}[name] for name in function.arg_names}
        name = function.__name__.removesuffix("_kernel")
        yield name, ASTSource(fn=function, signature=signature, constexprs={"BLOCK": block}), 16


def _adapter_sources(kind: str) -> Iterator[tuple[str, Any, int]]:
    """With dropout, for the smallest tile of ranks, the largest, and the widest one of many ranks."""
    pointers = dict.fromkeys(("x", "factors", "out", "scales", "total", "down"), f"*{kind}")
    pointers |= dict.fromkeys(("slots", "ends", "keys", "thresholds", "starts"), "*i32") | {"grad": "*fp32"}
    for name in ("shrink", "expand", "learn"):
        function = getattr(adapter_kernels, f"{name}_kernel")
        for rank in (LEAST, 64, MOST):
            sizes = adapter_kernels.tile(rank, 4 if kind == "fp32" else 2)
            warps = sizes.pop("num_warps")
            constants = {"DROPS": True, **({"ADD": True} if name == "learn" else {}), **sizes}
            signature = {
                each: CONSTANT if each in constants else pointers.get(each, "i32")
                for each in function.arg_names
            }
            yield f"{name} {rank}", ASTSource(fn=function, signature=signature, constexprs=constants), warps


def _compile(source: Any, capability: int, warps: int) -> dict[str, Any]:
    built = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(built.asm["cubin"])
        file.flush()
        usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True).stdout
    registers, stack = re.findall(r"REG:(\d+) STACK:(\d+)", usage)[-1]
    nearest = ".rn.bf16" in built.asm["ptx"]  # of a conversion, or of a product in bfloat16
    return {"registers": int(registers), "stack_bytes": int(stack), "rounds_to_nearest": nearest}


if __name__ == "__main__":
    main()
