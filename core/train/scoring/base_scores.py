"""Scores the base model on the boards once, and caches the scores for all workers and studies with the same
questions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import plain
from core.contract.wire.evidence_answer import Sample
from core.train.base.base_model import Base
from core.train.evaluation import evidence_files
from core.train.evaluation.lm_eval_tasks import Tasks
from core.train.evaluation.metric_probe import Probe
from core.train.evaluation.probe_scoring import Scored, asks, score_probes
from core.train.evaluation.study_boards import Boards
from core.train.reporter import Reporter
from core.train.scoring.file_lease import FileLease
from core.train.step.compute_requests import ScoringRequest, TimedResult, Wait

VERSION = 3  # of the scoring code; scores cached by another version are ignored


class CachedScores(msgspec.Struct):
    """Cached scores of the base for one kind of probe, by likelihood or by generated text."""

    scores: dict[str, Score]
    values: dict[str, list[float | None]]
    worst: dict[str, list[Sample]]


class BaseScoring:
    """Scores the base like a snapshot, caches the scores and reports them."""

    def __init__(self, spec: StudySpec, base: Base, boards: Boards, reporter: Reporter) -> None:
        self._spec, self._base, self._boards, self._reporter = spec, base, boards, reporter
        self._folder: Path | None = None  # for its evidence
        self._asked = 0  # answers needed, as far as known
        self._reported = False

    def begin(self, trials: Path) -> None:
        """Set where the evidence goes. ``trials`` is the folder that holds the trials' folders."""
        self._folder = self._folder or trials / "base"

    def give_up(self, error: Exception) -> None:
        """Let trials be scored without the base: metrics relative to it get a reason instead of a value."""
        self.report_progress(0, finished=True)
        self._boards.known = {False: True, True: True}
        what = plain(f"{type(error).__name__}: {error}", 300)
        self._reporter.warn(f"the base model could not be scored: {what}")

    def report_progress(self, answered: int, finished: bool) -> None:
        """Report how many answers are done."""
        if finished and not self._reported:
            return
        self._reported = not finished
        stage = "" if finished else "scoring the base model in the background"
        self._reporter.report_answers(stage, answered, self._asked)

    def requests(self) -> Generator[ScoringRequest, TimedResult, None]:
        """Yield the requests for everything that is not cached yet."""
        for writes in (False, True):
            probes = self._boards.tier(writes)
            place = paths.cache() / "scores" / f"{self._digest(probes)}.json"
            work = partial(score_probes, probes, None, dict)
            self._take(writes, (yield from self._cached_or(place, asks(probes), work)))
        if self._boards.tasks is not None:
            yield from self._do_tasks(self._boards.tasks)

    def _do_tasks(self, tasks: Tasks) -> Generator[ScoringRequest, TimedResult, None]:
        """Score the tasks of evaluate.tasks. No trial waits for them: they run at a trial's end and take
        long."""
        place = paths.cache() / "scores" / f"{self._digest([], tasks.list_inputs())}.json"
        work = partial(tasks.score, None, {}, lambda done: None)
        self._take(True, (yield from self._cached_or(place, 0, work)))

    def _cached_or(
        self, place: Path, asked: int, work: Callable[[], Generator[ScoringRequest, TimedResult, Scored]]
    ) -> Generator[ScoringRequest, TimedResult, CachedScores]:
        """The cached scores in ``place``, else those that ``work`` computes; if another worker computes them
        now, wait for its result."""
        lease = FileLease(place)
        try:
            while (kept := _read(place)) is None and not lease.acquire():
                yield Wait()
            kept = kept or _read(place)  # another worker may have finished in between
            if kept is None:
                self._asked += asked
                kept = _cacheable((yield from work()))
                if not all(score.reason.startswith("lm-eval: ") for score in kept.scores.values()):
                    self._write(place, kept)
        finally:
            lease.release()
        return kept

    def _take(self, writes: bool, kept: CachedScores) -> None:
        self._boards.base_values |= {
            name: [math.nan if value is None else value for value in values]
            for name, values in kept.values.items()
        }
        self._boards.known[writes] = True
        if self._folder is not None:
            evidence_files.write(self._folder, 0, kept.worst, self._reporter.warn)
        if kept.scores:
            self._reporter.emit(e.BaseScored, scores=kept.scores)

    def _write(self, place: Path, kept: CachedScores) -> None:
        try:
            paths.private(place.parent)
            evidence_files.put(place, msgspec.json.encode(kept))
        except Exception as error:
            self._reporter.warn(f"the base's scores could not be cached: {plain(str(error), 200)}")

    def _digest(self, probes: list[Probe], more: Sequence[Any] = ()) -> str:
        """Identify the scores by the model and by every token that it is asked."""
        model, section = self._spec.model, self._spec.evaluate
        folder = Path(self._base.name)
        weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in weights]
        known = [
            VERSION, self._base.name, model.revision, self._base.precision, self._base.device.type, stamps,
            section.classifier, *more,
        ]  # fmt: skip
        sums = hashlib.sha256(json.dumps(known).encode())
        for probe in probes:
            sums.update(json.dumps([probe.metrics, probe.tokens, probe.turn, probe.why_none]).encode())
            for sample in probe.asks:
                for ask in sample:
                    row = [ask.row.ids, ask.row.labels, ask.row.parts] if ask.row is not None else []
                    sums.update(json.dumps([row, list(ask.prompt), ask.seed]).encode())
        return sums.hexdigest()[:32]


def _cacheable(scored: Scored) -> CachedScores:
    values = {
        name: [value if math.isfinite(value) else None for value in values]
        for name, values in scored.values.items()
    }
    return CachedScores(scored.scores, values, scored.worst)


def _read(place: Path) -> CachedScores | None:
    """The cached scores; None if there are none or the file is damaged."""
    try:
        with open(place, "rb", opener=paths.no_link) as file:
            return msgspec.json.decode(file.read(), type=CachedScores)
    except (OSError, ValueError):
        return None
