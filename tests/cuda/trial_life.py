"""The life of real trials in a real pack on fake CUDA tensors: ``python -m tests.cuda.trial_life``.

Trials start, train, are evaluated, scored, paused, resumed, checkpointed, pruned, and run out of memory. All
but the kernels is real: rows, files, events, and bitsandbytes' optimizers, whose pages are plain memory here.
"""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.cuda import count_step

OPTIMIZERS = ("adamw-8bit", "adamw-paged", "adamw-8bit-paged")  # the others are in ``path_steps``
STEPS = 3
PRUNED = 0
PAGED_RANK = 256  # bitsandbytes pages states of 100,000 values and more


def main() -> None:
    """Live, and print what was seen."""
    count_step.begin()
    print(json.dumps(run()))


def run() -> dict[str, Any]:
    """Live once; {moment: what was seen of it}."""
    from tests.cuda.fake_card import counting, fake_tensors
    from tests.cuda.op_counter import OpChecker

    with tempfile.TemporaryDirectory() as folder:
        bench = _Life(Path(folder))
        gc.freeze()  # a pack collects at each pause and end, which would walk over all of transformers
        with (
            fake_tensors(),
            counting(OpChecker),
            _pages_in_plain_memory(bench.pages_moved),
            _writing_at_once(),
        ):
            return bench.live()


def _make_real(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors that can be written to a file: zeros in place of what fake ones would hold."""
    import torch
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    with unset_fake_temporarily():
        return {name: torch.zeros(tuple(each.shape), dtype=each.dtype) for name, each in tensors.items()}


class _AtOnce:
    """An executor without a thread."""

    def __init__(self, *given: Any) -> None:
        pass

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        """Do the work now."""
        done: Future[Any] = Future()
        done.set_result(work(*given))
        return done

    def shutdown(self, **how: Any) -> None:
        """Do nothing: no thread runs."""


@contextmanager
def _writing_at_once() -> Iterator[None]:
    """Write files in the thread that trains: fake tensors are for one thread at a time."""
    from core.train import checkpoint_tensor_copies
    from core.train.pack import writer_thread

    with (
        patch.object(writer_thread, "ThreadPoolExecutor", _AtOnce),
        patch.object(checkpoint_tensor_copies, "separate", _make_real),
    ):
        yield


@contextmanager
def _pages_in_plain_memory(moved: list[bool]) -> Iterator[None]:
    """bitsandbytes takes pages from the driver, which is not there: give it memory."""
    import torch
    from bitsandbytes import functional

    def get_paged(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        page = torch.empty(shape, dtype=dtype)  # a tensor of the host to torch, as there
        page.is_paged, page.page_deviceid = True, device.index  # type: ignore[attr-defined]
        return page

    with (
        patch.object(functional, "get_paged", get_paged),
        patch.object(functional, "prefetch_tensor", lambda page, to_cpu=False: moved.append(to_cpu)),
        patch.object(functional, "fill", lambda page, value, **how: page.fill_(value)),
    ):
        yield


class _Life:
    """A study of a tiny model, and a pack on the fake device."""

    def __init__(self, folder: Path) -> None:
        """Write rows and tokenizer, before tensors are fake."""
        from core.contract.spec import spec_file
        from core.train.data.dataset import load_data
        from core.train.progress_callback import report_nothing
        from tests.tiny import tiny_rows, tiny_tokenizer

        self._folder, self._tokenizer = folder, tiny_tokenizer()
        # every integer that is read is 1: then an answer ends at once, as longer ones are in ``path_steps``
        self._tokenizer.eos_token = self._tokenizer.convert_ids_to_tokens(1)
        self.pages_moved: list[bool] = []  # whether to the host, of each page that was moved
        tiny_rows(folder / "rows.jsonl", 24)
        self._spec = spec_file.parse({
            "study": {"name": "s"},
            "model": {"base": str(folder), "precision": "bf16"},
            "data": {"source": str(folder / "rows.jsonl")},
            "train": {"steps": STEPS, "sequence_length": 32, "lora_rank": 4, "lora_dropout": 0.1},
            "evaluate": {
                "every": STEPS, "rows": 4, "boards": ["quality"], "samples": 2, "answer_tokens": 16,
                "budget": 1.0,
            },
            "resources": {"report_every_s": 1e-9},
        })  # fmt: skip
        self._data = load_data(self._spec, self._tokenizer, report_nothing)
        self._told: list[Any] = []

    def live(self) -> dict[str, Any]:
        """Make the pack and live."""
        from core.train.adapters.reload_check import ReloadCheck
        from core.train.evaluation import board_probes
        from core.train.pack import pack_assembly
        from core.train.pack.trial_pack import Pack
        from core.train.scoring import batched_scoring
        from tests.cuda.fake_card import modules_in_place

        base, find = self._base(), pack_assembly.find_adaptable

        def find_in_place(*given: Any) -> Any:
            with modules_in_place(base.model.dtype):
                return find(*given)

        with (
            patch.object(pack_assembly, "find_adaptable", find_in_place),
            patch.object(
                board_probes, "measure_toxicity_quality", lambda: None
            ),  # seconds; no score here needs it
            patch.object(
                ReloadCheck, "check", lambda *given: None
            ),  # PEFT moves weights: fake ones cannot be
            patch.object(batched_scoring, "can_read_trees", lambda *given: False),  # in ``path_steps``
            patch.object(batched_scoring, "RATE", 1e6),  # tokens/s: few passes, with many rows in each
        ):
            self._pack = Pack(self._spec, base, self._data, self._told.append)
            return self._live()

    def _live(self) -> dict[str, Any]:
        """All moments, in order."""
        self._members = self._pack.parts.members
        for number, optimizer in enumerate(OPTIMIZERS):
            self._assign(number, optimizer)
        self._turn_until_step(1)
        seen: dict[str, Any] = {"trained": self._numbers("TrialReported")}
        seen["paused"], seen["resumed"] = self._pause_and_resume()
        seen["pages"] = [_count_pages(trial) for _, trial in sorted(self._members.trials.items())]
        seen["pages_left"] = any(self.pages_moved)
        seen["checkpoints"] = self._checkpoint()
        self._prune(PRUNED)
        seen["pruned"] = self._numbers("TrialPruned")
        seen["halved"] = self._run_out_of_memory()
        while self._pack.busy:
            self._turn()
        seen["scored"], seen["complete"] = self._numbers("TrialScored"), self._numbers("TrialCompleted")
        seen["faults"] = [
            str(each) for each in self._told if type(each).__name__ in ("TrialFailed", "TrialInfeasible")
        ]
        return seen

    def _base(self) -> Any:
        from transformers import LlamaConfig

        from tests.cuda import fake_card, fake_models

        config = LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=len(self._tokenizer), max_position_embeddings=512,
        )  # fmt: skip
        base = fake_models._build(config, "bf16", False)
        base.tokenizer = self._tokenizer
        fake_card.fuse_layers(base.model)
        return base

    def _assign(self, number: int, optimizer: str, checkpoint: str = "") -> None:
        from core.contract.wire.worker_api import Assign

        place = self._folder / str(number)
        place.mkdir(exist_ok=True)
        knobs = {**self._spec.train, "optimizer": optimizer, "batch_size": 1 + number % 2}
        if "paged" in optimizer:
            knobs["lora_rank"] = PAGED_RANK
        self._pack.do(Assign(number, knobs, str(place), checkpoint))

    def _turn(self) -> None:
        self._pack.turn()
        self._pack.settle()

    def _turn_until_step(self, step: int) -> None:
        while any(trial.step < step for trial in self._members.trials.values()):
            self._turn()

    def _numbers(self, kind: str) -> list[int]:
        """The trials that were told of in such events."""
        return sorted({each.trial for each in self._told if type(each).__name__ == kind})

    def _pause_and_resume(self) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
        """The devices that each trial's tensors are on while it is paused, and once it trains again."""
        from core.contract.wire.worker_api import Pause, Resume

        found = []
        for message in (Pause, Resume):
            for number in list(self._members):
                self._pack.do(message(number))
            found.append({number: _devices(trial) for number, trial in self._members.trials.items()})
        self._turn()
        return found[0], found[1]

    def _checkpoint(self) -> list[int]:
        """The trials whose checkpoint is on disk."""
        self._pack.checkpoint_all()
        return [
            number for number in self._members if any((self._folder / str(number)).rglob("*.safetensors"))
        ]

    def _prune(self, number: int) -> None:
        from core.contract.wire.worker_api import Prune

        self._pack.do(Prune(number, "a test prunes it"))
        self._pack.settle()

    def _run_out_of_memory(self) -> list[int]:
        """Rows of the passes of a round whose first one does not fit."""
        import torch

        forward, rows = self._pack.parts.rounds._forward, []
        own = forward._run_pass

        def fail_first(owners: Any, items: Any, *rest: Any, **how: Any) -> Any:
            rows.append(len(items))
            if len(rows) == 1:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return own(owners, items, *rest, **how)

        with patch.object(forward, "_run_pass", fail_first):
            self._turn()
        return rows


def _devices(trial: Any) -> list[str]:
    """The kinds of device that its optimizer's states are on, without single values and pages, which the
    driver moves. A fake tensor tells its old device where its data were replaced, so factors are left out."""
    from core.train.adapters import optimizers

    states = optimizers.list_tensors(trial.optimizer)[0].values()
    large = [each for each in states if each.numel() > 1 and not getattr(each, "is_paged", False)]
    return sorted({each.device.type for each in large})


def _count_pages(trial: Any) -> int:
    """The states of its optimizer that are pages."""
    from core.train.adapters import optimizers

    states = optimizers.list_tensors(trial.optimizer)[0].values()
    return sum(bool(getattr(each, "is_paged", False)) for each in states)


if __name__ == "__main__":
    main()
