"""``python -P -m core.daemon``: the engine's process. ``core.daemon.server.engine_launch`` starts it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

from core import paths
from core.contract.text import log_redaction
from core.daemon.server.engine import Engine
from core.daemon.study.study_runner import WORKER_MODULE
from core.errors import TrimtabError


def main() -> int:
    """Run one engine for the home folder; its standard error is the log."""
    parser = argparse.ArgumentParser(prog="core.daemon")
    parser.add_argument("--worker-module", default=WORKER_MODULE, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may vanish
    log_redaction.begin()
    try:
        asyncio.run(_run(arguments.worker_module))
    except TrimtabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


async def _run(worker_module: str) -> None:
    await Engine(paths.make_private(paths.home()), worker_module=worker_module).run()


if __name__ == "__main__":
    sys.exit(main())
