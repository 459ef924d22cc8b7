"""The share of wall time that scoring takes while trials train, over windows of a minute, with all boards on:
``python -m tests.bench.scoring_share [--tiny] [--seconds N] [--budget SHARE] …``

A pack as a worker runs it trains until the time is up, and there is always something to score; the base is
scored before, as it is in the second study of it. Two measures:
a clock around the pack's scoring (``scoring``), and what the worker charges to its budget (``charged``). What
the clock sees and the budget does not is time that trials lose unseen.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from core.contract.events import event_types as e
from core.contract.spec import spec_file
from core.contract.spec.metric_table import BOARDS
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.worker_api import Assign
from core.train.base.base_model import load_base
from core.train.data.dataset import load_data
from core.train.pack.pack_scoring_bridge import PackScoring
from core.train.pack.trial_pack import Pack
from core.train.progress_callback import report_nothing
from core.train.quiet_libraries import set_environment, silence_transformers
from core.train.scoring.scoring_budget import WINDOW_S, Budget
from tests.tiny import tiny_base

ENDLESS = 10**6  # steps: the bench ends sooner
Span = tuple[float, float]  # (end, seconds)


@dataclass
class Shares:
    """Spans of scoring while something trained, by a clock and as the worker charged them; ``began`` and
    ``ended``: the first and last moment of training."""

    began: float
    ended: float = 0.0
    clocked: list[Span] = field(default_factory=list)
    charged: list[Span] = field(default_factory=list)

    def share(self, spans: Sequence[Span]) -> float:
        """The share of all the time."""
        return sum(took_s for _, took_s in spans) / (self.ended - self.began)

    def minutes(self, spans: Sequence[Span]) -> list[float]:
        """The share of each whole minute, one after the other."""
        count = int((self.ended - self.began) / WINDOW_S)
        return [within(spans, self.began + (at + 1) * WINDOW_S) for at in range(count)]

    def worst(self, spans: Sequence[Span]) -> float:
        """The largest share of any minute."""
        first = self.began + WINDOW_S
        ends = [end for end, _ in spans if end >= first] + [self.ended] * (self.ended >= first)
        return max((within(spans, end) for end in ends), default=0.0)


def within(spans: Sequence[Span], end: float) -> float:
    """The share of the minute before ``end``."""
    begin = end - WINDOW_S
    parts = (min(at, end) - max(at - took_s, begin) for at, took_s in spans)
    return sum(part for part in parts if part > 0) / WINDOW_S


@contextmanager
def measured(shares: Shares, clock: Callable[[], float] = time.perf_counter) -> Iterator[None]:
    """Fill ``shares`` with the turns that score while something trains."""
    turn, spend = PackScoring.turn, Budget.spend

    def clocked(self: PackScoring, training: bool) -> None:
        began = clock()
        turn(self, training)
        if training:
            shares.clocked.append((clock(), clock() - began))

    def charged(self: Budget, took_s: float) -> None:
        spend(self, took_s)
        shares.charged.append((clock(), took_s))

    with patch.object(PackScoring, "turn", clocked), patch.object(Budget, "spend", charged):
        yield


def study(options: argparse.Namespace, base: str) -> StudySpec:
    """Trials that end only with the bench, scored on all boards at every evaluation."""
    return spec_file.parse(
        {
            "study": {"name": "share"},
            "model": {"base": base},
            "data": {"source": options.data, "rows": 400},
            "train": {"steps": ENDLESS, "batch_size": options.batch, "sequence_length": 64},
            "evaluate": {
                "every": options.every, "rows": 2, "boards": list(BOARDS), "samples": options.samples,
                "generate_every": 2, "budget": options.budget, "answer_tokens": 32,
            },
            "resources": {"checkpoint_every": ENDLESS},
        }
    )  # fmt: skip


def train(pack: Pack, trials: int, folder: Path, seconds: float, cold: bool) -> Shares:
    """Train for ``seconds``, counted from the first step: nothing is scored before it."""
    scoring = pack.parts.scoring
    if not cold and scoring.background is not None:
        scoring.background.begin_base(folder)
        while pack.busy:
            pack.turn()
    for number in range(trials):
        place = folder / str(number)
        place.mkdir()
        pack.do(Assign(number, dict(pack.parts.spec.train), str(place)))
    while pack.trains and not scoring.ready:
        pack.turn()
    began = time.perf_counter()
    shares = Shares(began)
    with measured(shares):
        while pack.trains and time.perf_counter() < began + seconds:
            pack.turn()
    shares.ended = time.perf_counter()
    return shares


def report(options: argparse.Namespace, shares: Shares, told: Sequence[Any]) -> None:
    """Print the shares."""
    scored = [event for event in told if isinstance(event, e.TrialScored)]
    steps = max((event.step for event in told if isinstance(event, e.TrialReported)), default=0)
    took_s = shares.ended - shares.began
    print(
        f"{took_s:.0f} s of training: {options.trials} trials of {steps} steps; budget {options.budget:.1%}"
    )
    print(
        f"{len(scored)} scorings of trials, {sum(event.took_s for event in scored):.1f} s as they report it"
    )
    for name, spans in (("scoring", shares.clocked), ("charged", shares.charged)):
        minutes = " ".join(f"{share:.1%}" for share in shares.minutes(spans)) or "none is whole"
        print(f"  {name}: {shares.share(spans):.2%} of all, worst minute {shares.worst(spans):.2%}")
        print(f"    minute by minute: {minutes}")
    longest = sorted((took_s for _, took_s in shares.clocked), reverse=True)[:5]
    print(f"  longest turns: {', '.join(f'{took_s:.2f} s' for took_s in longest)}")


def main() -> None:
    """Train, and print the shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="a tiny random base")
    parser.add_argument("--base", default="demo:smollm2", help="a study's model.base")
    parser.add_argument("--data", default="demo:stdlib", help="a study's data.source")
    parser.add_argument("--seconds", type=float, default=4 * WINDOW_S)
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--every", type=int, default=10, help="steps between evaluations")
    parser.add_argument("--samples", type=int, default=16, help="of each metric")
    parser.add_argument("--budget", type=float, default=0.1)
    parser.add_argument("--cold", action="store_true", help="score the base while trials train, not before")
    options = parser.parse_args()
    set_environment()
    silence_transformers()
    told: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="tt-") as name:
        folder = Path(name)
        os.environ["TRIMTAB_CACHE"] = str(folder / "cache")  # the base's answers are part of the work
        spec = study(options, str(tiny_base(folder / "tiny")) if options.tiny else options.base)
        base = load_base(spec, torch.device("cuda:0" if torch.cuda.is_available() else "cpu"), report_nothing)
        pack = Pack(spec, base, load_data(spec, base.tokenizer, report_nothing), told.append)
        shares = train(pack, options.trials, folder, options.seconds, options.cold)
        pack.settle()
    report(options, shares, told)


if __name__ == "__main__":
    main()
