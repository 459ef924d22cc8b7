"""A worker that says its token wherever it can."""

import logging
import os
import sys
import time
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.spec.spec_file import load
from core.contract.text import log_redaction
from core.contract.wire import worker_api
from core.train.commands.engine_link import Link


def main() -> None:
    """Join, print, log, tell, and fail."""
    log_redaction.begin()
    folder, name, device = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    token, study = os.environ["HF_TOKEN"], load(folder / "study.toml").study.name
    link = Link(Path(os.environ[worker_api.ENV_SOCKET]), name, study, device, lambda: ())
    link.start()
    print("using", token)
    logging.getLogger("hub").warning("401 for %s", token)
    trials: list[int] = []
    while not trials:  # a worker may be started before there is a trial for it
        trials = [message.trial for message in link.take(wait=True) if isinstance(message, worker_api.Assign)]
    trial = trials[0]
    common = {"at": time.time(), "study": study}
    link.tell(e.StudyNoted(**common, text=f"notes {token}"))
    link.tell(e.Preparing(**common, worker=name, stage=token))
    link.tell(e.TrialRunning(**common, trial=trial, step=0, total_steps=9))
    link.tell(
        e.TrialReported(**common, trial=trial, step=1, elapsed_s=1.0, metrics={token: 1.0}, notes=(token,))
    )
    link.tell(e.TrialFailed(**common, trial=trial, error=f"401 {token}", traceback=f"Traceback: {token}"))
    link.close(10.0)
    raise OSError(f"the end: {token}")


if __name__ == "__main__":
    main()
