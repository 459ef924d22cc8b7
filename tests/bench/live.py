"""A real engine in an empty home, with empty caches and maybe a busy machine; and what it tells a console."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.contract.state import event_fold
from core.contract.wire import console_api, engine_client
from core.train.quiet_libraries import set_environment, silence_transformers
from tests.daemon.conftest import Engine
from tests.tiny import tiny_base

TINY = "tiny"  # as --base: made on the spot
BUSY = "while True: pass"
CACHES = {  # what would be warm, by the folder that takes its place
    "TRIMTAB_CACHE": "cache/trimtab",
    "XDG_CACHE_HOME": "cache",
    "XDG_DATA_HOME": "data",
    "HF_HOME": "cache/huggingface",
    "TORCH_HOME": "cache/torch",
    "TORCHINDUCTOR_CACHE_DIR": "cache/inductor",
    "TRITON_CACHE_DIR": "cache/triton",
}
ELSEWHERE = ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_MODULES_CACHE")


@contextlib.contextmanager
def empty_home(keep: bool = False, load: int = 0) -> Iterator[Engine]:
    """An engine that is not started yet, in a home of its own beside ``load`` busy processes. However it is
    left, engine, workers and busy processes are ended, and the home is removed unless ``keep``."""
    for one in (signal.SIGINT, signal.SIGTERM):  # in the background of a script Ctrl-C would be ignored
        signal.signal(one, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="tt-"))
    _point_at(folder)
    engine = Engine(folder / "home", worker="core.train.commands.worker")
    busy: list[subprocess.Popen] = []
    try:
        for _ in range(load):
            quiet = subprocess.DEVNULL
            busy.append(subprocess.Popen([sys.executable, "-c", BUSY], stdout=quiet, stderr=quiet))
        yield engine
    finally:
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)  # an impatient second Ctrl-C would leave processes behind
        for process in busy:
            process.kill()
            process.wait()
        _end(engine)
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _point_at(folder: Path) -> None:
    """This process and those that it starts keep everything in ``folder``, and ask no network."""
    for name, place in CACHES.items():
        os.environ[name] = str(folder / place)
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    os.environ["TRIMTAB_HOME"] = str(folder / "home")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _end(engine: Engine) -> None:
    """The engine, its workers, and whatever they started."""
    known: list[psutil.Process] = []
    if engine.process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            known = psutil.Process(engine.process.pid).children(recursive=True)
    engine.end()
    for one in known:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def base_of(engine: Engine, given: str) -> str:
    """What ``--base`` says, as a spec takes it."""
    if given != TINY:
        return given if ":" in given or not Path(given).exists() else str(Path(given).absolute())
    set_environment()  # no bars between the figures
    silence_transformers()
    return str(tiny_base(engine.home.parent / "tiny"))


async def told(connection: engine_client.Connection) -> AsyncIterator[tuple[float, s.State, e.Event | None]]:
    """When something came (``time.monotonic``), the state after it, and the event; None for a snapshot."""
    state = s.State()
    async for message in connection.receive_messages():
        now = time.monotonic()
        if isinstance(message, console_api.Snapshot):
            state = message.state
            yield now, state, None
        elif isinstance(message, console_api.Changed):
            for event in message.events:
                state = event_fold.apply(state, event)
                yield now, state, event
