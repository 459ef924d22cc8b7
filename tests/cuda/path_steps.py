"""What a worker does with a base and its trials: one step for each path, on a base of fake CUDA tensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from core.contract.spec.knob_table import INITIALISATIONS
from core.train.adapters import adaptable_layers, optimizers
from core.train.adapters.lora_factors import copy_frozen
from core.train.adapters.reload_check import ReloadCheck
from core.train.base import causality_check, finite_weights, shared_pass_check
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.base.factor_matrix_layout import find
from core.train.introspection.row_inspection import Inspection
from core.train.step import token_tree_reader
from core.train.step.augmentation import Augment
from core.train.step.batched_generation import Generation
from core.train.step.compute_requests import Prompt
from core.train.step.forward_pass import Forward, Item
from core.train.step.tree_likelihood import RowScoring
from core.train.tracing.traced_step import Part
from tests.cuda import fake_models
from tests.cuda.fake_card import CUDA, modules_in_place
from tests.cuda.fake_pack import Pack

HOST = torch.device("cpu")
LENGTH, LONGER = 9, 1  # tokens of the first row, and by how many the next is longer
PARTS = (Part(8, 1), Part(4, 2, 0.1), Part(16, 2, 0.1))  # ranks, batches and dropout all differ
OPTIMIZERS = ("adamw", "adafactor", "sgd")  # bitsandbytes' have CUDA kernels only

Steps = dict[str, Callable[[], Any]]


def steps(name: str, trials: int = len(PARTS)) -> Steps:
    """The steps of a base, such as llama/bf16, in the order of a worker's life."""
    family, _, variant = name.partition("/")
    checkpointing = variant == "checkpointing"
    base = fake_models.tiny(family, "bf16" if checkpointing else variant, checkpointing)
    life = _Life(base, PARTS[:trials])
    return {**life.loading(), **life.training(), **life.scoring(), **life.keeping()}


def _soon() -> float:
    return time.perf_counter() + 60.0


class _Life:
    """A worker with one base; the trials are stacked once the base is checked."""

    def __init__(self, base: Base, parts: Sequence[Part]) -> None:
        self._base, self._parts = base, parts
        self._pack: Pack | None = None
        self._trees = token_tree_reader.make_selectable_cache(base) is not None

    @property
    def pack(self) -> Pack:
        """The pack, made by the step that needs it first."""
        if self._pack is None:
            self._pack = Pack(self._base, self._parts, LENGTH, LONGER, OPTIMIZERS, INITIALISATIONS)
        return self._pack

    def loading(self) -> Steps:
        """The checks of a base before any trial."""
        base = self._base
        return {
            "check weights": lambda: finite_weights.check(base.model, base.precision, "model.base"),
            "check causality": lambda: causality_check.check(base, "model.base"),
            "survey": lambda: shared_pass_check.survey(base, find(base.model)),
            "find layers": self._find_layers,
        }

    def training(self) -> Steps:
        """Rounds of training and evaluation."""
        return {
            "learn": lambda: self.pack.learn(),
            "learn again": lambda: self.pack.learn(),
            "learn augmented": lambda: self.pack.forward.train(self._augmented()),
            "learn without a head": lambda: self._without_head().train(self._items()),
            "judge": lambda: self.pack.judge(),
            "learn padding-free": lambda: self.pack.forward.train(self._items(), padding_free=True),
            "judge padding-free": lambda: self.pack.forward.judge(self._items(), padding_free=True),
            "judge without a head": lambda: self._without_head().judge(self._items()),
        }

    def scoring(self) -> Steps:
        """Likelihoods, generation and introspection."""
        return {
            "rate": lambda: self.pack.rate(),
            "rate padding-free": lambda: self.pack.forward.rate(self._items(), padding_free=True),
            "rate with states": lambda: self.pack.forward.rate(self._states()),
            "try trees": self._try_trees,
            "rate as trees": self._rate_trees,
            "write": lambda: self._write(self.pack.head, trees=False),
            "write without a head": lambda: self._write(None, trees=False),
            "write from trees": lambda: self._write(self.pack.head, self._trees),
            "score a snapshot": self._score_snapshot,
            "inspect": lambda: self._inspect(self._items()[0]),
            "inspect the base": lambda: self._inspect(replace(self._items()[0], mine=None)),
        }

    def keeping(self) -> Steps:
        """What moves and copies trials."""
        return {
            "pause and resume": self._pause,
            "checkpoint and restore": self._checkpoint,
            "expect the saved adapter": self._expect,
        }

    def _find_layers(self) -> None:
        with modules_in_place(self._base.model.dtype):
            adaptable_layers.find_adaptable(self._base, lambda text: None)

    def _without_head(self) -> Forward:
        return Forward(self._base, self.pack.stack, None)

    def _items(self) -> list[Item]:
        return [item for trial in range(len(self._parts)) for item in self.pack.items(trial)]

    def _augmented(self) -> list[Item]:
        """Rows of all trials; those of the first with everything that training may do to a row."""
        items = [item for trial in range(len(self._parts)) for item in self.pack.items(trial, masked=4)]
        augment = Augment(noise=5.0, drop=0.5, smoothing=0.1)
        return [
            replace(item, augment=augment if item.mine is self.pack.factors[0] else None) for item in items
        ]

    def _states(self) -> list[Item]:
        """All trials' rows and one of the base itself, with their residual streams."""
        items = [*self._items(), replace(self._items()[0], mine=None)]
        return [replace(item, state=True) for item in items]

    def _try_trees(self) -> None:
        if self._trees and not token_tree_reader.can_read_trees(self._base, self.pack.stack):
            raise RuntimeError("it reads no trees, though its cache could: see the log of trimtab.trees")

    def _rate_trees(self) -> None:
        if self._trees:
            RowScoring(self._base, self.pack.stack, self.pack.head, self._states()).run_until(_soon())

    def _write(self, head: Head | None, trees: bool) -> None:
        """Two tokens for two trials and the base, greedily and drawn."""
        owners = [*self.pack.factors[:2], None]
        prompts = [Prompt(owner, [1, 2, 3][: 2 + at % 2], 2, "x" * at) for at, owner in enumerate(owners)]
        Generation(self._base, self.pack.stack, head, prompts, trees).run_until(_soon())

    def _score_snapshot(self) -> None:
        """Score a copy in a stack of its own, as ``PackScoring`` does."""
        copy = copy_frozen(self.pack.factors[1])
        stack = type(self.pack.stack)(self._base.model.dtype, self._base.device, self.pack.stack)
        stack.compose([(copy, 1)])
        row = self.pack.items(1)[0].row
        Forward(self._base, stack, self.pack.head).rate([Item(copy, row), Item(None, row)])

    def _inspect(self, item: Item) -> None:
        look = Inspection(self._base, self.pack.forward)
        found = look.do(item, [False] * len(item.row.ids))
        if found.fault:
            raise RuntimeError(found.fault)

    def _pause(self) -> None:
        for trial in self.pack.trials:
            for device in (HOST, CUDA):
                trial.factors.to(device)
                optimizers.move(trial.optimizer, device)
        self.pack.compose()
        self.pack.learn()

    def _checkpoint(self) -> None:
        for trial in self.pack.trials:
            tensors, numbers = optimizers.list_tensors(trial.optimizer)
            adapter, kept = trial.factors.copy_to_host(tensors)
            trial.factors.load(adapter)
            optimizers.restore(trial.optimizer, {key: kept.tensors[key] for key in tensors}, numbers)
        self.pack.learn()

    def _expect(self) -> None:
        check = ReloadCheck(self._base, self.pack.stack, self._items()[0].row.ids.tolist())
        if check.expect(self.pack.factors[0]) is None:
            raise RuntimeError("there was no memory for it")
