"""Part g: a whole study on the card by the program itself: engine, worker, search, console."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
import torch

from core import paths
from core.contract.wire import console_api, engine_client
from core.errors import TrimtabError
from tests.gpu import bases, card
from tests.gpu.part_record import CaseSkippedError, PartRecord, Row
from tests.tiny import tiny_rows, tiny_tokenizer

NAME = "ticket"
CONFIG = paths.find_root() / "configs" / "demo.toml"
TRIALS, STEPS = {True: 2, False: 6}, {True: 4, False: 60}
LIMIT_S = {True: 360.0, False: 75.0}  # by whether it is a dry run, beside other work on a few cores
ANSWER_S = {True: 300.0, False: 60.0}
STOP_S = 20.0
LOOK_S = 1.0  # between two looks at the state
SIZE = (150, 38)
WAYS = {"status": ("status", "--json"), "best": ("best", "--json"), "doctor": ("doctor",)}


def run(record: PartRecord) -> None:
    """The study, then what the program says of it."""
    folder = Path(tempfile.mkdtemp(prefix="tt-"))  # short: a socket's path has a limit
    try:
        record.case("study", lambda: study(folder, record))
        for name, words in WAYS.items():
            record.case(name, lambda words=words: answered(folder, words))
    finally:
        stop_engine(folder)
        shutil.rmtree(folder, ignore_errors=True)
    record.close(1 + len(WAYS))


def study_file(folder: Path) -> Path:
    """The demo's study on a base with random weights and a tokenizer made here."""
    dry, base = card.is_dry(), folder / "base"
    model = bases.random_base("dry" if dry else "135m", "bf16", torch.device("cpu")).model
    model.save_pretrained(base)
    tiny_tokenizer().save_pretrained(base)
    raw = tomllib.loads(CONFIG.read_text("utf-8"))
    raw["study"] |= {"name": NAME, "trials": TRIALS[dry]}
    raw["model"] = {"base": str(base), "precision": "auto"}
    raw["data"] = {"source": str(tiny_rows(base / "rows.jsonl", 400)), "validation": 0.1}
    raw["train"] |= {"steps": STEPS[dry]}
    raw["evaluate"] |= {"every": max(1, STEPS[dry] // 4)}
    raw["resources"] |= {"devices": "cpu" if dry else "auto", "checkpoint_every": STEPS[dry]}
    if dry:
        raw["evaluate"] |= {"samples": 1, "answer_tokens": 16, "rows": 4}
    file = folder / "study.toml"
    file.write_text(tomli_w.dumps(raw), "utf-8")
    return file


def environment(folder: Path) -> dict[str, str]:
    """A home and a cache of its own, and no network."""
    return {
        **os.environ, "TRIMTAB_HOME": str(folder / "home"), "TRIMTAB_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(paths.find_root()), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip


def trimtab(*words: str) -> list[str]:
    """The command line of the program: this interpreter need not have its script."""
    return [sys.executable, "-P", "-m", "tui.entry_point", *words]


def study(folder: Path, record: PartRecord) -> Row:
    """``trimtab run --headless``, watched through the engine's socket until it ends."""
    file, began = study_file(folder), time.monotonic()
    log = folder / "run.log"
    with log.open("wb") as out:
        running = subprocess.Popen(
            trimtab("run", str(file), "--headless"), env=environment(folder), stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
    limit_s = min(LIMIT_S[card.is_dry()], record.left_s - STOP_S)
    looks, picture = asyncio.run(watched(folder, running, began + limit_s))
    late = running.poll() is None
    if late:
        running.kill()
    code, said = running.wait(), log.read_text("utf-8", "replace")[-4000:]
    if "the trainer is not installed" in said:
        raise CaseSkippedError(said)
    row = {
        "exit_code": code, "late": late, "took_s": time.monotonic() - began, "looks": looks,
        "console_svg": picture, "log": said, "engine_log": end_of(paths.engine_log(folder / "home")),
    }  # fmt: skip
    return {**row, "error": f"trimtab run ended with {code}: {said[-300:]}"} if code else row


async def watched(
    folder: Path, running: subprocess.Popen[bytes], until: float
) -> tuple[list[dict[str, Any]], str | None]:
    """Readings of devices and packs while the study runs, and the console's last picture of it."""
    socket = paths.socket_path(folder / "home")
    looks: list[dict[str, Any]] = []
    picture: str | None = None
    while running.poll() is None and time.monotonic() < until:
        await asyncio.sleep(LOOK_S)
        with contextlib.suppress(TrimtabError, OSError):
            state = await engine_client.fetch_state(socket)
            known = state.studies.get(NAME)
            devices, packs = state.machine.devices, known.packs if known else {}
            look = {"devices": msgspec.to_builtins(devices), "packs": msgspec.to_builtins(packs)}
            looks.append({**look, "why_none": state.machine.why_none, "steps": _steps(known)})
            if known is not None and (picture is None or packs):
                picture = await console_picture(socket)
    return looks, picture


def _steps(known: Any) -> dict[str, int]:
    return {str(number): trial.step for number, trial in known.trials.items()} if known else {}


async def console_picture(socket: Path) -> str:
    """What the console shows, as SVG."""
    from tui.app import TrimtabApp

    app = TrimtabApp(socket, NAME)
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(60):
            if app.study is not None:
                break
            await pilot.pause(0.05)
        await pilot.pause(1.0)
        return app.export_screenshot(title="trimtab run configs/demo.toml")


def answered(folder: Path, words: tuple[str, ...]) -> Row:
    """One command's answer."""
    done = subprocess.run(
        trimtab(*words), env=environment(folder), capture_output=True, text=True, cwd=folder,
        timeout=ANSWER_S[card.is_dry()], stdin=subprocess.DEVNULL,
    )  # fmt: skip
    row: Row = {"exit_code": done.returncode, "stderr": done.stderr[-1000:]}
    if done.returncode and words != WAYS["doctor"]:  # the doctor's word on a machine is a finding
        row["error"] = f"trimtab {' '.join(words)} ended with {done.returncode}"
    with contextlib.suppress(ValueError):
        return {**row, "answer": json.loads(done.stdout)}
    return {**row, "answer": done.stdout[-4000:]}


def stop_engine(folder: Path) -> None:
    """End engine and workers."""
    socket = paths.socket_path(folder / "home")
    with contextlib.suppress(TrimtabError, OSError, TimeoutError):
        asyncio.run(
            asyncio.wait_for(engine_client.request(socket, console_api.StopEngine(force=True)), STOP_S)
        )


def end_of(file: Path) -> str:
    """The last lines of a log; empty without one."""
    try:
        return file.read_text("utf-8", "replace")[-2000:]
    except OSError:
        return ""
