"""The linear layers of a base, and where their factors stand in a trial's one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


def kind(path: str) -> str:
    """A path without the numbers of layers and experts: layers.#.self_attn.q_proj."""
    return ".".join("#" if part.isdigit() else part for part in path.split("."))


@dataclass(frozen=True)
class Place:
    """A linear layer that may have an adapter. ``index`` counts them in model order, whoever trains."""

    index: int
    name: str  # the module's full path
    inputs: int
    outputs: int

    @property
    def last_name(self) -> str:
        """What people call it: q_proj."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def kind(self) -> str:
        """What it has in common with the same layer elsewhere in the model."""
        return kind(self.name)


def known(module: torch.nn.Linear) -> bool:
    """Does it compute as a plain layer, or as a quantised one that is known here? Layers in 8-bit floats have
    scales beside their weights."""
    computes = type(module).forward is torch.nn.Linear.forward
    return computes or type(module).__name__ in ("Linear4bit", "Linear8bitLt")


def find(model: Any) -> list[Place]:
    """Every linear layer that a gate can stand for but the output layer, in model order."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    found: list[Place] = []
    for name, module in model.named_modules():
        if module is head:
            continue
        if isinstance(module, Conv1D):  # its weight is (inputs, outputs)
            found.append(Place(len(found), name, module.weight.shape[0], module.weight.shape[1]))
        elif isinstance(module, torch.nn.Linear) and known(module):
            found.append(Place(len(found), name, module.in_features, module.out_features))
    return found


class Layout:
    """All factors of a trial as one matrix (rank, width): the columns of every A, then those of every B
    transposed.

    A trial of rank r is then r whole rows: trials of other ranks stack by adding rows of zeros, a norm or an
    optimizer step is one operation on one tensor, and a place's A (r, inputs) and Bᵀ (r, outputs) are views.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = tuple(places)
        self.split = sum(place.inputs for place in places)  # where the B begin
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
        """Runs of neighbouring columns that belong to factors of equal width, and that width."""
        columns = sorted((cut for pair in self._columns.values() for cut in pair), key=lambda cut: cut.start)
        found: list[tuple[slice, int]] = []
        for cut in columns:
            width = cut.stop - cut.start
            if found and found[-1][1] == width:
                found[-1] = slice(found[-1][0].start, cut.stop), width
            else:
                found.append((cut, width))
        return found
