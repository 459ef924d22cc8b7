"""Rules for the training knobs: [train] and [space]."""

from __future__ import annotations

import math

from core.advise import citations as s
from core.advise.advice_case import LEAST_RANK, REPEATED, Case
from core.advise.knob_recommendation import Chosen, Rule, round_digits
from core.contract.text.byte_sizes import format_bytes
from core.memory.estimate import trial_tensor_sizes

FULL_RATE, FACTOR, FACTOR_SHORT = 5e-5, 10.0, 15.0  # full fine-tuning at width 2000; LoRA's multiple of it
SHORT_STEPS = 100
POWERS = {"llama": 0.781, "qwen": 0.0775}  # the learning rate scales with (2000 / hidden) to this power
POWER = 0.43  # between the two, for families without a published sweep
SWEPT_HIDDEN = 512  # smaller widths are treated as this one: no sweep covers them
SWEPT_BATCH = 128  # batch size of the sweeps that the formula was fitted to
ALPHA, ALPHA_RANK = 32.0, 64  # above this rank alpha grows with the root of the rank
SMALL_BILLIONS = 13.5  # "up to 13B"
LARGE_STATES = 0.05  # of the memory: from here on an 8-bit optimizer is worth its rounding


def find_centre(case: Case) -> tuple[float, float]:
    """Return (expected best learning rate, its factor over full fine-tuning)."""
    family = case.base.model.family
    power = next((value for name, value in POWERS.items() if family.startswith(name)), POWER)
    factor = FACTOR_SHORT if case.steps < SHORT_STEPS else FACTOR
    return FULL_RATE * factor * (2000 / max(SWEPT_HIDDEN, case.base.hidden)) ** power, factor


def _choose_rate(case: Case) -> Chosen:
    middle, factor = find_centre(case)
    low = round_digits(middle * math.sqrt(min(1.0, case.batch / SWEPT_BATCH)) / 2)
    is_swept = case.base.model.family.startswith(tuple(POWERS))
    why = (
        f"{factor:g} × the best rate of full fine-tuning at hidden size {case.base.hidden} = {middle:.1e} at "
        f"batch {SWEPT_BATCH}; from half the rate for batch {case.batch} (√{case.batch}/{SWEPT_BATCH}) "
        "to three times the rate"
    )
    why += f"; {case.steps} steps are a short run" if factor == FACTOR_SHORT else ""
    if case.base.hidden < SWEPT_HIDDEN:
        why += f"; no sweep covers so small a model: hidden size {SWEPT_HIDDEN} is assumed"
    why += "" if is_swept else "; no sweep covers this family: a value between Llama's and Qwen's"
    return {"low": low, "high": round_digits(3 * middle), "log": True}, why


def _choose_batch(case: Case) -> Chosen:
    rows, batch = case.room.rows, case.batch
    second_trial = " next to a second trial" if case.room.pack > 1 else ""
    rows_text = f"all {rows}" if rows == batch else f"{rows} of the {batch}"
    why = f"{rows_text} rows of a step at once fit on the device{second_trial}"
    if "batch_size" not in case.knobs:
        return rows, why
    why += f"; {batch // 2} per step is also tried: LoRA tolerates large batches poorly"
    return {"low": rows // 2, "high": rows, "step": rows // 2}, why


def _choose_accumulation(case: Case) -> Chosen:
    times = case.batch // case.room.rows
    why = (
        f"{times} × {case.room.rows} = {case.batch} rows per step, {case.steps} steps: small batches lose "
        "least (QLoRA used 16), and a trial should have at least 100 steps"
    )
    return times, why + ("; these rows give fewer steps" if case.steps < SHORT_STEPS else "")


def _choose_length(case: Case) -> Chosen:
    length, rows = case.room.length, case.rows
    cut = sum(tokens > length for tokens in rows.lengths) / len(rows.lengths)
    median = rows.find_percentile(0.5)
    why = f"about {cut:.0%} of the rows are longer and truncated; half have up to {median} tokens"
    if length < case.longest:
        return length, f"{why}; {case.longest} does not fit in memory", s.ESTIMATE
    if case.base.positions and length == case.base.positions < rows.find_percentile(0.95):
        why += f"; the model's maximum is {length}"
    return length, why


def _choose_rank(case: Case) -> Chosen:
    rank, high = case.rank, case.room.rank
    why = (
        f"{case.learnt / 1e3:,.0f} thousand target tokens of about 1 bit need rank {case.needed_rank} "
        "at 2 bits per parameter (an upper bound)"
    )
    if case.needed_rank > high:
        why += f"; that exceeds rank {high}: expect LoRA to learn less from the last rows"
    if rank == LEAST_RANK:
        why += "; 8 to 16 are enough for simple tasks"
    if "lora_rank" not in case.knobs:
        return rank, why
    low = max(1, rank // 2)
    return {"low": low, "high": high, "step": low}, f"{why}; searched around {rank}"


def _choose_alpha(case: Case) -> Chosen:
    top = case.room.rank if "lora_rank" in case.knobs else case.rank
    value = round(ALPHA * math.sqrt(max(1.0, top / ALPHA_RANK)), 1)
    why = "fixed: with α/r the best learning rate is nearly the same for all ranks; another α only shifts it"
    if value != ALPHA:
        return value, f"32 × √({top}/{ALPHA_RANK}): at high ranks α/r slows learning, α/√r does not", s.RSLORA
    return value, why


def _choose_dropout(case: Case) -> Chosen:
    if case.epochs <= REPEATED:
        return 0.0, f"{case.epochs:g} epochs repeat no row: little risk of overfitting", s.PRACTICE
    small = case.base.billions <= SMALL_BILLIONS
    why = f"{case.epochs:g} epochs over {case.train_rows} rows; {case.base.size} parameters: "
    why += "QLoRA used 0.1 up to 13 B" if small else "QLoRA used 0.05 above 13 B"
    high = 0.1 if small else 0.05
    if "lora_dropout" in case.knobs:
        return {"low": 0.0, "high": high, "step": 0.05}, why
    return 0.05, why


def _choose_targets(case: Case) -> Chosen:
    return "all-linear", "adapters on attention alone learn less, even with as many parameters"


def _choose_optimizer(case: Case) -> Chosen:
    need = trial_tensor_sizes.Need(case.room.rank, case.room.rows, case.room.length)
    states, limit = trial_tensor_sizes.count_optimizer_bytes(case.base.model, need), case.limit.bytes_
    why = f"its states need {format_bytes(states)} at rank {need.rank}"
    if case.device.kind == "cuda" and limit is not None and states > LARGE_STATES * limit:
        return "adamw-8bit", f"in 32 bit {why}; in 8 bit a quarter of that"
    return "adamw", why


def _choose_epochs(case: Case) -> Chosen:
    why = f"{case.train_rows} rows / {case.batch} per step = {case.steps} steps"
    if case.epochs < case.whole_epochs:
        budget_text = f"{case.wish.hours:g} hours are too short for {case.trials} full trials"
        return case.epochs, f"{why}; {budget_text}, so each trial is shorter", s.GUESS
    return case.epochs, f"{why}; more than 3 epochs gain little and may overfit"


def _choose_scheduler(case: Case) -> Chosen:
    return "linear", "linear decay to 0, the most common schedule for LoRA"


def _choose_warmup(case: Case) -> Chosen:
    return 0.03, f"{math.ceil(0.03 * case.steps)} of {case.steps} steps"


def _choose_clip(case: Case) -> Chosen:
    if case.room.precision == "nf4":
        return 0.3, "the norm that QLoRA used for 4-bit models", s.QLORA
    return 1.0, "the usual norm"


def _choose_decay(case: Case) -> Chosen:
    return 0.0, "LoRA itself regularises more than weight decay does"


RULES = (
    Rule("train", "learning_rate", _choose_rate, (s.RATE, s.COOKBOOK)),
    Rule("train", "batch_size", _choose_batch, (s.BATCH, s.ESTIMATE)),
    Rule("train", "gradient_accumulation", _choose_accumulation, (s.BATCH, s.COOKBOOK, s.QLORA)),
    Rule("train", "sequence_length", _choose_length, (s.READ,)),
    Rule("train", "lora_rank", _choose_rank, (s.CAPACITY, s.COOKBOOK)),
    Rule("train", "lora_alpha", _choose_alpha, (s.RANK, s.INVARIANT)),
    Rule("train", "lora_dropout", _choose_dropout, (s.QLORA,)),
    Rule("train", "target_modules", _choose_targets, (s.LAYERS,)),
    Rule("train", "optimizer", _choose_optimizer, (s.ESTIMATE, s.QLORA)),
    Rule("train", "epochs", _choose_epochs, (s.EPOCHS,)),
    Rule("train", "scheduler", _choose_scheduler, (s.COOKBOOK,)),
    Rule("train", "warmup", _choose_warmup, (s.PRACTICE,)),
    Rule("train", "clip_norm", _choose_clip, (s.PRACTICE,)),
    Rule("train", "weight_decay", _choose_decay, (s.FORGETS,)),
)
