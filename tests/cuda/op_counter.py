"""Counts the kernels, bytes, FLOPs and host waits of what runs on fake CUDA tensors.

Kernels are the operations that launch one; views and allocations are not. Bytes count each operand and each
result once, as if nothing stayed in a cache. A wait is where the host stops until the device has finished:
a copy to or from pageable memory, a value that is read, a result whose shape depends on values.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

ALLOCATES = frozenset(
    {"empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "set_", "resize_"}
)
LAUNCHES_NOTHING = ALLOCATES | {
    "detach", "alias", "lift_fresh", "lift_fresh_copy", "_unsafe_view", "_reshape_alias", "sym_size",
    "_fused_sdp_choice", "is_pinned", "_has_compatible_shallow_copy_type",
}  # fmt: skip
INDEXES = frozenset({"index", "index_put", "index_put_", "_index_put_impl_"})
WAITS = frozenset({"nonzero", "masked_select", "unique_dim", "_unique2", "equal", "is_nonzero"})
GATHERS = frozenset({"embedding", "index_select", "gather"})  # read what they return, not all of the table
SCATTERS = frozenset({"scatter_add_", "index_add_"})  # in place, touching what they add to
OVERWRITES = frozenset({"copy_", "zero_", "fill_"})  # do not read what they write
PRODUCTS = frozenset(
    {"mm", "bmm", "addmm", "baddbmm", "baddbmm_", "addmm_", "_grouped_mm", "shrink", "expand"}
)
_PINNED: dict[int, Any] = {}  # pinned storages by address; held, so that no address is used again
TILE = 128  # rows and columns of the output that one multiprocessor computes at a time


class Kernel(NamedTuple):
    """One operation. ``tiles``: TILE × TILE blocks of a product's output, 0 for others. ``single``: a product
    in float32."""

    name: str
    launches: int
    flops: int
    bytes: int
    tiles: int = 0
    single: bool = False


class OpCounter(TorchDispatchMode):
    """Counts within its context, on top of FakeTensorMode. A boolean that is read is ``answer``."""

    def __init__(self, answer: bool = True) -> None:
        super().__init__()
        self.answer = answer
        self.kernels: list[Kernel] = []
        self.waits: Counter[str] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, and torch's guard against it takes longer than a dispatch."""
        return False

    @property
    def launches(self) -> int:
        """The number of kernels."""
        return sum(kernel.launches for kernel in self.kernels)

    @property
    def bytes(self) -> int:
        """The bytes read and written."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def flops(self) -> int:
        """The FLOPs of all products."""
        return sum(kernel.flops for kernel in self.kernels)

    def names(self) -> Counter[str]:
        """The number of kernels by the name of the operation."""
        counts: Counter[str] = Counter()
        for kernel in self.kernels:
            counts[kernel.name] += kernel.launches
        return counts

    def read(self, tensor: torch.Tensor, what: str) -> None:
        """Note that the host reads ``tensor``, outside of any operation."""
        if tensor.device.type == "cuda":
            self.waits[what] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:  # half of all calls, from within torch
            return args[0].fake_device
        name = func.__name__.split(".")[0]
        if name in ("_local_scalar_dense", "equal") and _device(args[0]) == "cuda":
            self.waits["value read"] += 1
            return self._made_up(args[0], name)
        if name == "is_pinned":
            return _is_pinned(args[0])
        if name in PRODUCTS:
            _require_one_dtype(name, args)
        if name == "_pin_memory":  # FakeTensorMode has no such tensors
            func, args, kwargs = torch.ops.aten.clone.default, args[:1], {}
        out = func(*args, **kwargs)
        if name == "_pin_memory" or kwargs.get("pin_memory"):
            _PINNED[_address(out)] = out.untyped_storage()
        self._count(func, name, args, kwargs, out)
        return out

    def _made_up(self, tensor: torch.Tensor, name: str) -> bool | int | float:
        if name == "equal" or tensor.dtype == torch.bool:
            return self.answer
        return 0.5 if tensor.is_floating_point() else 1

    def _count(self, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> None:
        operands, results = _tensors((args, kwargs)), _tensors(out)
        devices = {_device(tensor) for tensor in (*operands, *results)}
        if "cuda" not in devices:
            return
        if name in ("_to_copy", "copy_") and len(devices) > 1:
            self._copy(args, kwargs, operands, results)
        elif not (name in LAUNCHES_NOTHING or _is_view(func)):
            self._wait(name, operands)
            size = _bytes(name, args, kwargs, [*results, *_written_arguments(func, args, kwargs)])
            self.kernels.append(_kernel(func, name, args, kwargs, out, results, size))

    def _copy(self, args: Any, kwargs: Any, operands: list[Any], results: list[Any]) -> None:
        """A copy between host and device: it waits unless it is asked not to, from or to pinned memory."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in results)
        self.kernels.append(Kernel("memcpy", 1, 0, size))
        hosts = [tensor for tensor in (*results, *operands) if _device(tensor) == "cpu"]
        asked = bool(kwargs.get("non_blocking", args[2] if len(args) > 2 else False))
        if not (asked and all(_is_pinned(tensor) for tensor in hosts)):
            to = _device(results[0])
            self.waits["copy to the device" if to == "cuda" else "copy to the host"] += 1

    def _wait(self, name: str, operands: Sequence[torch.Tensor]) -> None:
        if name in WAITS:
            self.waits[name] += 1
        for index in operands[1:] if name in INDEXES else ():
            if index.dtype == torch.bool:
                self.waits["boolean index"] += 1
            elif index.dim() and _device(index) == "cpu":
                self.waits["index from the host"] += 1


class OpChecker(OpCounter):
    """Answers and checks as ``OpCounter`` does, in less time: it counts nothing."""

    def _count(self, func: Any, name: str, args: Any, kwargs: Any, out: Any) -> None:
        pass


def _require_one_dtype(name: str, args: Any) -> None:
    """Raise RuntimeError where CUDA refuses a product that a fake tensor takes."""
    dtypes = {tensor.dtype for tensor in _tensors(args) if tensor.dtype != torch.int32}  # but for offsets
    if len(dtypes) > 1:
        raise RuntimeError(f"{name} needs operands of one dtype, not {', '.join(map(str, dtypes))}")


def _device(tensor: torch.Tensor) -> str:
    """The type of its device; asking a fake tensor in the ordinary way is a dispatch of its own."""
    kind: str = (tensor.fake_device if isinstance(tensor, FakeTensor) else tensor.device).type
    return kind


def _is_pinned(tensor: torch.Tensor) -> bool:
    return _address(tensor) in _PINNED


def _address(tensor: torch.Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address


def _tensors(values: Any) -> list[torch.Tensor]:
    """The tensors among arguments or results. Arguments are no deep trees: pytree takes ten times as long."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for value in values for tensor in _tensors(value)]


def _is_view(func: Any) -> bool:
    with suppress(AttributeError, RuntimeError):  # custom operations may not say
        return bool(func.is_view)
    return False


def _kernel(
    func: Any, name: str, args: Any, kwargs: Any, out: Any, results: list[torch.Tensor], size: int
) -> Kernel:
    flops = _flops(func, name, args, kwargs, out)
    floats = [tensor for tensor in _tensors((args, kwargs)) if tensor.is_floating_point()]
    single = bool(flops) and all(tensor.dtype == torch.float32 for tensor in (*floats, *results[:1]))
    tiles = _tiles(results[0].shape) if flops and results and "attention" not in name else 0
    return Kernel(name, _launches(name, args), flops, size, tiles, single)


def _flops(func: Any, name: str, args: Any, kwargs: Any, out: Any) -> int:
    if name == "_grouped_mm":  # (tokens, K) by groups (G, K, N), or (M, tokens) by (tokens, N) for gradients
        a, b = args[0], args[1]
        groups = a.shape[0] if a.dim() == b.dim() == 3 else 1
        return int(2 * groups * a.shape[-2] * a.shape[-1] * b.shape[-1])
    if name in ("shrink", "expand", "learn"):  # each token with the factors of one trial
        tokens, factors = (args[1], args[2]) if name == "expand" else (args[0], args[1])
        rank, channels = args[0].shape[1:] if name == "learn" else factors.shape[1:]
        return 2 * (args[1] if name == "learn" else tokens).shape[0] * rank * channels
    count = flop_registry.get(func._overloadpacket)
    if name == "bmm":  # its form with another output type has arguments that torch's formula does not know
        args, kwargs = args[:2], {}
    return int(count(*args, **kwargs, out_val=out)) if count else 0


def _tiles(shape: torch.Size) -> int:
    if len(shape) < 2:
        return 0
    *batch, rows, columns = shape
    return math.prod(batch) * -(-rows // TILE) * -(-columns // TILE)


def _launches(name: str, args: Any) -> int:
    """Kernels of one operation, where torch's CUDA code has more than one."""
    if name == "_foreach_mul_" and isinstance(args[1], list | tuple) and isinstance(args[1][0], torch.Tensor):
        return len(args[0])  # factors of another shape: the slow path
    if name.startswith("_foreach"):
        return 1 + (len(args[0]) - 1) // 64
    if name.startswith("_fused_adam"):
        return 1 + (len(args[0]) - 1) // 36
    if "flash_attention_backward" in name or name == "_varlen_attn_backward":
        return 3
    if name == "_varlen_attn":
        return 2  # it also makes the state of a random generator that nothing draws from
    return 4 if name == "sort" else 1


def _written_arguments(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """What the operation writes in place, which it need not return."""
    given = {**dict(zip((each.name for each in func._schema.arguments), args, strict=False)), **kwargs}
    changed = [each.name for each in func._schema.arguments if each.alias_info and each.alias_info.is_write]
    return _tensors([given[name] for name in changed if name in given])


def _bytes(name: str, args: Any, kwargs: Any, results: list[torch.Tensor]) -> int:
    """``results`` with what is written in place."""
    read = _tensors((args, {key: value for key, value in kwargs.items() if not key.startswith("out")}))
    written = sum(_size(tensor) for tensor in {id(tensor): tensor for tensor in results}.values())
    if name in GATHERS:
        return 2 * written
    if name in SCATTERS:
        return 3 * _size(read[-1])
    if name in OVERWRITES:
        read = read[1:]
    return written + sum(_size(tensor) for tensor in {id(tensor): tensor for tensor in read}.values())


def _size(tensor: torch.Tensor) -> int:
    """Bytes of the tensor; an expanded dimension is read once."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * math.prod(size for size, stride in sizes if stride or not size)
