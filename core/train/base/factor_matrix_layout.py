"""The linear layers of a base model, and the layout of their factors in a trial's matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


def name_kind(path: str) -> str:
    """A module path without the numbers of layers and experts: layers.#.self_attn.q_proj."""
    return ".".join("#" if part.isdigit() else part for part in path.split("."))


@dataclass(frozen=True)
class Place:
    """A linear layer that can have an adapter. ``index`` counts all such layers in model order."""

    index: int
    name: str  # the module's full path
    inputs: int
    outputs: int

    @property
    def last_name(self) -> str:
        """The last part of the path, such as q_proj."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def kind(self) -> str:
        """The path without numbers, which is shared by the same layer elsewhere in the model."""
        return name_kind(self.name)


def is_supported(module: torch.nn.Linear) -> bool:
    """Whether the layer computes like nn.Linear, or is a supported quantised one. Layers in 8-bit floats are
    not: they have scales besides their weights."""
    computes = type(module).forward is torch.nn.Linear.forward
    return computes or type(module).__name__ in ("Linear4bit", "Linear8bitLt")


def find(model: Any) -> list[Place]:
    """List the linear layers that an adapter can be put on, except the output layer, in model order."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    places: list[Place] = []
    for name, module in model.named_modules():
        if module is head:
            continue
        if isinstance(module, Conv1D):  # its weight is (inputs, outputs)
            places.append(Place(len(places), name, module.weight.shape[0], module.weight.shape[1]))
        elif isinstance(module, torch.nn.Linear) and is_supported(module):
            places.append(Place(len(places), name, module.in_features, module.out_features))
    return places


class Layout:
    """Arranges all factors of a trial in one matrix (rank, width): columns of every A, then of every Bᵀ.

    A trial of rank r takes r full rows: trials of other ranks are stacked with rows of zeros, a norm or an
    optimizer step is one operation on one tensor, and a layer's A (r, inputs) and Bᵀ (r, outputs) are views.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = tuple(places)
        self.split = sum(place.inputs for place in places)  # the first column of the B factors
        self.width = self.split + sum(place.outputs for place in places)
        self._columns: dict[int, tuple[slice, slice]] = {}
        a, b = 0, self.split
        for place in places:
            self._columns[place.index] = slice(a, a + place.inputs), slice(b, b + place.outputs)
            a, b = a + place.inputs, b + place.outputs

    def __contains__(self, index: int) -> bool:
        return index in self._columns

    def a(self, matrix: torch.Tensor, index: int) -> torch.Tensor:
        """The view of A (…, r, inputs) in ``matrix`` (…, r, width)."""
        return matrix[..., self._columns[index][0]]

    def b(self, matrix: torch.Tensor, index: int) -> torch.Tensor:
        """The view of B transposed (…, r, outputs) in ``matrix`` (…, r, width)."""
        return matrix[..., self._columns[index][1]]

    def blocks(self) -> list[tuple[slice, int]]:
        """Ranges of neighbouring columns of factors with equal width, and that width."""
        columns = sorted((cut for pair in self._columns.values() for cut in pair), key=lambda cut: cut.start)
        blocks: list[tuple[slice, int]] = []
        for cut in columns:
            width = cut.stop - cut.start
            if blocks and blocks[-1][1] == width:
                blocks[-1] = slice(blocks[-1][0].start, cut.stop), width
            else:
                blocks.append((cut, width))
        return blocks
