"""The case to advise on (model, data, device, budget) and the figures derived from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from core.advise import device_fit_settings, trial_duration
from core.advise.base_facts import Base
from core.advise.device_fit_settings import Room
from core.advise.row_statistics import Rows
from core.memory.estimate import trial_tensor_sizes
from core.memory.estimate.device_constants import Device
from core.memory.planning.memory_budget import Limit

MOST_HELD = 0.2  # of the rows
HELD_ROWS = 200  # validation rows: a standard error of 7 % of the spread of a row's loss
FEW, MANY = 1_000, 10_000  # rows: three epochs below FEW, one above MANY
LARGE_STEPS, LEAST_STEPS = 1_000, 100  # optimizer steps that a batch size should leave
BATCHES = (16, 8)
BITS_A_TOKEN, BITS_A_PARAMETER = 1.0, 2.0
LEAST_RANK, MOST_RANK = 8, 256
USUAL_TRIALS, MOST_TRIALS, FEW_TRIALS, LEAST_TRIALS = 24, 60, 12, 6
COST_MEDIAN, COST_HALVING = 0.75, 0.5  # mean share of a full trial that a pruned search spends: a guess
TRIALS_A_KNOB, MOST_KNOBS = 6, 4
READINGS = 10  # evaluations of a full trial
REPEATED = 1.0  # epochs above which rows repeat


@dataclass(frozen=True)
class Wish:
    """What the user asked for; None leaves the choice to the rules."""

    goal: str = "eval/loss"
    trials: int | None = None
    hours: float | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Case:
    """The inputs of all rules. ``cards`` counts the devices; ``source`` is the value for data.source."""

    base: Base
    rows: Rows
    source: str
    device: Device
    limit: Limit
    wish: Wish = field(default_factory=Wish)
    cards: int = 1

    # -- rows --------------------------------------------------------------------------------------

    @property
    def share(self) -> float:
        """The share of the rows that is held out for validation."""
        return float(f"{min(MOST_HELD, HELD_ROWS / self.rows.count):.2g}")

    @property
    def held_out_rows(self) -> int:
        """The number of held-out rows."""
        return max(1, round(self.share * self.rows.count))

    @property
    def judges(self) -> int:
        """The number of rows per evaluation."""
        return min(HELD_ROWS, self.held_out_rows)

    @property
    def train_rows(self) -> int:
        """The number of training rows."""
        available = max(1, self.rows.count - self.held_out_rows)
        return min(available, self.wish.rows or available)

    @property
    def learnt(self) -> float:
        """Target tokens of the training rows, each counted once."""
        return self.train_rows * self.rows.compute_mean(self.longest) * self.rows.targets

    @property
    def longest(self) -> int:
        """The sequence length if memory were unlimited: 95 % of the rows are shorter."""
        length = max(64, -(-self.rows.find_percentile(0.95) // 64) * 64)
        return min(length, self.base.positions) if self.base.positions else length

    # -- a trial -----------------------------------------------------------------------------------

    @property
    def whole_epochs(self) -> float:
        """Epochs if time were unlimited."""
        return 3.0 if self.train_rows < FEW else 2.0 if self.train_rows < MANY else 1.0

    @cached_property
    def batch(self) -> int:
        """Rows per optimizer step, a power of two."""
        rows_trained = self.train_rows * self.whole_epochs
        if rows_trained / 32 >= LARGE_STEPS:
            return 32
        batch_rows = next((rows for rows in BATCHES if rows_trained / rows >= LEAST_STEPS), 4)
        return min(batch_rows, 1 << (self.train_rows.bit_length() - 1))

    @cached_property
    def needed_rank(self) -> int:
        """The rank whose parameters could memorise the training rows."""
        parameters = self.learnt * BITS_A_TOKEN / BITS_A_PARAMETER
        return math.ceil(parameters / max(1, trial_tensor_sizes.find_width(self.base.model, "all-linear")))

    @property
    def wanted_rank(self) -> int:
        """The middle of the ranks to try if memory were unlimited."""
        return min(MOST_RANK // 2, max(LEAST_RANK, 1 << max(0, self.needed_rank - 1).bit_length()))

    @cached_property
    def room(self) -> Room:
        """The largest variant of the trial that fits on the device."""
        bf16 = self.device.bf16 and (self.card is None or self.card.bf16)
        device = msgspec.structs.replace(self.device, bf16=bf16)
        drops = self.whole_epochs > REPEATED
        ask = device_fit_settings.Ask(
            self.batch, self.longest, 2 * self.wanted_rank, min(8, self.judges), drops
        )
        return device_fit_settings.find_room(self.base.model, device, self.limit, ask)

    @property
    def rank(self) -> int:
        """The middle of the ranks to try, within memory."""
        return max(1, self.room.rank // 2)

    @property
    def card(self) -> trial_duration.Card | None:
        """The known card that the device's name matches; None for the CPU or an unknown card."""
        return trial_duration.find_card(self.device.name) if self.device.kind == "cuda" else None

    def count_tokens(self, epochs: float) -> float:
        """Return tokens that a trial trains on, without padding."""
        return self.train_rows * self.rows.compute_mean(self.room.length) * epochs

    @cached_property
    def whole_s(self) -> float | None:
        """Estimated seconds of a full trial, alone on the device; None for an unknown card."""
        tokens = self.count_tokens(self.whole_epochs)
        return trial_duration.estimate_trial_s(self.base.active, self.room.checkpointing, tokens, self.card)

    # -- the search --------------------------------------------------------------------------------

    @cached_property
    def affordable(self) -> float | None:
        """Full trials that fit in the time budget; None if there is no budget or no estimate."""
        if self.wish.hours is None or self.whole_s is None:
            return None
        return self.wish.hours * 3600 * self.cards / max(1e-9, self.whole_s)

    @property
    def short(self) -> bool:
        """Whether the time budget is too small for full trials."""
        if self.affordable is None:
            return self.wish.hours is not None and self.wish.hours < 1
        return self.affordable / COST_MEDIAN < (self.wish.trials or FEW_TRIALS)

    @cached_property
    def trials(self) -> int:
        """The number of trials."""
        if self.wish.trials:
            return self.wish.trials
        if self.affordable is None:
            return FEW_TRIALS if self.short else USUAL_TRIALS
        if self.short:
            return max(LEAST_TRIALS, min(FEW_TRIALS, int(self.affordable / COST_HALVING)))
        return min(MOST_TRIALS, int(self.affordable / COST_MEDIAN))

    @cached_property
    def epochs(self) -> float:
        """Epochs per trial within the time budget."""
        if self.affordable is None:
            return self.whole_epochs
        budget_share = self.affordable / (COST_HALVING * self.trials) if self.short else 1.0
        return (
            self.whole_epochs
            if budget_share >= 1
            else max(0.01, float(f"{budget_share * self.whole_epochs:.2g}"))
        )

    @property
    def steps(self) -> int:
        """Optimizer steps of a full trial."""
        return max(1, math.ceil(self.train_rows * self.epochs / self.batch))

    @property
    def every(self) -> int:
        """Steps between two evaluations."""
        return max(1, self.steps // READINGS)

    @property
    def knobs(self) -> tuple[str, ...]:
        """The knobs to search, the most important first."""
        names = ["learning_rate", "lora_rank"]
        names.insert(1, "batch_size") if self.room.rows >= 2 and self.batch >= 8 else None
        names += ["lora_dropout"] if self.epochs > REPEATED else []
        return tuple(names[: max(1, min(MOST_KNOBS, self.trials // TRIALS_A_KNOB))])
