"""A pack of trials on a base of fake CUDA tensors, put together as ``pack_parts.build`` does."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from core.train.adapters import optimizers
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors
from core.train.adapters.multi_lora_linear import Gate
from core.train.base import factor_matrix_layout
from core.train.base.base_model import Base
from core.train.base.cross_entropy import Head
from core.train.data.dataset import Row
from core.train.pack.pack_round import Rounds
from core.train.step.compute_requests import Judge, Learn, Rate, Request, Result, Update
from core.train.step.forward_pass import Forward, Item
from core.train.tracing.traced_step import Part

RATE, CLIP = 1e-4, 1.0


class Pack:
    """The trials, and the rows of ``length`` tokens that each of them trains on; with ``longer`` each next
    row is that much longer."""

    def __init__(
        self, base: Base, parts: Sequence[Part], length: int, longer: int = 0,
        kinds: Sequence[str] = ("adamw",), starts: Sequence[str] = ("default",), head: Head | None = None,
    ) -> None:  # fmt: skip
        self.base, self.parts = base, parts
        self.stack = Stack(base.model.dtype, base.device)
        places, modules = factor_matrix_layout.find(base.model), dict(base.model.named_modules())
        for place in places:
            Gate(modules[place.name], place, self.stack)
        layout = factor_matrix_layout.Layout(places)
        self.factors = [
            Factors(layout, part.rank, 2.0 * part.rank, part.dropout, seed, base.device)
            for seed, part in enumerate(parts)
        ]
        self.trials: list[Any] = []
        for number, factors in enumerate(self.factors):
            factors.draw(starts[number % len(starts)])
            knobs = {"optimizer": kinds[number % len(kinds)], "learning_rate": RATE, "weight_decay": 0.01}
            made = optimizers.make(factors, knobs)
            self.trials.append(SimpleNamespace(number=number, factors=factors, optimizer=made))
        self.compose()
        self.head = head or _head(base)
        self.forward = Forward(base, self.stack, self.head)
        self.rounds = Rounds(base, self.stack, self.forward)
        self.length, self._longer = length, longer

    def compose(self) -> None:
        """Stack the trials."""
        self.stack.compose([(owner, part.rows) for owner, part in zip(self.factors, self.parts, strict=True)])

    def items(self, trial: int, masked: int = 0) -> list[Item]:
        """The rows of a trial; the first ``masked`` tokens of each are no targets."""
        rows = range(self.parts[trial].rows)
        return [Item(self.factors[trial], self._row(trial + at, masked), 7 * trial + at) for at in rows]

    def _row(self, number: int, masked: int) -> Row:
        ids = [1 + at % 7 for at in range(self.length + self._longer * number)]
        return Row(ids, [-100] * masked + ids[masked:])

    def learn(self) -> None:
        """A round in which every trial makes a step."""
        requests: dict[int, Request] = {}
        for number, part in enumerate(self.parts):
            update = Update(part.rows * (self.length - 1), RATE, CLIP)
            requests[number] = Learn(self.items(number), update)
        self._do(requests)

    def judge(self) -> None:
        """A round in which every trial is evaluated."""
        self._do({number: Judge(self.items(number)) for number in range(len(self.parts))})

    def rate(self) -> None:
        """A round in which every trial's rows are scored, half of each row's tokens."""
        half = self.length // 2
        self._do({number: Rate(self.items(number, half)) for number in range(len(self.parts))})

    def _do(self, requests: dict[int, Request]) -> dict[int, Result]:
        outcome = self.rounds.do({number: (self.trials[number], each) for number, each in requests.items()})
        for error in outcome.errors.values():
            raise error
        assert len(outcome.done) == len(requests)
        return outcome.done


def _head(base: Base) -> Head:
    module, config = base.model.get_output_embeddings(), base.model.config.get_text_config()
    return Head(module.weight, module.bias, 1.0, float(getattr(config, "final_logit_softcapping", 0) or 0))
