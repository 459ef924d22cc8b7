"""The steps that are counted, each as the trainer makes it: a round of a pack, or a step of PEFT's model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from core.train.base import fused_layers
from core.train.base.base_model import Base
from core.train.introspection.row_inspection import Inspection
from core.train.step.batched_generation import Generation
from core.train.step.compute_requests import Prompt
from core.train.step.tree_likelihood import RowScoring
from core.train.tracing.traced_step import Part
from tests.cuda import fake_card, fake_models, peft_step
from tests.cuda.fake_card import counting, fake_tensors
from tests.cuda.fake_models import SHAPES, Shape
from tests.cuda.fake_pack import Pack
from tests.cuda.op_counter import OpChecker, OpCounter

LENGTH = 512  # tokens of a row
PROMPT = 32  # tokens of a prompt
WARM = 1  # steps before the one that is counted: they allocate states and fill caches
DROPOUT = 0.05
PASS = 6800  # tokens that a pass costs with all layers of 0.5B: only few of them are counted


@dataclass(frozen=True)
class Case:
    """A step: ``kind`` learn, rate, trees, inspect, write or peft, of trials with these ranks, rows and
    dropout."""

    parts: tuple[Part, ...]
    kind: str = "learn"
    precision: str = "bf16"
    checkpointing: bool = False
    longer: int = 0  # tokens by which each next trial's rows are longer; then the first ones are short
    padding_free: bool = False  # whether rows may be concatenated

    @property
    def length(self) -> int:
        """Tokens of the first trial's rows."""
        return LENGTH - self.longer * (len(self.parts) - 1)

    @property
    def whole(self) -> bool:
        """Whether all layers must be counted: PEFT's tensors are clipped 64 at a time."""
        return self.kind == "peft"

    @property
    def tokens(self) -> int:
        """Tokens of the rows of a step, padding not included."""
        if self.kind == "write":
            return sum(part.rows for part in self.parts)
        lengths = [self.length + self.longer * trial for trial in range(len(self.parts))]
        return sum(part.rows * length for part, length in zip(self.parts, lengths, strict=True))


EIGHT = (Part(16, 1),) * 8
BATCHES = tuple(Part(16, rows) for rows in (1, 2, 3, 4))
MIXED = tuple(
    Part(rank, rows, dropout)
    for dropout in (0.0, DROPOUT)
    for rank, rows in ((8, 1), (16, 2), (32, 3), (64, 4))
)
CASES = {
    **{f"uniform {count}": Case((Part(16, 1),) * count) for count in (1, 2, 4, 8, 16)},
    "dropout 8": Case((Part(16, 1, DROPOUT),) * 8),
    "batches 8": Case(BATCHES * 2),
    "ranks 8": Case(tuple(Part(rank, 1) for rank in (8, 16, 32, 64)) * 2),
    "mixed 8": Case(MIXED),
    "lengths 8": Case(EIGHT, longer=64),  # 64 to 512 tokens, padded
    "padding-free 8": Case(EIGHT, longer=64, padding_free=True),  # the same without padding
    "checkpointing 8": Case(EIGHT, checkpointing=True),
    "nf4 8": Case(EIGHT, precision="nf4"),
    "qlora 8": Case(EIGHT, precision="nf4", checkpointing=True),
    "score 8": Case(EIGHT, "rate"),
    "trees 8": Case(EIGHT, "trees"),  # rows as token trees, with the states of the residual stream
    "inspect 1": Case((Part(16, 1),), "inspect"),
    "generate 8": Case(EIGHT, "write"),
    "peft 1": Case((Part(16, 1),), "peft"),
    "peft 1 dropout": Case((Part(16, 1, DROPOUT),), "peft"),
}


def count(case: Case, shape: Shape = SHAPES["0.5B"]) -> OpCounter:
    """Count the step on a model of this shape."""
    with fake_tensors():
        with counting(OpChecker):
            step = _prepare(fake_models.qwen(shape, case.precision, case.checkpointing), case)
            for _ in range(WARM):
                step()
        with counting() as counter:
            step()
    return counter


def _prepare(base: Base, case: Case) -> Callable[[], object]:
    """The step; one of generation is a token of every row."""
    if case.kind == "peft":
        fused_layers.restore(base.model)  # rotary embeddings are replaced for all models of a family
        return peft_step.prepare(base, case.parts[0], LENGTH)
    fake_card.fuse_layers(base.model)
    pack = Pack(base, case.parts, case.length, case.longer)
    pack.rounds.padding_free, pack.rounds.costs.overhead = case.padding_free, PASS
    if case.kind == "learn":
        return pack.learn
    if case.kind == "rate":
        return pack.rate
    if case.kind == "trees":
        return partial(_read_trees, pack)
    if case.kind == "inspect":
        item, look = pack.items(0, LENGTH // 2)[0], Inspection(base, pack.forward)
        return lambda: look.do(item, [False] * LENGTH)
    ids = list(range(1, PROMPT + 1))
    prompts = [Prompt(owner, ids[at:], 100) for at, owner in enumerate(pack.factors)]  # some are padded
    generation = Generation(base, pack.stack, pack.head, prompts, trees=True)
    generation.run_until(time.perf_counter() + 0.01, rate=1e9)  # reads the prompts in one pass
    return lambda: generation.run_until(0.0)


def _read_trees(pack: Pack) -> None:
    """Score a row of each trial, whose residual stream is read, too, in a single pass."""
    masked = pack.length // 2
    items = [replace(pack.items(trial, masked)[0], state=True) for trial in range(len(pack.parts))]
    scoring = RowScoring(pack.base, pack.stack, pack.head, items)
    scoring.run_until(time.perf_counter() + 1.0)
    assert scoring.reading(0) is not None
