"""A token tree merges sequences with common beginnings, so that each common token is computed once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

ROOT = -1


@dataclass
class TokenTree:
    """Nodes in an order in which a parent comes before its children. ``depths`` are the tokens' positions in
    their sequences."""

    ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def count_new(self, sequence: Sequence[int]) -> int:
        """How many nodes ``add`` would create."""
        node = ROOT
        for at, token in enumerate(sequence):
            child = self._children.get((node, token))
            if child is None:
                return len(sequence) - at
            node = child
        return 0

    def add(self, sequence: Sequence[int]) -> list[int]:
        """Merge a sequence; return its nodes."""
        node, path = ROOT, []
        for depth, token in enumerate(sequence):
            child = self._children.get((node, token))
            if child is None:
                child = len(self.ids)
                self._children[node, token] = child
                self.ids.append(token)
                self.parents.append(node)
                self.depths.append(depth)
            node = child
            path.append(node)
        return path

    def ancestors(self) -> np.ndarray:
        """Whether node j is node i or one of its ancestors: (N, N) bool, what token i attends to."""
        is_ancestor = np.eye(len(self.ids), dtype=bool)
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                is_ancestor[node] |= is_ancestor[parent]
        return is_ancestor
