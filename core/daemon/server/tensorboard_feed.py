"""Write TensorBoard files from the events, in a separate thread, so that a slow disk delays nothing."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.contract.events import event_types as e
from core.contract.state import engine_state as s
from core.daemon.event_committer import EventCommitter
from core.errors import TrimtabError
from core.store import journal_file, run_folder
from core.store.tensorboard_files import TensorBoardFiles, add_interval_ends

log = logging.getLogger("trimtab.boards")

FLUSH_S = 2.0
UNSURE_S = 60.0  # what ended longer ago was written by the engine of that time
READINGS = (e.TrialReported, e.TrialEvaluated, e.TrialScored)
ENDED = (e.TrialCompleted, e.TrialPruned, e.TrialFailed, e.TrialInfeasible, e.ScoringEnded)


class BoardFeed:
    """One TensorBoard writer per study, opened with its first event."""

    def __init__(self, committer: EventCommitter) -> None:
        self._committer = committer
        self._thread = ThreadPoolExecutor(1, "tensorboard")
        self._boards: dict[str, TensorBoardFiles] = {}
        committer.watchers.append(self._watch)

    def _watch(self, event: e.Event, state: s.State) -> None:
        if isinstance(event, e.StudyCreated):  # an earlier study of this name may have had another folder
            self._thread.submit(self._forget, event.study)
        if isinstance(event, (e.TrialQueued, *READINGS, *ENDED)):
            study = state.studies[event.study]
            self._thread.submit(self._write, event, study)

    def _forget(self, study: str) -> None:
        before = self._boards.pop(study, None)
        if before is not None:
            try:
                before.close()
            except OSError as error:
                log.error("TensorBoard files of %s: %s", study, error)

    def _write(self, event: e.TrialEvent, study: s.Study) -> None:
        try:
            boards = self._boards.get(study.name)
            if boards is None:
                boards = self._boards[study.name] = self._open(study, event)
            trial = study.trials[event.trial]
            match event:
                case e.TrialQueued():
                    boards.begin(event.trial, event.knobs, event.at)
                case e.TrialReported() | e.TrialEvaluated() | e.TrialScored():
                    boards.write_scalars(event.trial, event.step, _list_readings(event), event.at)
                    if isinstance(event, e.TrialScored) and event.last:
                        boards.end(event.trial, trial.state, trial.latest, event.at)
                case e.TrialCompleted() if event.scoring >= 0:
                    pass  # its last scores are still to be written
                case _:
                    boards.end(event.trial, trial.state, trial.latest, event.at)
        except (OSError, TrimtabError) as error:
            log.error("TensorBoard files of %s: %s; the journal has all of it", study.name, error)
        except Exception:
            log.exception("TensorBoard files of %s", study.name)

    def _open(self, study: s.Study, first: e.TrialEvent) -> TensorBoardFiles:
        """Open the study's writer; after a restart, write from the journal what the last engine did not
        flush."""
        boards = TensorBoardFiles(
            run_folder.board_folder(Path(study.folder)), [metric for metric, _ in study.objectives]
        )
        unsure = {
            trial.number: trial
            for trial in study.trials.values()
            if trial.number != first.trial or not isinstance(first, e.TrialQueued)
            if trial.ended_at is None or trial.ended_at > first.at - UNSURE_S
        }
        if unsure:
            self._catch_up(boards, study, unsure, first)
        return boards

    def _catch_up(
        self, boards: TensorBoardFiles, study: s.Study, unsure: dict[int, s.Trial], first: e.TrialEvent
    ) -> None:
        open_ends = {
            number
            for number, trial in unsure.items()
            if not boards.take_up(number, trial.knobs, trial.queued_at)
        }
        for event in journal_file.read(run_folder.journal_path(Path(study.folder))):
            if isinstance(event, READINGS) and event.trial in open_ends:
                boards.write_scalars(event.trial, event.step, _list_readings(event), event.at)
        for number in open_ends:
            trial = unsure[number]
            if trial.state in s.ENDED and not (number == first.trial and isinstance(first, ENDED)):
                boards.end(number, trial.state, trial.latest, trial.ended_at or study.created_at)

    async def run(self) -> None:
        """Flush at intervals, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            self._thread.submit(self._flush)

    def _flush(self) -> None:
        for name, boards in self._boards.items():
            try:
                boards.flush()
            except OSError as error:
                log.error("TensorBoard files of %s: %s", name, error)

    def close(self) -> None:
        """Write what is buffered."""
        for boards in self._boards.values():
            self._thread.submit(boards.close)
        self._thread.shutdown()


def _list_readings(event: e.TrialReported | e.TrialEvaluated | e.TrialScored) -> dict[str, float]:
    return add_interval_ends(event.scores) if isinstance(event, e.TrialScored) else event.metrics
