"""``python -P -m core.train.commands.spare_process``: a spare worker, which imports its libraries early.

The engine (``core.daemon.workers.spare_worker``) writes the task as JSON to standard input. When it closes
standard input without a task, or ends, this process ends.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from core import paths


def load_libraries() -> None:
    """Import what ``core.train.commands.worker`` imports for a study on a causal base model."""
    from core.train import quiet_libraries

    quiet_libraries.set_environment()
    import torch  # noqa: F401
    import transformers.models.auto.modeling_auto
    import transformers.models.auto.tokenization_auto
    import transformers.models.llama.modeling_llama  # noqa: F401

    quiet_libraries.load_peft()
    from core.train.commands import worker  # noqa: F401


def switch_to(task: dict[str, Any]) -> None:
    """Switch to the task's environment, folder and log file."""
    os.environ.clear()
    os.environ.update(task["environment"])
    with open(task["output"], "ab", opener=paths.open_without_link) as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    os.chdir(task["folder"])
    sys.argv[1:] = task["arguments"]


def main() -> int:
    """Load the libraries, wait for a task, and run it as a worker."""
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    began_at = time.monotonic()
    load_libraries()
    print(
        f"trimtab.spare: libraries loaded in {time.monotonic() - began_at:.1f} s", file=sys.stderr, flush=True
    )
    raw = sys.stdin.buffer.read()
    if not raw:
        return 0
    switch_to(json.loads(raw))
    from core.train.commands import worker

    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
