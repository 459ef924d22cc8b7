"""Several processes at once on one device, each with its own base and the Trainer: trials from one queue."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection, wait
from typing import Any

from core.train.quiet_libraries import set_environment, silence_transformers
from tests.bench.sweep_ledger import Rungs, now, outcome
from tests.bench.sweep_plan import Plan


def processes(plan: Plan) -> dict[str, Any]:
    """``plan.processes`` of them, each with its own base; this one hands trials out and decides."""
    context = multiprocessing.get_context("spawn")
    pipes, running = [], []
    for _ in range(min(plan.processes, len(plan.trials))):
        here, there = context.Pipe()
        running.append(context.Process(target=_work, args=(plan, there), daemon=True))
        running[-1].start()
        there.close()
        pipes.append(here)
    load_s = max(pipe.recv() for pipe in pipes)  # all are loaded before anybody begins
    began = now()
    books = _hand_out(plan, pipes)
    for process in running:
        process.join()
    ended = max(book["ended_s"] for book in books)
    return outcome(plan, "processes", books, began, ended, load_s)


def _hand_out(plan: Plan, pipes: list[Connection]) -> list[dict[str, Any]]:
    rungs, waiting, books = Rungs(plan.every, plan.factor), list(plan.trials), []
    for pipe in pipes:
        pipe.send(waiting.pop(0) if waiting else None)
    while len(books) < len(pipes):
        for pipe in wait([pipe for pipe in pipes if not pipe.closed]):
            match pipe.recv():  # type: ignore[union-attr]
                case "next":
                    pipe.send(waiting.pop(0) if waiting else None)  # type: ignore[union-attr]
                case (number, step, loss):
                    pipe.send(plan.stopping and rungs.stops(number, step, loss))  # type: ignore[union-attr]
                case book:
                    books.append(book)
                    pipe.close()  # type: ignore[union-attr]
    return books


def _work(plan: Plan, pipe: Connection) -> None:
    """One process's life: load, then trial after trial until there are no more."""
    set_environment()
    import torch

    from tests.bench.sweep_trainer import Rival

    silence_transformers()
    if plan.threads:
        torch.set_num_threads(max(1, plan.threads // plan.processes))
    rival = Rival(plan)
    pipe.send(rival.load_s)

    def decide(number: int, step: int, loss: float) -> bool:
        pipe.send((number, step, loss))
        return pipe.recv()

    while (trial := pipe.recv()) is not None:
        rival.train(trial, decide)
        pipe.send("next")
    pipe.send(rival.told())
