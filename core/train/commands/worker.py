"""``python -P -m core.train.commands.worker FOLDER NAME DEVICE``: trains a pack of trials on one device."""

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
from core.contract.spec import study_spec
from core.contract.spec.study_spec import StudySpec
from core.contract.text import log_redaction
from core.contract.text.sanitize import sanitize
from core.contract.wire import worker_api
from core.errors import TrimtabError
from core.memory.base import config_json_lookup, slow_cpu_warning
from core.memory.base.config_json_lookup import DEMO
from core.memory.base.untrainable_precision_check import refuse_untrainable
from core.store import input_change_check
from core.store.input_change_check import InputsChangedError
from core.train.base import smollm2_demo_base
from core.train.commands.engine_link import Link
from core.train.quiet_libraries import load_peft, set_environment, silence_transformers
from core.train.reporter import Reporter

log = logging.getLogger("trimtab.worker")

LAST_WORDS_S = 10.0  # for the engine to acknowledge the last events
PROGRESS_S = 0.2  # between two reports on the same stage


class ProgressReporter:
    """Reports the progress of slow stages to the engine, at most every PROGRESS_S for one stage."""

    def __init__(self, reporter: Reporter, worker: str) -> None:
        self._reporter, self._worker = reporter, worker
        self._stage, self._reported_at = "", 0.0

    def __call__(self, stage: str, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._reported_at < PROGRESS_S:
            return
        self._stage, self._reported_at = stage, now
        self._reporter.emit(e.Preparing, worker=self._worker, stage=stage, done=done, total=total, unit=unit)


class Worker:
    """Loads the base model and the data once, then trains and handles the engine's messages."""

    def __init__(
        self, spec: StudySpec, socket: Path, name: str, device: str, folder: Path | None = None
    ) -> None:
        """``folder`` is the study's: hashes of its inputs are recorded there."""
        self._spec, self._name, self._device, self._folder = spec, name, device, folder
        self._pack: Any = None
        self._signal = ""
        self._link = Link(socket, name, spec.study.name, device, self._list_held)
        self._reporter = Reporter(spec.study.name, self._link.tell)
        self._report_progress = ProgressReporter(self._reporter, name)

    def _list_held(self) -> tuple[int, ...]:
        return self._pack.numbers if self._pack is not None else ()

    def run(self) -> int:
        """Work until a shutdown is requested. Returns the exit code."""
        self._link.start()
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._handle_signal)
        try:
            self._pack = self._load()
        except TrimtabError as error:
            first = error.problems[0]
            keeps = isinstance(error, InputsChangedError)
            return self._fail(first.what, first.where, first.fix, keeps)
        except Exception as error:
            problem = f"{type(error).__name__}: {sanitize(str(error), 400)}"
            return self._fail(problem, "worker", "read the worker's log")
        self._report_progress("", 0, 0, "")
        try:
            self._work()
        except Exception:  # the device failed: the engine gives its trials to another worker
            log.exception("the worker cannot continue")
            self._pack.settle()
            self._link.close(LAST_WORDS_S)
            return 1
        if self._signal:
            self._link.say(worker_api.Leaving(f"its worker received {self._signal}"))
        self._link.close(LAST_WORDS_S)
        return 0

    def _handle_signal(self, number: int, frame: object) -> None:
        """Checkpoint and leave, as on Slurm's pre-emption; the trials are requeued to another worker."""
        self._signal = signal.Signals(number).name
        self._link.ask(worker_api.Shutdown(self._signal))

    def _fail(self, problem: str, location: str, fix: str, keeps: bool = False) -> int:
        log.error("%s: %s", location, problem)
        self._link.say(worker_api.Broken(problem, location, fix, traceback.format_exc(), keeps))
        self._link.close(LAST_WORDS_S)
        return 1

    def _load(self) -> Any:
        refuse_untrainable(self._spec, self._spec.study.name)
        if self._spec.model.base == DEMO:
            smollm2_demo_base.begin()
        self._refuse_changed()
        self._report_progress("loading torch and transformers", 0, 0, "")
        import torch

        from core.train.base import causality_check
        from core.train.base.base_model import load_base
        from core.train.data import vocab_and_length_check
        from core.train.data.dataset import load_data
        from core.train.pack.trial_pack import Pack

        silence_transformers()
        load_peft()
        self._set_threads(torch)
        self._warn_of_size()
        base = load_base(self._spec, torch.device(self._device), self._report_progress)
        if self._spec.model.base != DEMO:  # the demo model is a Llama, which is known to be causal
            causality_check.check(base, f"model.base = {self._spec.model.base!r}")
        data = load_data(self._spec, base.tokenizer, self._report_progress)
        self._refuse_changed()  # in case a file changed while it was read
        if self._folder is not None:
            input_change_check.hold_commits(self._spec, self._folder)
        for note in data.notes:
            self._reporter.note(note)
        for note in (*base.notes, *vocab_and_length_check.check(self._spec, base, data)):
            self._reporter.warn(note)
        gc.freeze()  # creating a pack starts with a collection
        pack = Pack(self._spec, base, data, self._link.tell, self._link.say)
        gc.freeze()  # later collections, at a pause or an end, then scan only the trials
        gc.enable()
        return pack

    def _refuse_changed(self) -> None:
        """Raise InputsChangedError if rows or base model changed: such trials cannot be ranked together."""
        if self._folder is not None:
            input_change_check.refuse_changed(self._spec, self._folder, self._report_progress)

    def _warn_of_size(self) -> None:
        """Warn of a large base model before it is loaded, which alone can take minutes on a CPU."""
        section = self._spec.model
        try:
            parameters = config_json_lookup.read_model(section.base, section.revision, fetch=False).parameters
        except TrimtabError:  # not downloaded yet: its size is unknown
            return
        text = slow_cpu_warning.warn_if_slow(parameters, section.precision, self._device)
        if text:
            self._reporter.warn(text)

    def _set_threads(self, torch: Any) -> None:
        """Use as many threads as the study sets, or as this worker has CPUs."""
        requested, default = self._spec.resources.threads, torch.get_num_threads()
        threads = cpu_count.choose_threads(requested, default, os.environ)
        if threads == default:
            return
        torch.set_num_threads(threads)
        if not requested:  # recorded, as sums with another number of threads may differ in the last bits
            cpus = cpu_count.count_cpus().describe()
            note = f"{self._name} uses {threads} of {default} threads: its share of {cpus}"
            self._reporter.note(note)

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
    set_environment()
    gc.disable()  # until everything is loaded: nearly all new objects stay alive
    log_redaction.begin()
    for noisy in ("httpx", "urllib3", "datasets", "fsspec", "absl"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    spec = study_spec.load(Path(folder) / "study.toml")
    code = Worker(spec, Path(os.environ[worker_api.ENV_SOCKET]), name, device, Path(folder)).run()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # the threads of the link and of CUDA need no shutdown


if __name__ == "__main__":
    main()
