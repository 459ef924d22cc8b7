"""The table of knobs: one row for each number or choice of a fine-tune that a study may set or search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from core.contract.input_size_limits import LONGEST_NAME, MOST_ENTRIES

Kind = Literal["float", "int", "choice", "modules"]


@dataclass(frozen=True)
class Knob:
    """A hyper-parameter of a trial.

    ``low`` and ``high`` bound the accepted values (both inclusive; ``positive`` excludes 0); ``log``: the
    natural scale is logarithmic; ``live``: it may change while the trial runs.
    """

    name: str
    kind: Kind
    default: float | int | str | None
    meaning: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    unit: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    live: bool = False
    short: str = ""


OPTIMIZERS = ("adamw", "adafactor", "sgd", "adamw-8bit", "adamw-paged", "adamw-8bit-paged")
SCHEDULERS = ("constant", "linear", "cosine")
INITIALISATIONS = ("default", "gaussian", "orthogonal")
ANONYMISED = "on"  # of ``anonymise``
MODULE_GROUPS = ("attention", "mlp", "all-linear")

TABLE: tuple[Knob, ...] = (
    Knob(
        "learning_rate", "float", 2e-4, "peak learning rate of the adapter",
        low=0.0, high=10.0, log=True, live=True, short="lr",
    ),
    Knob(
        "batch_size", "int", 4, "sequences in one micro-batch",
        low=1, high=4096, unit="sequences", short="bs",
    ),
    Knob(
        "gradient_accumulation", "int", 1, "micro-batches summed into one optimizer step",
        low=1, high=4096, unit="micro-batches", short="acc",
    ),
    Knob(
        "sequence_length", "int", 512, "longest sequence; longer ones are cut",
        low=8, high=1_048_576, unit="tokens", short="len",
    ),
    Knob("lora_rank", "int", 16, "rank r of the low-rank update", low=1, high=4096, short="r"),
    Knob(
        "lora_alpha", "float", 32.0, "scale of the update: alpha / r multiplies it",
        low=0.0, high=65536.0, short="α",
    ),
    Knob(
        "lora_dropout", "float", 0.0, "dropout on the adapter's input",
        low=0.0, high=0.95, unit="fraction", live=True, short="drop",
    ),
    Knob(
        "target_modules", "modules", "all-linear",
        "layers that get an adapter: attention, mlp, all-linear, or a list of module names",
        choices=MODULE_GROUPS, short="on",
    ),
    Knob("optimizer", "choice", "adamw", "optimizer of the adapter", choices=OPTIMIZERS, short="opt"),
    Knob(
        "weight_decay", "float", 0.0, "decoupled weight decay of the adapter",
        low=0.0, high=10.0, log=True, live=True, short="wd",
    ),
    Knob(
        "warmup", "float", 0.03, "share of the steps in which the rate climbs from 0",
        low=0.0, high=1.0, unit="fraction", short="warm",
    ),
    Knob(
        "scheduler", "choice", "cosine", "course of the rate after warm-up",
        choices=SCHEDULERS, short="sched",
    ),
    Knob(
        "clip_norm", "float", 1.0, "largest norm of the gradient; 0 turns clipping off",
        low=0.0, high=1e6, live=True, short="clip",
    ),
    Knob(
        "epochs", "float", 1.0, "passes over the training rows, when steps is not given",
        low=0.0, high=10_000, short="ep",
    ),
    Knob(
        "steps", "int", None, "optimizer steps; overrides epochs",
        low=1, high=1_000_000_000, unit="steps", optional=True, live=True, short="steps",
    ),
    Knob(
        "initialisation", "choice", "default",
        "start of the adapter: default (Kaiming A, zero B), gaussian, orthogonal (even rank)",
        choices=INITIALISATIONS, short="init",
    ),
    Knob(
        "neftune_noise_alpha", "float", 0.0, "NEFTune: noise on the embeddings; 0: none, 5 is usual",
        low=0.0, high=1000.0, live=True, short="neft",
    ),
    Knob(
        "prompt_dropout", "float", 0.0, "share of the prompt's tokens whose embedding is zeroed",
        low=0.0, high=0.95, unit="fraction", live=True, short="pdrop",
    ),
    Knob(
        "label_smoothing", "float", 0.0, "share of each target that is spread over the vocabulary",
        low=0.0, high=0.95, unit="fraction", live=True, short="smooth",
    ),
    Knob(
        "anonymise", "choice", "off",
        "on: placeholders such as [EMAIL_1f2e3d4c] replace personal data in the rows that are trained on",
        choices=("off", ANONYMISED), short="anon",
    ),
    Knob(
        "seed", "int", 0, "seed of the trial's initialisation, dropout and data order",
        low=0, high=2**31 - 1, short="seed",
    ),
)  # fmt: skip

KNOBS: dict[str, Knob] = {knob.name: knob for knob in TABLE}
# Knobs of studies with a mixture of sources: a weight for each source, whose name follows, and one for all
# that are replayed. They are no rows of the table, since other studies do not have them.
WEIGHT = "weight."
_WEIGHT = Knob(
    WEIGHT, "float", None, "share of the drawn rows, relative to the other weights; empty: its share of rows",
    low=0.0, high=1e6, log=True, optional=True,
)  # fmt: skip
REPLAY = Knob(
    "replay", "float", 0.05, "share of the drawn rows that come from the sources with replay",
    low=0.0, high=0.95, unit="fraction", short="replay",
)  # fmt: skip
# What must be above zero for training to mean anything; the bound itself is shown as "> 0".
CLONE_KEEPS = {  # a clone starts from its parent's weights
    "lora_rank": "its weights have this shape",
    "target_modules": "its weights have this shape",
    "initialisation": "its weights are there already",
}
POSITIVE = frozenset({"learning_rate", "lora_alpha", "epochs"})
Value = float | int | str | list[str] | None


def list_defaults() -> dict[str, Value]:
    """Return every knob at its default."""
    return {knob.name: knob.default for knob in TABLE}


def find_knob(name: str) -> Knob | None:
    """Return the knob of that name, of the table or of a mixture; None if there is none."""
    if name == REPLAY.name:
        return REPLAY
    if name.startswith(WEIGHT) and name != WEIGHT:
        return replace(_WEIGHT, name=name, short=name)
    return KNOBS.get(name)


def find_fault(knob: Knob, value: object) -> str | None:
    """Return why ``value`` cannot be set for ``knob``; None when it can."""
    if value is None:
        return None if knob.optional else "a value is needed"
    if knob.kind == "choice":
        is_choice = isinstance(value, str) and value in knob.choices
        return None if is_choice else f"must be one of {', '.join(knob.choices)}"
    if knob.kind == "modules":
        return _find_modules_fault(value)
    return _find_number_fault(knob, value)


def _find_modules_fault(value: object) -> str | None:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        return "must be attention, mlp, all-linear or a list of module names"
    if len(names) > MOST_ENTRIES:
        return f"must be at most {MOST_ENTRIES} module names"
    if not all(isinstance(name, str) and name.strip() and len(name) <= LONGEST_NAME for name in names):
        return f"every module name must be a non-empty string of at most {LONGEST_NAME} characters"
    if isinstance(value, str) and value not in MODULE_GROUPS:
        return f"must be {', '.join(MODULE_GROUPS)} or a list of names such as ['q_proj', 'v_proj']"
    return None


def _find_number_fault(knob: Knob, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        can_be_off = isinstance(value, str) and knob.low == 0 and knob.kind == "float"
        return "must be a number" + ("; 0 is none" if can_be_off and knob.name not in POSITIVE else "")
    if knob.kind == "int" and not isinstance(value, int):
        return "must be a whole number"
    if value != value or value in (float("inf"), float("-inf")):
        return "must be finite"
    if knob.name in POSITIVE and value <= 0:
        return "must be above 0"
    if knob.low is not None and value < knob.low:
        return f"must be at least {knob.low:g}"
    if knob.high is not None and value > knob.high:
        return f"must be at most {knob.high:g}"
    return None
