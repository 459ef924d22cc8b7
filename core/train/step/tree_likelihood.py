"""The likelihood of rows, read as token trees: what rows of one adapter begin with is computed once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from core.train.adapters.adapter_stack import Stack
from core.train.base import cross_entropy
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.data.dataset import MASKED
from core.train.kernels import pinned_transfer
from core.train.step.forward_pass import Item
from core.train.step.target_token_losses import Reading
from core.train.step.token_tree import TokenTree
from core.train.step.token_tree_reader import LEAST, Owner, TreeReader, enable_caching

NODES = 512  # of a tree: attention to the others of 1,000 would cost a tenth of a small model's pass


@dataclass
class _Target:
    """A target token of the row with the index ``row``, its ``place`` among the row's targets."""

    row: int
    place: int
    token: int


@dataclass
class _Owned:
    owner: Owner
    tree: TokenTree = field(default_factory=TokenTree)
    targets: dict[int, list[_Target]] = field(default_factory=dict)  # by the node that predicts them
    rows: dict[int, int] = field(default_factory=dict)  # node before the first target of rows with a state


class RowScoring:
    """Scores rows; ``run_until`` works until a given time. Valid while the stack holds the same trials."""

    def __init__(self, base: Base, stack: Stack, head: Head | None, items: Sequence[Item]) -> None:
        self._base, self._head = base, head
        owners = stack.order([item.mine for item in items if item.mine is not None])
        owned_by_id: dict[int, _Owned] = {id(owner): _Owned(owner) for owner in owners}
        if len(owners) < len({id(item.mine) for item in items}):
            owned_by_id[id(None)] = _Owned(None)
        self._values: list[np.ndarray] = []  # for each row: its losses and firsts, (2, targets)
        for at, item in enumerate(items):
            self._values.append(_plant(owned_by_id[id(item.mine)], at, item))
        self._owned = list(owned_by_id.values())
        self._open = [values.shape[1] for values in self._values]
        self._reader = TreeReader(
            base, stack, head is None, [owned.owner for owned in self._owned],
            [owned.tree for owned in self._owned], [sorted(owned.targets) for owned in self._owned],
            [set(owned.rows.values()) for owned in self._owned],
        )  # fmt: skip
        self._states = {
            row: (place, node) for place, owned in enumerate(self._owned) for row, node in owned.rows.items()
        }

    def run_until(self, until: float, rate: float = 1e9) -> bool:
        """Read until about ``until`` (time.perf_counter), at least one pass; the base reads about ``rate``
        tokens per second. Returns whether all rows are scored."""
        with enable_caching(self._base.model):
            tokens = rate * (until - time.perf_counter())
            while self._reader.unread:
                self._take(self._reader.read(max(LEAST, tokens)))
                tokens = rate * (until - time.perf_counter())
                if tokens < LEAST:
                    break
        return not self._reader.unread

    @property
    def tokens(self) -> int:
        """Tokens read so far."""
        return self._reader.tokens

    def reading(self, row: int) -> Reading | None:
        """The reading of the row with this index, or None while it is not complete."""
        if self._open[row]:
            return None
        state = self._reader.states[self._states[row]] if row in self._states else b""
        losses, firsts = self._values[row].tolist()
        return Reading(losses, firsts, state)

    @torch.no_grad()
    def _take(self, found: Sequence[tuple[int, np.ndarray, torch.Tensor]]) -> None:
        """Score what a pass has ``found``, as ``TreeReader.read`` returns it: one copy to the device, and one
        to the host, however many adapters there are."""
        pairs = [
            [
                (at, target)
                for at, node in enumerate(nodes)
                for target in self._owned[index].targets[int(node)]
            ]
            for index, nodes, _ in found
        ]
        numbers = [torch.tensor([(at, target.token) for at, target in part]).T.contiguous() for part in pairs]
        values: list[torch.Tensor] = []
        moved = pinned_transfer.copy_to_device(self._base.device, *numbers)
        for (_, _, outputs), (places, tokens) in zip(found, moved, strict=True):
            chosen = outputs.index_select(0, places)
            if self._head is None:
                chosen = chosen.float()
                losses = torch.nn.functional.cross_entropy(chosen, tokens, reduction="none")
                hits = chosen.argmax(-1) == tokens
            else:
                losses, hits = cross_entropy.judge(chosen, self._head, tokens)
            values.append(torch.stack([losses, hits.float()]))
        if not values:
            return
        targets = [target for part in pairs for _, target in part]
        for column, target in zip(torch.cat(values, 1).cpu().numpy().T, targets, strict=True):
            self._values[target.row][:, target.place] = column
            self._open[target.row] -= 1


def _plant(owned: _Owned, at: int, item: Item) -> np.ndarray:
    """Add a row to its owner's tree; return the place for its losses and firsts."""
    path = owned.tree.add(_read_ids(item))
    pairs = zip(path, item.row.labels[1:].tolist(), strict=False)
    labelled_nodes = [(node, label) for node, label in pairs if label != MASKED]
    for place, (node, label) in enumerate(labelled_nodes):
        owned.targets.setdefault(node, []).append(_Target(at, place, label))
    if item.state and labelled_nodes:
        owned.rows[at] = labelled_nodes[0][0]
    return np.zeros((2, len(labelled_nodes)), dtype=np.float32)


def _read_ids(item: Item) -> list[int]:
    """The tokens that are read: nothing is predicted from the last one."""
    ids: list[int] = item.row.ids[:-1].tolist()
    return ids


def take_sharing(items: Sequence[Item], most: int) -> list[Item]:
    """Those of ``items`` that one RowScoring takes: trees of at most NODES nodes and ``most`` tokens in all,
    but at least one row. Rows that begin alike stay together."""
    trees: dict[int, TokenTree] = {}
    chosen: list[Item] = []
    used = 0
    for item in sorted(items, key=lambda item: item.row.ids.tolist()):
        tree = trees.setdefault(id(item.mine), TokenTree())
        new = tree.count_new(_read_ids(item))
        if chosen and (len(tree) + new > NODES or used + new > most):
            continue
        tree.add(_read_ids(item))
        used += new
        chosen.append(item)
    return chosen
