"""What a step allocates: every tensor's storage as it comes and goes, seen by torch's own dispatcher.

The same count as the allocator's: in float32 on a CPU it is equal to the profiler's, byte for byte (a test).
What a kernel takes for itself inside one operation is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Came:
    """A storage of ``size_bytes`` was made by ``operation``."""

    size_bytes: int
    operation: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Went:
    """The storage that came as number ``of`` is gone."""

    of: int


@dataclass(frozen=True)
class Mark:
    """Something began or ended: a word of the tracer's user."""

    name: str


@dataclass(frozen=True)
class Called:
    """An operation is about to run."""

    operation: str


Event = Came | Went | Mark | Called


class Trace(TorchDispatchMode):
    """While it is entered, ``events`` grow. Storages of ``held`` tensors were there before: not counted."""

    def __init__(self, held: Iterable[torch.Tensor] = (), watched: Iterable[str] = ()) -> None:
        super().__init__()
        self.events: list[Event] = []
        self._held = list(held)  # kept alive: an address must not be used again
        self._known = {one.untyped_storage()._cdata: -1 for one in self._held}
        self._watched = frozenset(watched)

    def mark(self, name: str) -> None:
        """Note ``name`` among the events."""
        self.events.append(Mark(name))

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function)
        if name in self._watched:
            self.events.append(Called(name))
        result = function(*args, **(kwargs or {}))
        for one in _pytree.tree_leaves(result):
            if isinstance(one, torch.Tensor):
                self._note(one, name)
        return result

    def _note(self, one: torch.Tensor, operation: str) -> None:
        storage = one.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = len(self.events)
        self.events.append(Came(storage.nbytes(), operation, tuple(one.shape)))
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.events.append(Went(self._known.pop(key)))


def peak(events: Iterable[Event]) -> int:
    """The most bytes that lived at once."""
    live = most = 0
    sizes: dict[int, int] = {}
    for index, one in enumerate(events):
        if isinstance(one, Came):
            sizes[index] = one.size_bytes
            live += one.size_bytes
            most = max(most, live)
        elif isinstance(one, Went):
            live -= sizes.pop(one.of)
    return most
