"""Training speed: one LoRA run by trimtab's loop and by transformers' Trainer, the same batches in the same
order on the same machine, turn and turn about. ``python -m tests.bench.trainer [--steps N] [--base B] …``"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.worker_api import Assign
from core.train.base.base_model import Base, load_base
from core.train.data.dataset import MASKED, Data, Row, load_data
from core.train.pack.trial_pack import Pack
from core.train.progress_callback import report_nothing
from core.train.quiet_libraries import set_environment, silence_transformers


@dataclass
class Run:
    """What one run took. ``tokens`` leaves padding out."""

    elapsed_s: float
    tokens: int
    losses: list[float]
    start: dict[str, torch.Tensor] = field(default_factory=dict)  # the adapter as it began

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.elapsed_s


def study(options: argparse.Namespace) -> StudySpec:
    """One trial without evaluation in between: the Trainer's run has none either."""
    return spec_file.parse(
        {
            "study": {"name": "bench"},
            "model": {"base": options.base, "precision": options.precision},
            "data": {"source": options.data, "rows": 400},
            "train": {
                "steps": options.steps, "batch_size": options.batch, "sequence_length": options.length,
                "lora_rank": options.rank, "lora_dropout": options.dropout, "learning_rate": 1e-3,
                "warmup": 0.1, "scheduler": "cosine",
            },
            "evaluate": {"every": 10**6, "rows": 1},
            "resources": {"report_every_s": 1e-9},
        }
    )  # fmt: skip


def ours(spec: StudySpec, base: Base, data: Data) -> tuple[Run, list[list[Row]]]:
    """By the pack that a worker runs; and the batches that it trained on."""
    told: list[Any] = []
    pack = Pack(spec, base, data, told.append)
    with tempfile.TemporaryDirectory() as folder:
        pack.do(Assign(0, dict(spec.train), folder))
        course = pack.parts.members[0].trial.course
        start = {name: one.clone() for name, one in pack.parts.members[0].trial.factors.named_factors()}
        batches = [rows for step in range(course.total_steps) for rows in course.micro_batches(step)]
        reported: list[e.TrialReported] = []
        began = time.perf_counter()
        while len(reported) < len(batches):
            pack.turn()
            reported = [one for one in told if isinstance(one, e.TrialReported)]
        elapsed_s = time.perf_counter() - began
        while pack.busy:
            pack.turn()
        pack.settle()
    losses = [one.metrics["train/loss"] for one in reported]
    return Run(elapsed_s, count(batches), losses, start), batches


def theirs(spec: StudySpec, base: Base, batches: list[list[Row]], start: dict[str, torch.Tensor]) -> Run:
    """By the Trainer, with PEFT's own model and the batches as they come."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        """The time from the first step's beginning to the last one's end."""

        began_s = ended_s = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began_s = time.perf_counter()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.ended_s = time.perf_counter()

    train = spec.train
    torch.manual_seed(int(train["seed"]))  # type: ignore[arg-type]
    config = LoraConfig(
        r=train["lora_rank"], lora_alpha=train["lora_alpha"], lora_dropout=train["lora_dropout"],
        target_modules="all-linear", task_type="CAUSAL_LM",
    )  # fmt: skip
    model = get_peft_model(base.model, config)
    set_peft_model_state_dict(model, start)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, per_device_train_batch_size=len(batches[0]), max_steps=len(batches),
            learning_rate=train["learning_rate"], warmup_steps=-(-len(batches) // 10),
            lr_scheduler_type="cosine", weight_decay=0.0, max_grad_norm=train["clip_norm"], logging_steps=1,
            report_to="none", save_strategy="no", disable_tqdm=True, remove_unused_columns=False,
            use_cpu=base.device.type == "cpu", dataloader_pin_memory=base.device.type == "cuda",
        )  # fmt: skip
        rows = [row for batch in batches for row in batch]
        trainer = Trainer(model, arguments, lambda some: padded(some, base.pad_id), rows, callbacks=[clock])
        trainer._get_train_sampler = lambda *_: torch.utils.data.SequentialSampler(rows)
        trainer.remove_callback(
            next(callback for callback in trainer.callback_handler.callbacks if _prints(callback))
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    model.unload()
    return Run(clock.ended_s - clock.began_s, count(batches), losses)


def _prints(callback: Any) -> bool:
    return type(callback).__name__ in ("PrinterCallback", "ProgressCallback")


def padded(rows: list[Row], pad_id: int) -> dict[str, torch.Tensor]:
    """A batch as transformers' collators make it, with its mask."""
    width = max(len(row.ids) for row in rows)
    fill = [width - len(row.ids) for row in rows]
    return {
        "input_ids": torch.tensor(
            [row.ids.tolist() + [pad_id] * more for row, more in zip(rows, fill, strict=True)]
        ),
        "attention_mask": torch.tensor(
            [[1] * len(row.ids) + [0] * more for row, more in zip(rows, fill, strict=True)]
        ),
        "labels": torch.tensor(
            [row.labels.tolist() + [MASKED] * more for row, more in zip(rows, fill, strict=True)]
        ),
    }


def count(batches: list[list[Row]]) -> int:
    """Tokens, padding not counted."""
    return sum(len(row.ids) for batch in batches for row in batch)


def main() -> None:
    """Run both in turn, a first time each to warm up, and print the ratio of their speeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="demo:smollm2", help="a study's model.base")
    parser.add_argument("--data", default="demo:stdlib", help="a study's data.source")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=96)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    set_environment()
    silence_transformers()
    spec = study(options)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    base, other = load_base(spec, device, report_nothing), load_base(spec, device, report_nothing)
    data = load_data(spec, base.tokenizer, report_nothing)
    pairs = []
    for turn in range(options.times + 1):
        mine, batches = ours(spec, base, data)
        pairs += [(mine, theirs(spec, other, batches, mine.start))] if turn else []
        if turn == 0:
            theirs(spec, other, batches, mine.start)
    print(f"{options.base} in {base.precision} on {device}: {options.steps} steps of {options.batch} rows")
    for name, index in (("trimtab", 0), ("Trainer", 1)):
        speeds = [pair[index].tokens_per_s for pair in pairs]
        first, last = pairs[-1][index].losses[0], pairs[-1][index].losses[-1]
        print(f"  {name:8} {statistics.median(speeds):9.1f} tokens/s, loss {first:.4f} → {last:.4f}")
    ratios = [mine.tokens_per_s / their.tokens_per_s for mine, their in pairs]
    print(f"  ratio    {statistics.median(ratios):9.2f} (above 1: trimtab is faster)")


if __name__ == "__main__":
    main()
