"""A trial's own tensors: its low-rank factors in float32, their gradient and their initialisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from core.train.base.factor_matrix_layout import Layout
from core.train.checkpoint_tensor_copies import HostCopies

MATRIX = "factors"  # among the tensors that are copied to the host together


class Factors:
    """The factors of a trial in one matrix (rank, width), arranged by ``Layout`` and shared with no other
    trial. ``grad`` is the gradient of the *summed* loss over ``targets`` tokens, None before the first."""

    def __init__(
        self, layout: Layout, rank: int, alpha: float, dropout: float, seed: int, device: torch.device
    ) -> None:
        self.layout, self.rank, self.scale = layout, rank, alpha / rank
        self.dropout, self.seed = dropout, seed
        self.matrix = torch.nn.Parameter(torch.zeros(rank, layout.width, device=device), requires_grad=False)
        self.grad: torch.Tensor | None = None

    def draw(self, initialisation: str) -> None:
        """Initialise the factors: the same seed gives the same numbers in any pack, on one kind of device.

        ``default``: A uniform in ±1/√inputs (Kaiming with a = √5, as nn.Linear), B zero. ``gaussian``: A
        normal with deviation 1/rank. ``orthogonal``: A and B on orthogonal halves of a random rotation, so
        that their product starts at zero; raises ValueError for an odd rank.
        """
        device = self.matrix.device  # drawn on the device: a large adapter takes half a second on the host
        draw = torch.Generator(device).manual_seed(self.seed)
        if initialisation == "orthogonal":
            self._draw_orthogonal(draw)
            return
        a = self.matrix[:, : self.layout.split]
        if initialisation == "gaussian":
            a.copy_(torch.empty(a.shape, device=device).normal_(0.0, 1.0 / self.rank, generator=draw))
            return
        a.copy_(torch.empty(a.shape, device=device).uniform_(-1.0, 1.0, generator=draw))
        for place in self.layout.places:
            self.layout.a(self.matrix, place.index).mul_(place.inputs**-0.5)

    def _draw_orthogonal(self, draw: torch.Generator) -> None:
        # as PEFT: https://datta0.github.io/posts/rethink-lora-init/#orthogonal-initialisation
        if self.rank % 2:
            raise ValueError(f"orthogonal initialisation needs an even rank, not {self.rank}")
        half, device = self.rank // 2, self.matrix.device
        for place in self.layout.places:
            turn, _ = torch.linalg.qr(torch.randn(self.rank, self.rank, generator=draw, device=device))
            a = turn[0::2].T @ torch.randn(half, place.inputs, generator=draw, device=device)
            b = turn[1::2].T @ torch.randn(half, place.outputs, generator=draw, device=device)
            self.layout.a(self.matrix, place.index).copy_(a / 10.0)
            self.layout.b(self.matrix, place.index).copy_(b / 10.0)

    def named_factors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (PEFT's name, view of A (r, inputs) or B (outputs, r)) of every layer, in model order."""
        return self.named_views(self.matrix)

    def named_views(self, matrix: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """The same of a copy of the ``matrix``."""
        for place in self.layout.places:
            yield f"base_model.model.{place.name}.lora_A.weight", self.layout.a(matrix, place.index)
            yield f"base_model.model.{place.name}.lora_B.weight", self.layout.b(matrix, place.index).T

    def copy_to_host(
        self, extra_tensors: Mapping[str, torch.Tensor] | None = None
    ) -> tuple[dict[str, torch.Tensor], HostCopies]:
        """Copies of the factors by PEFT's names, and of ``extra_tensors`` tensors; wait for the latter
        before either
        is read. From a GPU the matrix is copied once, and the factors are views of the copy."""
        extra_tensors = extra_tensors or {}
        if self.matrix.device.type == "cpu":
            return HostCopies(dict(self.named_factors())).tensors, HostCopies(extra_tensors)
        copies = HostCopies({MATRIX: self.matrix, **extra_tensors})
        return dict(self.named_views(copies.tensors.pop(MATRIX))), copies

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Load tensors by the names of ``named``. Raises KeyError or RuntimeError for another adapter's."""
        for key, view in self.named_factors():
            view.copy_(tensors[key])

    def to(self, device: torch.device) -> None:
        """Move matrix and gradient to ``device``; their old memory is freed."""
        self.matrix.data = self.matrix.data.to(device)
        if self.grad is not None:
            self.grad = self.grad.to(device)


def copy_frozen(factors: Factors) -> Factors:
    """A copy of the factors on the same device, without dropout, that later steps do not change."""
    copy = Factors(
        factors.layout, factors.rank, factors.scale * factors.rank, 0.0, factors.seed, factors.matrix.device
    )
    copy.matrix.data.copy_(factors.matrix.data)
    return copy
