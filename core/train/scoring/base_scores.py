"""The base model on the boards: scored once, kept for all workers and studies that ask the same of it."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.board_score import Score
from core.contract.events import event_types as e
from core.contract.spec.study_spec import Spec
from core.contract.text.sanitize import plain
from core.contract.wire.evidence_answer import Sample
from core.train.base.base_model import Base
from core.train.evaluation import evidence_files
from core.train.evaluation.lm_eval_tasks import Tasks
from core.train.evaluation.metric_probe import Probe
from core.train.evaluation.probe_scoring import Scored, asks, scoring
from core.train.evaluation.study_boards import Boards
from core.train.scoring.file_lease import Share
from core.train.step.step_requests import Asked, Done, Wait
from core.train.trial_reporter import Tell

VERSION = 3  # of how probes are scored: another one makes what was kept of no use


class Kept(msgspec.Struct):
    """One tier of the base's answers on the disk."""

    scores: dict[str, Score]
    values: dict[str, list[float | None]]
    worst: dict[str, list[Sample]]


class Bare:
    """What the base is asked, as snapshots are; kept, and told."""

    def __init__(self, spec: Spec, base: Base, boards: Boards, tell: Tell) -> None:
        self._spec, self._base, self._boards, self._tell = spec, base, boards, tell
        self._folder: Path | None = None  # of its evidence
        self._asked = 0  # answers that it takes, as far as is known
        self._said = False

    def begin(self, trials: Path) -> None:
        """``trials`` is the folder of the trials' folders."""
        self._folder = self._folder or trials / "base"

    def give_up(self, error: Exception) -> None:
        """Trials are scored without it: what is measured against the base has a reason, no value."""
        self.tell_progress(0, over=True)
        self._boards.known = {False: True, True: True}
        what = plain(f"{type(error).__name__}: {error}", 300)
        self._note(f"the base itself could not be scored: {what}")

    def tell_progress(self, answered: int, over: bool) -> None:
        """How far its scoring is. The engine puts the worker's name."""
        if over and not self._said:
            return
        self._said = not over
        stage = "" if over else "scoring the base model in the background"
        self._tell(
            e.Preparing(
                at=time.time(), study=self._spec.study.name, worker="", stage=stage,
                done=answered, total=self._asked, unit="answers",
            )
        )  # fmt: skip

    def _note(self, text: str) -> None:
        study = self._spec.study.name
        self._tell(e.StudyNoted(at=time.time(), study=study, text=text, level="warning"))

    def live(self) -> Generator[Asked, tuple[Done, float], None]:
        """Ask what is not known yet."""
        for writes in (False, True):
            probes = self._boards.tier(writes)
            place = paths.cache() / "scores" / f"{self._digest(probes)}.json"
            work = partial(scoring, probes, None, dict)
            self._take(writes, (yield from self._once(place, asks(probes), work)))
        if self._boards.tasks is not None:
            yield from self._do_tasks(self._boards.tasks)

    def _do_tasks(self, tasks: Tasks) -> Generator[Asked, tuple[Done, float], None]:
        """No trial waits for them: they are at its end, and long."""
        place = paths.cache() / "scores" / f"{self._digest([], tasks.known())}.json"
        work = partial(tasks.score, None, {}, lambda done: None)
        self._take(True, (yield from self._once(place, 0, work)))

    def _once(
        self, place: Path, asked: int, work: Callable[[], Generator[Asked, tuple[Done, float], Scored]]
    ) -> Generator[Asked, tuple[Done, float], Kept]:
        """What is kept in ``place``; else what ``work`` gives, unless another worker does the same now: its
        answers are waited for."""
        share = Share(place)
        try:
            while (kept := _read(place)) is None and not share.mine():
                yield Wait()
            kept = kept or _read(place)  # it may have been done between the two looks
            if kept is None:
                self._asked += asked
                kept = _kept((yield from work()))
                if not all(score.reason.startswith("lm-eval: ") for score in kept.scores.values()):
                    self._write(place, kept)
        finally:
            share.over()
        return kept

    def _take(self, writes: bool, kept: Kept) -> None:
        self._boards.base_values |= {
            name: [math.nan if one is None else one for one in some] for name, some in kept.values.items()
        }
        self._boards.known[writes] = True
        if self._folder is not None:
            evidence_files.write(self._folder, 0, kept.worst, self._note)
        if kept.scores:
            self._tell(e.BaseScored(at=time.time(), study=self._spec.study.name, scores=kept.scores))

    def _write(self, place: Path, kept: Kept) -> None:
        try:
            paths.private(place.parent)
            evidence_files.put(place, msgspec.json.encode(kept))
        except Exception as error:
            self._note(f"the base's scores cannot be kept: {plain(str(error), 200)}")

    def _digest(self, probes: list[Probe], more: Sequence[Any] = ()) -> str:
        """Of the model, and of every token that it is asked."""
        model, section = self._spec.model, self._spec.evaluate
        folder = Path(self._base.name)
        weights = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
        stamps = [(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in weights]
        known = [
            VERSION, self._base.name, model.revision, self._base.precision, self._base.device.type, stamps,
            section.classifier, *more,
        ]  # fmt: skip
        sums = hashlib.sha256(json.dumps(known).encode())
        for probe in probes:
            sums.update(json.dumps([probe.metrics, probe.tokens, probe.turn, probe.why_none]).encode())
            for several in probe.asks:
                for ask in several:
                    row = [ask.row.ids, ask.row.labels, ask.row.parts] if ask.row is not None else []
                    sums.update(json.dumps([row, list(ask.prompt), ask.seed]).encode())
        return sums.hexdigest()[:32]


def _kept(scored: Scored) -> Kept:
    values = {
        name: [one if math.isfinite(one) else None for one in some] for name, some in scored.values.items()
    }
    return Kept(scored.scores, values, scored.worst)


def _read(place: Path) -> Kept | None:
    """What was kept; None where nothing was, or it is not whole."""
    try:
        with open(place, "rb", opener=paths.no_link) as file:
            return msgspec.json.decode(file.read(), type=Kept)
    except (OSError, ValueError):
        return None
