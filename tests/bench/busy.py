"""How a training step's time depends on how long OpenMP's threads spin at a barrier, on a quiet machine and
on a busy one: ``python -m tests.bench.busy [--quick] [--spins 1000,3000,…] [--rounds N] [--load N]``.

libgomp reads its settings when it is loaded, so each setting has a process of its own. All of them live at
once and take turns, so that what disturbs the machine disturbs all settings alike. A turn is as many steps as
begin within ``--turn`` seconds. libgomp's own setting may need seconds for one step under load: there it has
one turn.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from core.cpu_count import count_cpus
from core.daemon.workers.worker_pool import SPIN_COUNT, SPIN_SETTINGS

DEFAULT = "default"
PASSIVE = "passive"
QUIET, BUSY = "quiet", "busy"
SPINS = (DEFAULT, PASSIVE, "300", "1000", "3000", "10000", "100000")
QUICK = (DEFAULT, PASSIVE, "1000", "10000")
QUIET_SPEED, BUSY_TIME = (
    0.95,
    1.5,
)  # the goal: that much of the default's quiet speed, within that of the best


def environment(spin: str) -> dict[str, str]:
    """The environment of a process with the setting ``spin``: default, passive, or a spin count."""
    dropped = (*SPIN_SETTINGS, "OMP_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    if spin == PASSIVE:
        return {**kept, "OMP_WAIT_POLICY": "PASSIVE"}
    return kept if spin == DEFAULT else {**kept, "GOMP_SPINCOUNT": spin}


def trainer(layers: int, rows: int, length: int, turn_s: float) -> None:
    """Child: trains on random tokens; a turn for each line on standard input, then prints seconds a step."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # others are being loaded too: no barriers yet
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024, hidden_size=576, intermediate_size=1536, num_hidden_layers=layers,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    for weight in model.parameters():
        weight.requires_grad_(False)
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.requires_grad_(True)
    ids = torch.randint(0, 1024, (rows, length))
    model(input_ids=ids, labels=ids).loss.backward()
    torch.set_num_threads(threads)
    print("ready", flush=True)
    for _ in sys.stdin:
        began, steps = time.perf_counter(), 0
        while not steps or time.perf_counter() - began < turn_s:
            model(input_ids=ids, labels=ids).loss.backward()
            model.zero_grad()
            steps += 1
        print((time.perf_counter() - began) / steps, flush=True)


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """So many processes that do nothing but use a core."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.wait()


class Child:
    """A trainer process with one setting. It is ready for its first turn after ``wait``."""

    def __init__(self, spin: str, options: argparse.Namespace) -> None:
        command = [sys.executable, "-m", "tests.bench.busy", "--child", "--layers", str(options.layers)]
        command += ["--rows", str(options.batch), "--length", str(options.length)]
        command += ["--turn", str(options.turn)]
        self._process = subprocess.Popen(
            command, env=environment(spin), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.spin = spin
        self.times: dict[str, list[float]] = {QUIET: [], BUSY: []}

    def wait(self) -> str:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the trainer with the setting {self.spin} ended")
        return line

    def turn(self) -> float:
        """Train for a moment: seconds a step."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self.wait())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def trainers(options: argparse.Namespace) -> Iterator[list[Child]]:
    """One for each setting, loaded at the same time; each has had a turn to warm up."""
    children = [Child(spin, options) for spin in options.spins.split(",")]
    try:
        for child in children:
            child.wait()
        for child in children:
            child.turn()
        yield children
    finally:
        for child in children:
            child.close()


def measure(children: Sequence[Child], rounds: int, processes: int) -> None:
    """All settings, turn and turn about, there and back, first quiet and then busy."""
    for state, beside in ((QUIET, 0), (BUSY, processes)):
        with load(beside):
            for number in range(rounds):
                for child in children[:: -1 if number % 2 else 1]:
                    if state == BUSY and child.spin == DEFAULT and number:
                        continue
                    child.times[state].append(child.turn())


def report(children: Sequence[Child]) -> None:
    """One line for each setting."""
    middle = {
        child.spin: {state: statistics.median(child.times[state]) for state in child.times}
        for child in children
    }
    whole = middle[DEFAULT][QUIET] if DEFAULT in middle else min(one[QUIET] for one in middle.values())
    best = min(one[BUSY] for one in middle.values())
    print(f"{'spin':>10} {'quiet ms':>9} {'speed':>6}  {'(range)':<12} {'busy ms':>9} {'x best':>6}  (range)")
    for child in children:
        quiet, busy = middle[child.spin][QUIET], middle[child.spin][BUSY]
        good = whole / quiet >= QUIET_SPEED and busy / best <= BUSY_TIME
        print(
            f"{child.spin:>10} {quiet * 1e3:9.1f} {whole / quiet:6.1%}  {_range(child.times[QUIET]):<12}"
            f" {busy * 1e3:9.1f} {busy / best:6.2f}  {_range(child.times[BUSY])}"
            + ("  meets the goal" if good else "")
            + ("  (set for workers)" if child.spin == str(SPIN_COUNT) else "")
        )


def _range(times: Sequence[float]) -> str:
    return f"({min(times) * 1e3:.0f} to {max(times) * 1e3:.0f})"


def main() -> None:
    """Print one line for each setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="four settings, three rounds")
    parser.add_argument("--spins", help=f"default, passive, or counts; {','.join(SPINS)}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--turn", type=float, default=0.4, help="seconds; at least one step")
    parser.add_argument("--load", type=int, default=count_cpus().usable, help="busy processes beside it")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--batch", "--rows", dest="batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    if options.child:
        trainer(options.layers, options.batch, options.length, options.turn)
        return
    options.spins = options.spins or ",".join(QUICK if options.quick else SPINS)
    with trainers(options) as children:
        measure(children, options.rounds or (3 if options.quick else 9), options.load)
    report(children)


if __name__ == "__main__":
    main()
