"""Rules for the search and its inputs: [study], [model], [data], [evaluate] and [resources]."""

from __future__ import annotations

import math
import re

from core.advise import citations as s
from core.advise.advice_case import (
    COST_HALVING,
    COST_MEDIAN,
    HELD_ROWS,
    MOST_KNOBS,
    READINGS,
    TRIALS_A_KNOB,
    Case,
    Wish,
)
from core.advise.knob_recommendation import Chosen, Rule
from core.contract.spec.metric_table import BOARDS
from core.contract.text.byte_sizes import format_bytes
from core.memory.base.weight_bytes import count_base_bytes

MOST_GP, MOST_TPE, MOST_GP_KNOBS = 100, 1000, 5  # trials, trials, dimensions
LEAST_MODEL = 8  # with fewer trials a model-based sampler has nothing to learn from
STARTUP = 10
BRACKET_TRIALS = 20  # per bracket: ten random ones, ten to learn from
LEAST_PRUNED = 4  # with fewer trials there is nothing to compare
FORMS = {"chat": "chats", "instruction": "prompts and completions", "text": "plain text"}
NAME = re.compile(r"[^A-Za-z0-9._-]+")
PERIODS = re.compile(r"\.{2,}")


def _choose_name(case: Case) -> Chosen:
    name = NAME.sub("-", case.base.name.rstrip("/").rsplit("/", 1)[-1])
    name = PERIODS.sub(".", name).strip("-._")[:56]
    return f"{name or 'study'}-lora", "named after the model; any name works", s.PRACTICE


def _choose_trials(case: Case) -> Chosen:
    if case.wish.trials:
        return case.trials, f"given on the command line; {_format_hours(case)}", s.ASKED
    if case.affordable is None and case.wish.hours is None:
        return case.trials, f"{TRIALS_A_KNOB} per knob, for at most {MOST_KNOBS} knobs; {_format_hours(case)}"
    if case.affordable is None:
        why = f"the number of trials in {case.wish.hours:g} hours is unknown: {_format_hours(case)}"
        return case.trials, why
    saved = COST_HALVING if case.short else COST_MEDIAN
    why = (
        f"{case.wish.hours:g} hours fit about {case.affordable:.2g} full trials; with pruning a trial is "
        f"assumed to take {saved:.0%} of that; {_format_hours(case)}"
    )
    return case.trials, why, s.GUESS


def _format_hours(case: Case) -> str:
    """Return the estimated time of a trial, as text."""
    if case.whole_s is None:
        return "the time per trial is unknown until the study has run for a minute"
    return f"a full trial alone takes about {_format_span(case.whole_s)} (a guess)"


def _format_span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.2g} h"


def _choose_sampler(case: Case) -> Chosen:
    count, trials = len(case.knobs), case.trials
    space = f"{trials} trials over {count} number{'' if count == 1 else 's'}"
    if trials < LEAST_MODEL:
        return "qmc", f"{space}: too few for a model, so they are spread evenly", s.PRACTICE
    if trials <= MOST_GP and count <= MOST_GP_KNOBS:
        return "gp", f"{space}: few and numeric, which suits Gaussian processes (10 to 100 trials)"
    if trials <= MOST_TPE:
        return "tpe", f"{space}: TPE suits 100 to 1000 trials"
    return "cmaes", f"{space}, all numeric: CMA-ES suits 1000 to 10000 trials"


def _choose_pruner(case: Case) -> Chosen:
    if not case.wish.goal.startswith(("eval/", "train/loss")):
        return "none", f"{case.wish.goal} is measured too rarely to prune by it", s.PRACTICE
    if case.trials < LEAST_PRUNED or case.steps < 2 * LEAST_PRUNED:
        return "none", f"{case.trials} trials of {case.steps} steps: pruning would save nothing", s.PRACTICE
    if case.short:
        return "halving", "time is short: three of four trials stop at the first rung", s.ASHA
    brackets = int(math.log(case.steps / case.every, 3)) + 1
    if case.trials >= BRACKET_TRIALS * brackets:
        return "hyperband", f"{case.trials} trials fill {brackets} brackets of {BRACKET_TRIALS}", s.BRACKETS
    why = f"{case.trials} trials are too few for hyperband's {brackets} brackets of more than 10 each"
    return "median", f"{why}; the median rule stops the worse half"


def _choose_startup(case: Case) -> Chosen:
    value = min(STARTUP, max(3, case.trials // 4))
    return (
        value,
        f"Optuna starts with {STARTUP} random trials; here a quarter of {case.trials} if that is less",
    )


def _choose_warmup(case: Case) -> Chosen:
    value = max(case.every, math.ceil(0.1 * case.steps))
    return value, f"no pruning in the first tenth of {case.steps} steps, where learning rates barely differ"


def _choose_objectives(case: Case) -> Chosen:
    usual = case.wish.goal == Wish().goal
    return [case.wish.goal], "the metric to optimise", s.DEFAULT if usual else s.ASKED


def _choose_stop(case: Case) -> Chosen:
    bounds: dict[str, float] = {} if case.wish.hours is None else {"hours": case.wish.hours}
    if case.trials >= 16:
        bounds["no_improvement"] = max(8, case.trials // 2)
    if not bounds:
        return None
    return bounds, "stops a search that no longer improves or is out of time"


def _choose_base(case: Case) -> Chosen:
    model = case.base.model
    why = f"{model.family}, {model.layers} layers, {case.base.size} parameters"
    return case.base.name, why, s.ASKED


def _choose_precision(case: Case) -> Chosen:
    room, limit = case.room, case.limit
    if limit.bytes_ is None:
        return room.precision, f"the available memory is unknown ({limit.why})", s.PRACTICE
    size = f"{format_bytes(limit.bytes_)} ({limit.why})"
    took = "; ".join(room.tried)
    used = format_bytes(room.used_bytes)
    verdict = f"{room.rows} × {room.length} tokens at rank {room.rank} need {used} of {size}"
    if not room.fits:
        return room.precision, f"NOTHING FITS in {size}: {took}; use a smaller base or a larger device"
    return room.precision, verdict + (f"; {took}, and a tenth stays free" if took else "")


def _choose_double_quant(case: Case) -> Chosen:
    if case.room.precision != "nf4":
        return None
    once, twice = (
        count_base_bytes(case.base.model, "nf4", is_double, case.device.computes)
        for is_double in (False, True)
    )
    return True, f"stores the scales of the 4-bit weights in 8 bit: saves {format_bytes(once - twice)}"


def _choose_checkpointing(case: Case) -> Chosen:
    if case.room.checkpointing:
        return True, "recomputes activations (half more work), because keeping them does not fit"
    return False, "activations fit in memory: no recomputation"


def _choose_source(case: Case) -> Chosen:
    half, long_row = case.rows.find_percentile(0.5), case.rows.find_percentile(0.95)
    why = f"{case.rows.count} rows; half have up to about {half} tokens, 95 % up to {long_row}"
    if case.rows.form in FORMS:
        why += f"; read as {FORMS[case.rows.form]}: {case.rows.targets:.0%} of the text is trained on"
    return case.source, why


def _choose_validation(case: Case) -> Chosen:
    return (
        case.share,
        f"{case.judges} of {case.rows.count} rows are evaluated: about {HELD_ROWS} give a stable loss",
    )


def _choose_every(case: Case) -> Chosen:
    return case.every, f"about {READINGS} evaluations in {case.steps} steps"


def _choose_patience(case: Case) -> Chosen:
    if case.epochs <= 1 or case.steps < READINGS:
        return None
    return 3, f"{case.epochs:g} epochs may overfit: a trial stops after three evaluations without improvement"


def _choose_boards(case: Case) -> Chosen:
    board = case.wish.goal.split("/")[0]
    return ([board], f"the goal {case.wish.goal} is on this board", s.ASKED) if board in BOARDS else None


def _choose_canaries(case: Case) -> Chosen:
    return (
        (4, "the goal measures memorisation, which needs canaries")
        if case.wish.goal == "security/exposure"
        else None
    )


def _choose_devices(case: Case) -> Chosen:
    return ("cpu", "no GPU was found", s.READ) if case.device.kind == "cpu" else None


def _choose_pack(case: Case) -> Chosen:
    if case.limit.bytes_ is None or not case.room.fits:
        return "auto", "the best number of trials at once is measured during the study"
    return "auto", f"up to {case.room.pack} of the largest trials fit at once; the best number is measured"


RULES = (
    Rule("study", "name", _choose_name, (s.PRACTICE,)),
    Rule("study", "trials", _choose_trials, (s.PRACTICE,)),
    Rule("study", "sampler", _choose_sampler, (s.BUDGETS, s.CHOICE)),
    Rule("study", "pruner", _choose_pruner, (s.CHOICE,)),
    Rule("study", "startup_trials", _choose_startup, (s.STARTUP,)),
    Rule("study", "pruner_warmup_steps", _choose_warmup, (s.PRACTICE,)),
    Rule("study", "objectives", _choose_objectives, (s.ASKED,)),
    Rule("study", "stop_after", _choose_stop, (s.PRACTICE,)),
    Rule("model", "base", _choose_base, (s.ASKED,)),
    Rule("model", "precision", _choose_precision, (s.ESTIMATE,)),
    Rule("model", "double_quant", _choose_double_quant, (s.QLORA, s.ESTIMATE)),
    Rule("model", "gradient_checkpointing", _choose_checkpointing, (s.ESTIMATE, s.FLOPS)),
    Rule("data", "source", _choose_source, (s.ASKED,)),
    Rule("data", "validation", _choose_validation, (s.PRACTICE,)),
)
LAST = (
    Rule("evaluate", "every", _choose_every, (s.PRACTICE,)),
    Rule("evaluate", "patience", _choose_patience, (s.PRACTICE,)),
    Rule("evaluate", "boards", _choose_boards, (s.ASKED,)),
    Rule("evaluate", "canaries", _choose_canaries, (s.PRACTICE,)),
    Rule("resources", "devices", _choose_devices, (s.READ,)),
    Rule("resources", "pack", _choose_pack, (s.ESTIMATE,)),
)
