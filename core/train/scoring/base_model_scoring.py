"""Scores the base model on the boards, and caches its answers for all workers and studies: each question is
asked once per base."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.events import event_types as e
from core.contract.metric_score import Score
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.evidence_answer import Sample
from core.train.base.base_model import Base
from core.train.evaluation import evidence_files
from core.train.evaluation.board_probes import Boards
from core.train.evaluation.lm_eval_scoring import Tasks
from core.train.evaluation.probe_runner import FIRST, ProbeRun, Scored
from core.train.probes.metric_probe import ITSELF
from core.train.reporter import Reporter
from core.train.scoring.base_answer_cache import BaseAnswers
from core.train.scoring.file_lease import FileLease
from core.train.step.compute_requests import ScoringRequest, TimedResult, Wait

VERSION = 4  # of the cached scores; those of another version are ignored
SAVE_S = 20.0  # between two writes of the cache


class CachedScores(msgspec.Struct):
    """Cached scores of the base for the tasks of lm-evaluation-harness."""

    scores: dict[str, Score]
    values: dict[str, list[float | None]]
    worst: dict[str, list[Sample]]


class BaseScoring:
    """Scores the base like a snapshot, caches the scores and reports them."""

    def __init__(self, spec: StudySpec, base: Base, boards: Boards, reporter: Reporter) -> None:
        self._spec, self._base, self._boards, self._reporter = spec, base, boards, reporter
        self._folder: Path | None = None  # for its evidence
        self._asked = 0  # answers needed, as far as known
        self._reported: int | None = None  # answers of the latest report, while there is something to do
        self._cache = BaseAnswers(paths.cache() / "answers" / f"{self._digest()}.json")

    def begin(self, trials: Path) -> None:
        """Set where the evidence goes. ``trials`` is the folder that holds the trials' folders."""
        self._folder = self._folder or trials / "base"

    def give_up(self, error: Exception) -> None:
        """Let trials be scored without the base: metrics relative to it get a reason instead of a value."""
        self.report_progress(0, finished=True)
        self._boards.base_is_over = True
        problem = sanitize(f"{type(error).__name__}: {error}", 300)
        self._reporter.warn(f"the base model could not be scored: {problem}")

    def report_progress(self, answered: int, finished: bool) -> None:
        """Report how many answers are done, unless that was reported."""
        now = None if finished else answered
        if now == self._reported:
            return
        self._reported = now
        stage = "" if finished else "scoring the base model in the background"
        self._reporter.report_answers(stage, answered, self._asked)

    def requests(self) -> Generator[ScoringRequest, TimedResult, None]:
        """Yield the requests for every answer that is not cached yet.

        The first samples of all probes come first, and all of a probe that needs the base as a whole; those
        by likelihood before texts. A trial's first scores wait for no more. What is known is published turn
        by turn.
        """
        lease = FileLease(self._cache.place)
        runs = [ProbeRun(self._boards.tier(writes), None, self._cache.recall) for writes in (False, True)]
        try:
            while not lease.acquire():  # another worker asks the base
                if self._cache.read():
                    for run in runs:
                        yield from self._catch_up(run)
                yield Wait()
            self._cache.read()
            self._asked = self._cache.count_unknown(self._boards.probes)
            for run in runs:
                yield from self._turn(run, FIRST)
                self._publish(run, report=True)
            for run in runs:
                while (yield from self._turn(run)):
                    self._publish(run, report=False)
                self._publish(run, report=True)
        finally:
            self._save()
            lease.release()
        self._boards.base_is_over = True
        if self._boards.tasks is not None:
            yield from self._do_tasks(self._boards.tasks)

    def _turn(self, run: ProbeRun, most: int | None = None) -> Generator[ScoringRequest, TimedResult, bool]:
        has_more = yield from run.turn(most)
        for probe, answers in zip(run.probes, run.answers, strict=True):
            self._cache.keep(probe, answers)
        if time.monotonic() - self._cache.saved_at > SAVE_S:
            self._save()
        return has_more

    def _catch_up(self, run: ProbeRun) -> Generator[ScoringRequest, TimedResult, None]:
        """Publish the samples that another worker has cached meanwhile."""
        known_run = ProbeRun([self._cache.known(probe) for probe in run.probes], None, self._cache.recall)
        while (yield from known_run.turn()):
            pass
        self._publish(known_run, report=True)

    def _publish(self, run: ProbeRun, report: bool) -> None:
        """Let trials be compared with the answers so far; ``report``: to the user, too."""
        scored = run.score(ITSELF)
        self._boards.base_values |= scored.values
        for metrics, count in run.needs().items():
            self._boards.base_samples[metrics] = max(count, self._boards.base_samples.get(metrics, 0))
        if report:
            self._report(scored.scores, scored.worst)

    def _report(self, scores: Mapping[str, Score], worst: Mapping[str, Sequence[Sample]]) -> None:
        if self._folder is not None:
            evidence_files.write(self._folder, 0, worst, self._reporter.warn)
        if scores:
            self._reporter.emit(e.BaseScored, scores=dict(scores))

    def _do_tasks(self, tasks: Tasks) -> Generator[ScoringRequest, TimedResult, None]:
        """Score the tasks of evaluate.tasks. No trial waits for them: they run at a trial's end and take
        long."""
        place = paths.cache() / "scores" / f"{self._digest(tasks.list_inputs())}.json"
        work = partial(tasks.score, None, {}, lambda done: None)
        cached_scores = yield from self._read_or_compute(place, work)
        self._boards.base_values |= {
            name: [math.nan if value is None else value for value in values]
            for name, values in cached_scores.values.items()
        }
        self._report(cached_scores.scores, cached_scores.worst)

    def _read_or_compute(
        self, place: Path, work: Callable[[], Generator[ScoringRequest, TimedResult, Scored]]
    ) -> Generator[ScoringRequest, TimedResult, CachedScores]:
        """The cached scores in ``place``, else those that ``work`` computes; if another worker computes them
        now, wait for its result."""
        lease = FileLease(place)
        try:
            while (cached_scores := _read(place)) is None and not lease.acquire():
                yield Wait()
            cached_scores = cached_scores or _read(place)  # another worker may have finished in between
            if cached_scores is None:
                cached_scores = _select_cacheable((yield from work()))
                if not all(score.reason.startswith("lm-eval: ") for score in cached_scores.scores.values()):
                    self._write(place, cached_scores)
        finally:
            lease.release()
        return cached_scores

    def _save(self) -> None:
        try:
            self._cache.write()
        except Exception as error:
            self._reporter.warn(f"the base's answers could not be cached: {sanitize(str(error), 200)}")

    def _write(self, place: Path, cached_scores: CachedScores) -> None:
        try:
            paths.make_private(place.parent)
            evidence_files.put(place, msgspec.json.encode(cached_scores))
        except Exception as error:
            self._reporter.warn(f"the base's scores could not be cached: {sanitize(str(error), 200)}")

    def _digest(self, extra_parts: Sequence[Any] = ()) -> str:
        """Identify the model, and ``extra_parts`` that its answers depend on."""
        model = self._spec.model
        folder = Path(self._base.name)
        weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in weights]
        device_kind = self._base.device.type
        parts = [
            VERSION,
            self._base.name,
            model.revision,
            self._base.precision,
            device_kind,
            stamps,
            *(["tf32"] if model.tf32 and device_kind == "cuda" else []),
            *extra_parts,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _select_cacheable(scored: Scored) -> CachedScores:
    values = {
        name: [value if math.isfinite(value) else None for value in values]
        for name, values in scored.values.items()
    }
    return CachedScores(scored.scores, values, scored.worst)


def _read(place: Path) -> CachedScores | None:
    """The cached scores; None if there are none or the file is damaged."""
    try:
        with open(place, "rb", opener=paths.open_without_link) as file:
            return msgspec.json.decode(file.read(), type=CachedScores)
    except (OSError, ValueError):
        return None
