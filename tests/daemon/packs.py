"""What a worker would tell of its pack, for tests."""

from __future__ import annotations

from typing import Any

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state.event_fold import apply

MIB, GIB = 1 << 20, 1 << 30


def pack(trials: int = 2, tokens_per_s: float = 0.0, **more: Any) -> e.PackMeasured:
    """A pack of ``trials`` of 100 tokens each; plenty of memory unless ``more`` says otherwise."""
    tokens = more.pop("tokens", 100 * trials)
    fields = {
        "at": 1.0, "study": "a", "worker": "gpu0-w", "device": "gpu0", "trials": trials, "tokens": tokens,
        "round_s": tokens / tokens_per_s if tokens_per_s else 0.1, "base_bytes": GIB,
        "trial_bytes": dict.fromkeys(range(trials), 10 * MIB), "activation_bytes_per_token": 0.0,
        "used_bytes": 2 * GIB, "free_bytes": 70 * GIB, "total_bytes": 80 * GIB,
    }  # fmt: skip
    return e.PackMeasured(**{**fields, **more})


def knobs(rank: int = 8, **more: Any) -> dict[str, Any]:
    """A trial's knobs, as far as memory knows them."""
    same = {"batch_size": 4, "sequence_length": 512, "target_modules": "attention", "optimizer": "adamw"}
    return {"lora_rank": rank, **same, **more}


def study(planned: int, *trials: tuple[str, int] | tuple[str, int, str]) -> s.Study:
    """Trials as (queued or running, rank, device), numbered from 0; gpu0 unless a device is named."""
    section = {"name": "a", "trials": planned, "sampler": "random", "objectives": []}
    told: list[e.Event] = [e.StudyCreated(at=1.0, study="a", spec={"study": section}, folder="/a")]
    for number, (state, rank, *device) in enumerate(trials):
        label = device[0] if device else "gpu0"
        told.append(e.TrialQueued(at=1.0, study="a", trial=number, params={}, knobs=knobs(rank)))
        if state == "running":
            told.append(e.TrialStarting(at=1.0, study="a", trial=number, worker=f"{label}-w", device=label))
            told.append(e.TrialRunning(at=1.0, study="a", trial=number, step=0, total_steps=9))
    found = s.State()
    for event in told:
        found = apply(found, event)
    return found.studies["a"]
