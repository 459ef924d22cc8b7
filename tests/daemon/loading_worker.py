"""A worker that reads nothing before the file ``loaded`` lies in the folder of its study: its base loads."""

import sys
import time
from pathlib import Path

from tests.daemon.scripted_worker import STEP_S, Scripted

if __name__ == "__main__":
    worker = Scripted(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    while not (worker.folder / "loaded").exists():
        time.sleep(STEP_S)
    worker.run()
