"""A study in full swing, made by folding events as the engine would send them. The clock stands at NOW."""

from __future__ import annotations

import copy
import math
import random

import msgspec

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.knob_table import list_defaults
from core.contract.state.engine_state import State
from core.contract.state.event_fold import apply

NOW = 1_800_000_000.0
SPEC = spec_file.convert_to_raw(
    spec_file.parse(
        {
            "study": {"name": "tidy-7b", "trials": 24},
            "model": {"base": "Qwen/Qwen2.5-7B-Instruct", "precision": "nf4"},
            "data": {"source": "train.jsonl"},
            "train": {"steps": 400},
            "space": {
                "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
                "lora_rank": [8, 16, 32],
                "lora_dropout": [0.0, 0.05],
                "batch_size": [2, 4],
            },
            "evaluate": {"every": 20},
        }
    )
)
ENDS = [
    "complete",
    "pruned",
    "complete",
    "failed",
    "complete",
    "paused",
    "running",
    "running",
    "starting",
    "queued",
]


def trial_events(study: str, number: int, end: str) -> list[e.Event]:
    """The life of one trial up to ``end``."""
    draw = random.Random(number)
    params = {
        "learning_rate": 10 ** draw.uniform(-5, -3),
        "lora_rank": draw.choice([8, 16, 32]),
        "lora_dropout": draw.choice([0.0, 0.05]),
        "batch_size": draw.choice([2, 4]),
    }
    at = NOW - 3000 + 200 * number
    common = {"study": study, "trial": number}
    told: list[e.Event] = [
        e.TrialQueued(
            at=at, **common, params=params, knobs={**list_defaults(), "steps": 400, **params}, why="tpe"
        )
    ]
    if end == "queued":
        return told
    told.append(
        e.TrialStarting(at=at + 1, **common, worker="gpu0-a1b2c3", device="gpu0", why="gpu0 was free")
    )
    if end == "starting":
        return told
    told.append(e.TrialRunning(at=at + 5, **common, step=0, total_steps=400, trainable=40_370_176))
    steps = {"complete": 400, "pruned": 120, "failed": 60, "paused": 210}.get(end, 150 + 40 * number % 160)
    floor = 1.1 + 0.3 * draw.random()
    for step in range(4, steps + 1, 4):
        loss = floor + 1.6 * math.exp(-step / 70) + draw.gauss(0, 0.03)
        metrics = {
            "train/loss": loss,
            "train/learning_rate": params["learning_rate"],
            "train/grad_norm": 0.4 + 0.1 * draw.random(),
            "train/tokens_per_s": 5213.0,
            "memory/used_bytes": 9.1e9,
        }
        told.append(e.TrialReported(at=at + step, **common, step=step, elapsed_s=step * 1.5, metrics=metrics))
        if step % 20 == 0:
            held = floor + 0.06 + 1.6 * math.exp(-step / 70)
            scores = {"eval/loss": held, "eval/perplexity": math.exp(held), "eval/accuracy": 0.61}
            told.append(
                e.TrialEvaluated(at=at + step, **common, step=step, elapsed_s=step * 1.5, metrics=scores)
            )
    last = at + steps + 1
    if end == "complete":
        told.append(e.TrialCompleted(at=last, **common, step=steps, values=(floor + 0.06,), adapter="/a"))
    elif end == "pruned":
        why = "median pruner: eval/loss 1.66 at step 120 is worse than the median 1.52 of 4 trials"
        told += [e.PruneAsked(at=last, **common, by="the pruner", why=why)]
        told += [e.TrialPruned(at=last, **common, step=steps, why=why)]
    elif end == "failed":
        error = "[bold]the loss is nan[/bold] at step 61 \x1b]0;owned\x07; a lower learning_rate may help"
        told.append(
            e.TrialFailed(
                at=last, **common, error=error, traceback="Traceback:\n  File [red]x[/red]", step=60
            )
        )
    elif end == "paused":
        told += [e.PauseAsked(at=last, **common, by="console"), e.TrialPaused(at=last, **common, step=steps)]
    return told


def study_events(name: str = "tidy-7b", ends: list[str] | None = None) -> list[e.Event]:
    """A whole study."""
    spec = {**SPEC, "study": {**SPEC["study"], "name": name}}
    told: list[e.Event] = [e.StudyCreated(at=NOW - 3000, study=name, spec=spec, folder="/s")]
    for number, end in enumerate(ENDS if ends is None else ends):
        told += trial_events(name, number, end)
    return told


def four_cards() -> list[e.Event]:
    """Four GPUs for a while; the second says half of what one could ask, the fourth has fallen off."""
    gib = 2**30
    user = e.Process(4321, "python", "ada", 9 * gib, 0.58)
    told: list[e.Event] = []
    for tick in range(30):
        share = 0.6 + 0.35 * math.sin(tick / 4)
        cards = (
            e.Device(
                0, "NVIDIA A100-SXM4-80GB", "GPU-0", int(61.5 * gib), 80 * gib, share, 312.0, 400.0, 66.0,
                processes=(user,),
            ),
            e.Device(1, "Tesla K80", "GPU-1", 3 * gib, 12 * gib, None, None, None, 58.0),
            e.Device(2, "NVIDIA A100-SXM4-80GB", "GPU-2", 1 * gib, 80 * gib, 0.02, 61.0, 400.0, 31.0),
            e.Device(3, "NVIDIA A100-SXM4-80GB", "GPU-3", fault="GPU is lost"),
        )  # fmt: skip
        host = e.Host(0.31, 64, 120 * gib, 512 * gib, 900 * gib, 12.0, "box")
        workers = (e.Worker("gpu0-a1b2c3", 4321, "gpu0", 5 * gib, 1.1, "tidy-7b"),)
        told.append(e.MachineRead(at=NOW - 30 + tick, devices=cards, host=host, workers=workers))
    return told


def no_card() -> list[e.Event]:
    """A machine without a GPU."""
    gib = 2**30
    host = e.Host(0.87, 2, 9 * gib, 24 * gib, 70 * gib, 2.0, "laptop")
    workers = (e.Worker("cpu-a1b2c3", 77, "cpu", 3 * gib, 1.8, "tidy-7b"),)
    why = "no NVIDIA GPU: NVML Shared Library Not Found"
    return [e.MachineRead(at=NOW - 20 + tick, host=host, workers=workers, why_none=why) for tick in range(20)]


def gpu_packs() -> list[e.Event]:
    """Six trials at once on the first card; on the second a base that cannot be stacked."""
    mib, gib = 2**20, 2**30
    return [
        e.PackMeasured(
            at=NOW - 3, study="tidy-7b", worker="gpu0-a1b2c3", device="gpu0", trials=6, tokens=9120,
            round_s=0.6, base_bytes=4 * gib, trial_bytes=dict.fromkeys(range(6), 205 * mib),
            activation_bytes_per_token=3.1e6, used_bytes=60 * gib, free_bytes=18 * gib, total_bytes=80 * gib,
        ),
        e.PackMeasured(
            at=NOW - 3, study="tidy-7b", worker="gpu1-d4e5f6", device="gpu1", trials=2, tokens=2048,
            round_s=2.1, base_bytes=2 * gib, trial_bytes={8: 90 * mib, 9: 90 * mib},
            activation_bytes_per_token=3.1e6, used_bytes=3 * gib, free_bytes=9 * gib, total_bytes=12 * gib,
            why_alone="int8 layers scale by the whole batch",
        ),
    ]  # fmt: skip


def cpu_pack() -> list[e.Event]:
    """Two trials at once on the CPU."""
    mib, gib = 2**20, 2**30
    return [
        e.PackMeasured(
            at=NOW - 3, study="tidy-7b", worker="cpu-a1b2c3", device="cpu", trials=2, tokens=640, round_s=0.7,
            base_bytes=513 * mib, trial_bytes={6: 31 * mib, 7: 8 * mib}, activation_bytes_per_token=2e5,
            used_bytes=2 * gib, free_bytes=9 * gib, total_bytes=24 * gib,
        )
    ]  # fmt: skip


_states: dict[bytes, State] = {}


def state_of(*groups: list[e.Event]) -> State:
    """The state after all events: a copy where it was computed before, which takes a third of the time."""
    key = msgspec.msgpack.encode(groups)
    if key not in _states:
        state = State()
        for group in groups:
            for event in group:
                state = apply(state, event)
        _states[key] = state
    return copy.deepcopy(_states[key])
