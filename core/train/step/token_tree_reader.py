"""Reads token trees with a key-value cache: one row of the batch per adapter, some columns at a time, each
token attending to its ancestors only (as the verification of speculative decoding does, SpecInfer, Miao et
al. 2024)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.base.shared_pass_check import close
from core.train.kernels import pinned_transfer
from core.train.step import residual_stream
from core.train.step.residual_stream import ResidualStream
from core.train.step.token_tree import TokenTree

log = logging.getLogger("trimtab.trees")
LEAST = (
    128  # tokens of a pass: with 64 a CPU reads 160 tokens per second, with 128 250, with 256 300 (SmolLM2)
)
ROOM = 32  # tokens that a cache makes room for when it is full
Owner = Factors | None  # None: the base model itself


class RoomyLayer(DynamicLayer):
    """A layer of the cache whose tensors have room for tokens to come. Without it each token copies all that
    precede it, which takes a third of the time in which a CPU generates."""

    keys: Any  # a tensor, once initialized
    values: Any
    _rooms: tuple[torch.Tensor, ...] = ()
    _taken: tuple[torch.Tensor, ...] = ()  # the parts of the rooms that are read, as ``keys`` and ``values``

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the states of new tokens (B, heads, T, size); returns those of all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        added, begin = (key_states, value_states), self.get_seq_length()
        end = begin + key_states.shape[-2]
        if not self._has_room(end):
            known = (self.keys, self.values) if begin else ()
            self._rooms = tuple(new.new_empty(*new.shape[:2], end + ROOM, new.shape[3]) for new in added)
            for room, old in zip(self._rooms, known, strict=False):
                room[:, :, :begin] = old
        for room, new in zip(self._rooms, added, strict=True):
            room[:, :, begin:end] = new
        self._taken = tuple(room[:, :, :end] for room in self._rooms)
        self.keys, self.values = self._taken
        return self.keys, self.values

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Begin without tokens; transformers copies an empty tensor to the device for it."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = key_states.new_empty(0), value_states.new_empty(0)
        self.is_initialized = True

    def _has_room(self, end: int) -> bool:
        """Whether the states are still those of the rooms, not selected ones, and ``end`` fits."""
        same = bool(self._taken) and self.keys is self._taken[0] and self.values is self._taken[1]
        return same and end <= self._rooms[0].shape[-2]


class TreeReader:
    """Reads the trees of ``owners``, which must be in the order of the stack, the base last. ``wanted`` are
    each tree's nodes, in ascending order, whose outputs are returned; ``marked`` those whose residual stream
    is kept in ``states``, as float32 bytes by (row of the tree, node)."""

    def __init__(
        self, base: Base, stack: Stack, headless: bool, owners: Sequence[Owner], trees: Sequence[TokenTree],
        wanted: Sequence[Sequence[int]], marked: Sequence[Collection[int]] = (),
    ) -> None:  # fmt: skip
        self._base, self._stack, self._headless, self._owners = base, stack, headless, owners
        self.cache = make_selectable_cache(base)
        assert self.cache is not None
        self._width, self._read = max(len(tree) for tree in trees), 0
        self.tokens = 0  # read so far
        self.states: dict[tuple[int, int], bytes] = {}
        self._marked = [(row, node) for row, nodes in enumerate(marked) for node in sorted(nodes)]
        self._residual = ResidualStream(base.model)
        self._ids = np.full((len(trees), self._width), base.pad_id, dtype=np.int64)
        self._depths = np.zeros_like(self._ids)
        self._seen = np.zeros((len(trees), self._width, self._width), dtype=bool)
        for row, tree in enumerate(trees):
            nodes = len(tree)
            self._ids[row, :nodes], self._depths[row, :nodes] = tree.ids, tree.depths
            self._seen[row, :nodes, :nodes] = tree.ancestors()
            padding = range(nodes, self._width)
            self._seen[row, padding, padding] = True  # attention to nothing at all is not a number
        self._wanted = [np.asarray(nodes, dtype=np.int64) for nodes in wanted]

    @property
    def unread(self) -> int:
        """Columns that are still to be read."""
        return self._width - self._read

    @property
    def read_share(self) -> float:
        """How much of the trees is read, 0 to 1."""
        return self._read / self._width

    @torch.no_grad()
    def read(self, tokens: float) -> list[tuple[int, np.ndarray, torch.Tensor]]:
        """Read the next columns, of about ``tokens`` in all. Returns for each owner's index the wanted nodes
        among them, (K,), and their outputs: hidden states (K, H), or logits (K, V) if ``headless``."""
        begin = self._read
        end = min(self._width, begin + max(1, int(tokens / len(self._owners))))
        marked = [(row, node) for row, node in self._marked if begin <= node < end]
        flat = [row * (end - begin) + node - begin for row, node in marked]
        with self._residual.record(flat) as states:
            outputs = self._run_pass(begin, end)
        self.states |= zip(marked, residual_stream.encode_bytes(states, len(marked)), strict=True)
        self._read = end
        self.tokens += (end - begin) * len(self._owners)
        parts = [nodes[(nodes >= begin) & (nodes < end)] for nodes in self._wanted]
        found = [(row, part) for row, part in enumerate(parts) if len(part)]
        places = [torch.from_numpy(part - begin) for _, part in found]
        on_device = pinned_transfer.copy_to_device(outputs.device, *places)
        return [
            (row, part, outputs[row].index_select(0, at))
            for (row, part), at in zip(found, on_device, strict=True)
        ]

    def _run_pass(self, begin: int, end: int) -> torch.Tensor:
        """The outputs (B, end − begin, H or V) of some columns."""
        device, dtype = self._base.device, self._base.model.dtype
        on_host = (self._seen[:, None, begin:end, :end], self._ids[:, begin:end], self._depths[:, begin:end])
        visible, ids, positions = pinned_transfer.copy_to_device(device, *map(torch.from_numpy, on_host))
        hidden_from = torch.zeros(visible.shape, dtype=dtype, device=device)
        inputs: dict[str, Any] = {
            "input_ids": ids,
            "position_ids": positions,
            "attention_mask": hidden_from.masked_fill_(~visible, torch.finfo(dtype).min),
            "past_key_values": self.cache, "use_cache": True,
        }  # fmt: skip
        with adapt_rows(self._stack, self._owners):
            if self._headless:
                logits: torch.Tensor = self._base.model(**inputs).logits
                return logits
            hidden: torch.Tensor = self._base.model.base_model(**inputs).last_hidden_state
            return hidden

    def spread(self, rows: Sequence[int], paths: Sequence[Sequence[int]]) -> torch.Tensor:
        """Make the cache that of sequences, padded on the left: the nodes ``paths`` of the owners with the
        indices ``rows``. Returns their mask (R, T) int64."""
        width = max(len(path) for path in paths)
        nodes = np.zeros((len(paths), width), dtype=np.int64)
        mask = np.zeros_like(nodes)
        for row, path in enumerate(paths):
            nodes[row, width - len(path) :], mask[row, width - len(path) :] = path, 1
        device = self._base.device
        on_host = (torch.from_numpy(nodes), torch.tensor(rows)[:, None], torch.from_numpy(mask))
        at, owner, mask_on_device = pinned_transfer.copy_to_device(device, *on_host)
        assert self.cache is not None
        for layer in self.cache.layers:
            layer.keys = layer.keys[owner, :, at].transpose(1, 2).contiguous()
            layer.values = layer.values[owner, :, at].transpose(1, 2).contiguous()
        return mask_on_device


@contextmanager
def adapt_rows(stack: Stack, owners: Sequence[Owner]) -> Iterator[None]:
    """Let a pass run with each row's adapter; the rows are in the order of the stack, the base's last."""
    counts: dict[int, tuple[Factors, list[int]]] = {}
    for owner in owners:
        if owner is not None:
            counts.setdefault(id(owner), (owner, []))[1].append(0)
    if counts:
        bare = sum(owner is None for owner in owners)
        stack.begin(stack.plan_pass(list(counts.values()), trains=False, bare=bare))
    try:
        yield
    finally:
        stack.end()


def make_selectable_cache(base: Base) -> DynamicCache | None:
    """A cache whose rows can be repeated and dropped; None where the model needs another kind: a
    sliding-window cache counts its padding, and a state-space model keeps none."""
    try:
        cache = DynamicCache(config=base.model.config.get_text_config())
    except Exception:  # a configuration that DynamicCache does not support
        return None
    plain = cache.layers and all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)
    known = getattr(base.model, "_supports_cache_class", True) and not getattr(
        base.model, "_is_stateful", False
    )
    if not (plain and known):
        return None
    cache.layers = [RoomyLayer() for _ in cache.layers]
    return cache


@contextmanager
def enable_caching(model: Any) -> Iterator[None]:
    """Let layers with gradient checkpointing use the cache, which they do not in train mode."""
    layers = [
        module
        for module in model.modules()
        if getattr(module, "gradient_checkpointing", False) and module.training
    ]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True


@torch.no_grad()
def can_read_trees(base: Base, stack: Stack) -> bool:
    """Whether this base model gives a tree's tokens the outputs of their sequences: tried, since attention
    masks, positions and caches are each model family's own."""
    if make_selectable_cache(base) is None:
        return False
    top = max(16, min(base.vocabulary, 1000))
    lines = ((1, 2, 3, 4, 5), (1, 2, 3, 6, 7, 8), (9, 2, 3))
    sequences = [[at * 7 % top + 1 for at in line] for line in lines]
    tree = TokenTree()
    paths = [tree.add(sequence) for sequence in sequences]
    try:
        with enable_caching(base.model):
            reader = TreeReader(base, stack, False, [None], [tree], [range(len(tree))])
            outputs = torch.cat([reader.read(3)[0][2] for _ in range(-(-len(tree) // 3))])
            for sequence, path in zip(sequences, paths, strict=True):
                ids = torch.tensor([sequence], device=base.device)
                expected = base.model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
                if not close(outputs[path], expected):
                    return False
    except Exception:
        log.info("this base model reads no token trees", exc_info=True)
        return False
    return True
