"""Makes this process compute on fake CUDA tensors as it would on a GPU of the Hopper generation.

A CPU-only torch lacks some CUDA kernels, and transformers takes fake tensors for those of a tracer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, TensorMetadata

from core.train.base import fused_layers
from core.train.base.packing_check_bypass import skip_packing_check
from core.train.kernels import fast_path
from core.train.kernels.fast_path import FastPath
from tests.cuda.op_counter import OpCounter

CUDA = torch.device("cuda", 0)
FULL = FastPath(dropout=True, loss=True, grouped=True, adapters=True, wide_gradients=True)
PLAIN = (
    "view", "view.dtype", "slice.Tensor", "transpose.int", "t", "unsqueeze", "detach", "as_strided", "expand",
    "select.int", "permute", "_unsafe_view", "mul.Tensor", "mul_.Tensor", "add.Tensor", "add_.Tensor",
    "sub.Tensor", "div.Tensor", "neg", "rsqrt", "pow.Tensor_Scalar", "mean.dim", "mm", "bmm", "addmm",
    "baddbmm_", "copy_", "_to_copy", "clone",
)  # fmt: skip

_own_attention = torch.nn.functional.scaled_dot_product_attention
_own_kernels = torch.library.Library("aten", "IMPL")
_counters: list[OpCounter] = []  # of the running ``counting``


def install() -> None:
    """Replace what a CPU-only torch does otherwise. Call it once."""
    from transformers import masking_utils

    masking_utils.is_tracing = lambda *a, **k: False
    skip_packing_check()  # as base_model does
    # without a CUDA kernel it would fall apart into its formula before it is counted
    _own_kernels.impl("silu_backward", lambda grad, x: torch.empty_like(x), "CUDA")
    torch.nn.functional.scaled_dot_product_attention = _attention
    FakeTensor.tolist = lambda self: _read(self, "tolist").tolist()
    FakeTensor.numpy = lambda self, **options: _read(self, "numpy")
    _hurry_cache_keys()
    _hurry_plain_operations()
    torch.cuda.is_bf16_supported = lambda *a, **k: True
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.Event, torch.cuda.Stream = _Event, _Stream
    torch.cuda.current_stream = lambda *a, **k: _Stream()
    torch.cuda.stream = lambda *a, **k: nullcontext()
    torch.cuda.synchronize = lambda *a, **k: _note("synchronise")
    for name in ("empty_cache", "reset_peak_memory_stats"):
        setattr(torch.cuda, name, lambda *a, **k: None)
    for name in ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"):
        setattr(torch.cuda, name, lambda *a, **k: 0)
    torch.cuda.mem_get_info = lambda *a, **k: (1 << 36, 1 << 36)


def _hurry_cache_keys() -> None:
    """Let torch look up what an operation returns in less time: no tensor is sparse, and no size symbolic."""

    def flatten(metadata: TensorMetadata, key: list[object], *rest: Any) -> None:
        key.extend(getattr(metadata, name) for name in TensorMetadata.__slots__)

    TensorMetadata._flatten_into = flatten
    fake_tensor.is_sparse_any = lambda tensor: False
    fake_tensor.suggest_memory_format = lambda tensor: torch.contiguous_format  # the key has the strides


def _hurry_plain_operations() -> None:
    """Compute the shapes of frequent operations at once: torch takes longer to look them up. The operations
    are those that return a tensor of their operands' device."""
    aten, plain = torch.ops.aten, set()
    for name, _, kind in (each.partition(".") for each in PLAIN):
        plain.add(getattr(getattr(aten, name), kind or "default"))
    own = FakeTensorMode.dispatch

    def dispatch(self: FakeTensorMode, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        quick = (func in plain or func.namespace == "trimtab") and "device" not in kwargs
        device = _find_device(args) if quick else None
        if device is None:
            return own(self, func, types, args, kwargs)
        with fake_tensor.in_kernel_invocation_manager(self):
            out = func(*args, **kwargs)
        if isinstance(out, tuple | list):
            return type(out)(FakeTensor(self, each, device) for each in out)
        return out if out is None or type(out) is FakeTensor else FakeTensor(self, out, device)

    FakeTensorMode.dispatch = dispatch


def _find_device(operands: Any) -> torch.device | None:
    """The device that all tensors among ``operands`` are on; None where torch must decide."""
    device = None
    for each in operands:
        if isinstance(each, torch.Tensor):
            known = type(each) is FakeTensor and each.constant is None
            if not known or each.fake_device != (device or each.fake_device):
                return None
            device = each.fake_device
    return device


@contextmanager
def fake_tensors() -> Iterator[None]:
    """Make every new tensor a fake one."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


@contextmanager
def counting(kind: type[OpCounter] = OpCounter) -> Iterator[OpCounter]:
    """Count, or with OpChecker only check, what runs within."""
    with kind() as counter:
        _counters.append(counter)
        try:
            yield counter
        finally:
            _counters.remove(counter)


@contextmanager
def modules_in_place(dtype: torch.dtype) -> Iterator[None]:
    """Let PEFT create its layers where and as they would be after moving: fake weights cannot be moved."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with (
            torch.device(CUDA),
            patch.object(BaseTunerLayer, "_move_adapter_to_device_of_base_layer", lambda *a, **k: None),
            patch.object(torch.nn.Module, "to", lambda self, *a, **k: self),
        ):
            yield
    finally:
        torch.set_default_dtype(default)


def _note(wait: str) -> None:
    for counter in _counters:
        counter.waits[wait] += 1


class _Event:
    """torch.cuda.Event, for which the host can wait."""

    def __init__(self, **options: Any) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        """Do nothing: no work is queued."""

    def query(self) -> bool:
        """Whether all work before it is done."""
        return True

    def synchronize(self) -> None:
        """Note that the host waits."""
        _note("event")


class _Stream(_Event):
    """torch.cuda.Stream, for which the host can wait, too."""

    def wait_stream(self, stream: Any) -> None:
        """Do nothing: the device waits, not the host."""

    wait_event = wait_stream


def _read(tensor: torch.Tensor, what: str) -> np.ndarray:
    """Made-up values of a tensor: 0.5, or 1 for integers."""
    for counter in _counters:
        counter.read(tensor, what)
    if tensor.dtype == torch.bool:
        return np.ones(tuple(tensor.shape), dtype=bool)
    is_float = tensor.is_floating_point()
    return np.full(tuple(tensor.shape), 0.5 if is_float else 1, np.float32 if is_float else np.int64)


def _attention(
    q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> torch.Tensor:  # fmt: skip
    """Choose as torch does on a GPU: flash attention without a mask, else the memory-efficient kernel."""
    if q.device.type != "cuda":
        return _own_attention(q, k, v, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if attn_mask is None:
        attend = torch.ops.aten._scaled_dot_product_flash_attention
        return attend(q, k, v, dropout_p, is_causal, scale=scale)[0]
    if k.shape[1] != q.shape[1]:
        k, v = (tensor.repeat_interleave(q.shape[1] // tensor.shape[1], 1) for tensor in (k, v))
    mask = attn_mask.expand(q.shape[0], q.shape[1], -1, -1)
    attend = torch.ops.aten._scaled_dot_product_efficient_attention
    return attend(q, k, v, mask, True, dropout_p, is_causal, scale=scale)[0]


def use_fast_path(path: FastPath = FULL) -> None:
    """Take these fused kernels on the fake card, as on one where all of them work."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        fast_path.use(CUDA, dtype, path)


def fuse_layers(model: Any) -> None:
    """Use the fused kernels of norms and feed-forward layers: values cannot be compared here."""
    with patch.multiple(fused_layers, _agrees=lambda *given: True, _are_close=lambda *given, **limit: True):
        fused_layers.fuse(model)
