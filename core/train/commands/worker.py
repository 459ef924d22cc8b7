"""``python -P -m core.train.commands.worker FOLDER NAME DEVICE``: trains a pack of trials on one base."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from core import cpu_count
from core.contract.events import event_types as e
from core.contract.spec.spec_file import load
from core.contract.spec.study_spec import Spec
from core.contract.text import log_redaction
from core.contract.text.sanitize import plain
from core.contract.wire import worker_api
from core.errors import TrimtabError
from core.memory.base import hf_config, large_base
from core.memory.base.hf_config import DEMO
from core.store import input_hashes
from core.store.input_hashes import InputsChangedError
from core.train.base import smollm2
from core.train.commands.engine_link import Link
from core.train.quiet_libraries import load_peft, quieten, settle

log = logging.getLogger("trimtab.worker")

LAST_WORDS_S = 10.0  # for the engine to acknowledge what was told
PROGRESS_S = 0.2  # between two words on the same stage


class Waiting:
    """Tells the engine of long waits, not more often than somebody can read."""

    def __init__(self, link: Link, study: str, worker: str) -> None:
        self._link, self._study, self._worker = link, study, worker
        self._stage, self._told_at = "", 0.0

    def __call__(self, stage: str, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._told_at < PROGRESS_S:
            return
        self._stage, self._told_at = stage, now
        self._link.tell(
            e.Preparing(
                at=time.time(), study=self._study, worker=self._worker,
                stage=stage, done=done, total=total, unit=unit,
            )
        )  # fmt: skip


class Worker:
    """Loads once, then lives by its mailbox."""

    def __init__(self, spec: Spec, socket: Path, name: str, device: str, folder: Path | None = None) -> None:
        """``folder`` is the study's: what it began with is noted there."""
        self._spec, self._name, self._device, self._folder = spec, name, device, folder
        self._pack: Any = None
        self._signal = ""
        self._link = Link(socket, name, spec.study.name, device, self._holds)
        self._waiting = Waiting(self._link, spec.study.name, name)

    def _holds(self) -> tuple[int, ...]:
        return self._pack.numbers if self._pack is not None else ()

    def run(self) -> int:
        """Work until told to leave. Returns the exit code."""
        self._link.start()
        for one in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(one, self._signalled)
        try:
            self._pack = self._load()
        except TrimtabError as error:
            first = error.problems[0]
            keeps = isinstance(error, InputsChangedError)
            return self._broken(first.what, first.where, first.fix, keeps)
        except Exception as error:
            return self._broken(f"{type(error).__name__}: {plain(str(error), 400)}", "worker", "see its log")
        self._waiting("", 0, 0, "")
        try:
            self._work()
        except Exception:  # the device failed: the engine gives its trials to another worker
            log.exception("the worker cannot go on")
            self._pack.settle()
            self._link.close(LAST_WORDS_S)
            return 1
        if self._signal:
            self._link.say(worker_api.Leaving(f"its worker got {self._signal}"))
        self._link.close(LAST_WORDS_S)
        return 0

    def _signalled(self, number: int, frame: object) -> None:
        """Slurm's pre-emption, or somebody who wants the device: the trials are kept, and go on elsewhere."""
        self._signal = signal.Signals(number).name
        self._link.ask(worker_api.Shutdown(self._signal))

    def _broken(self, what: str, where: str, fix: str, keeps: bool = False) -> int:
        log.error("%s: %s", where, what)
        self._link.say(worker_api.Broken(what, where, fix, traceback.format_exc(), keeps))
        self._link.close(LAST_WORDS_S)
        return 1

    def _load(self) -> Any:
        if self._spec.model.base == DEMO:
            smollm2.begin()
        self._refuse_changed()
        self._waiting("loading torch and transformers", 0, 0, "")
        import torch

        from core.train.base import causality_check
        from core.train.base.base_model import load_base
        from core.train.data import capacity_check
        from core.train.data.dataset import load_data
        from core.train.pack.trial_pack import Pack

        quieten()
        load_peft()
        self._share(torch)
        self._warn_of_size()
        base = load_base(self._spec, torch.device(self._device), self._waiting)
        if self._spec.model.base != DEMO:  # a Llama, which is known to be causal
            causality_check.check(base, f"model.base = {self._spec.model.base!r}")
        data = load_data(self._spec, base.tokenizer, self._waiting)
        self._refuse_changed()  # while it was read
        if self._folder is not None:
            input_hashes.hold_commits(self._spec, self._folder)
        for note in data.notes:
            self._link.tell(e.StudyNoted(at=time.time(), study=self._spec.study.name, text=note))
        for note in (*base.notes, *capacity_check.check(self._spec, base, data)):
            study = self._spec.study.name
            self._link.tell(e.StudyNoted(at=time.time(), study=study, text=note, level="warning"))
        gc.freeze()  # a pack begins with a collection
        pack = Pack(self._spec, base, data, self._link.tell)
        gc.freeze()  # the libraries stay: a collection at a pause or an end walks over the trials alone
        gc.enable()
        return pack

    def _refuse_changed(self) -> None:
        """Trials on other rows or another base are not ranked together. Raises InputsChangedError."""
        if self._folder is not None:
            input_hashes.refuse_changed(self._spec, self._folder, self._waiting)

    def _warn_of_size(self) -> None:
        """Before the base is loaded, which alone takes minutes where it is too large for a CPU."""
        section = self._spec.model
        try:
            parameters = hf_config.model(section.base, section.revision, fetch=False).parameters
        except TrimtabError:  # it is fetched as it is loaded
            return
        text = large_base.warning(parameters, section.precision, self._device)
        if text:
            study = self._spec.study.name
            self._link.tell(e.StudyNoted(at=time.time(), study=study, text=text, level="warning"))

    def _share(self, torch: Any) -> None:
        """Take as many threads as the study asks for, or as this worker has CPUs."""
        asked, default = self._spec.resources.threads, torch.get_num_threads()
        threads = cpu_count.threads(asked, default, os.environ)
        if threads == default:
            return
        torch.set_num_threads(threads)
        if not asked:  # sums of another number of threads may differ in the last bits: it is on record
            cpus = cpu_count.cpus().words()
            note = f"{self._name} trains with {threads} of {default} threads: its share of {cpus}"
            self._link.tell(e.StudyNoted(at=time.time(), study=self._spec.study.name, text=note))

    def _work(self) -> None:
        while True:
            for message in self._link.take(wait=not self._pack.busy):
                if isinstance(message, worker_api.Shutdown):
                    self._pack.checkpoint_all()
                    return
                self._pack.do(message)
            self._pack.turn()


def main() -> int:
    """Run the worker that the command line and the environment describe."""
    folder, name, device = sys.argv[1:4]
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle()
    gc.disable()  # until all is loaded: nearly all that is made stays
    log_redaction.begin()
    for noisy in ("httpx", "urllib3", "datasets", "fsspec", "absl"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    spec = load(Path(folder) / "study.toml")
    code = Worker(spec, Path(os.environ[worker_api.ENV_SOCKET]), name, device, Path(folder)).run()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # the link's thread and CUDA's have nothing more to say


if __name__ == "__main__":
    main()
