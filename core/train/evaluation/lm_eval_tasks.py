"""Tasks of lm-evaluation-harness, asked of a trial at its end and of the base once."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.contract.board_score import Score
from core.contract.spec.metric_table import TASK
from core.contract.spec.study_spec import EvaluateSection
from core.contract.text.sanitize import plain
from core.contract.wire.evidence_answer import Sample
from core.errors import TrimtabError
from core.evaluate.statistics.confidence_intervals import mean
from core.train.adapters.lora_factors import Factors
from core.train.evaluation import lm_eval_bridge
from core.train.evaluation.eval_inputs import Asking
from core.train.evaluation.metric_probe import Found
from core.train.evaluation.probe_scoring import Scored, changed
from core.train.step.step_requests import Asked, Done

FIRST = ("acc_norm", "acc", "exact_match")  # which of a task's metrics stands for it, then its own first one
NORMAL = 1.96  # deviations on each side of an interval of 95 %


class Tasks:
    """Loads all tasks at once: raises TrimtabError for one that is not known, or whose data is not there."""

    def __init__(self, section: EvaluateSection, asking: Asking, tokenizer: Any) -> None:
        self._section, self._asking, self._tokenizer = section, asking, tokenizer
        try:
            from lm_eval.tasks import TaskManager

            self._manager = TaskManager(include_path=section.tasks_path)
            unknown = [one for one in section.tasks if one not in self._manager.all_tasks]
            if not unknown:
                self._manager.load(list(section.tasks))
        except Exception as error:  # no such extra, a YAML file of no use, a data set that is not to be had
            raise self._fault(f"cannot be loaded: {type(error).__name__}: {error}") from error
        if unknown:
            raise self._fault(f"are not all known: {unknown[0]!r} is no task")

    def _fault(self, what: str) -> TrimtabError:
        where = f"evaluate.tasks = {plain(repr(self._section.tasks), 120)}"
        fix = "lm-eval ls tasks lists them; give the folder of your own in evaluate.tasks_path"
        return TrimtabError.of(f"the tasks {plain(what, 400)}", where, fix)

    @property
    def metrics(self) -> list[str]:
        """What they fill."""
        return [f"{TASK}{name}" for name in self._section.tasks]

    def known(self) -> list[Any]:
        """What a base's kept answers depend on."""
        folder = self._section.tasks_path
        files = sorted(one for one in Path(folder).rglob("*") if one.is_file()) if folder else []
        stamps = [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in files]
        return [version("lm_eval"), sorted(self._section.tasks), self._section.tasks_rows, stamps]

    def score(
        self, mine: Factors | None, base: Mapping[str, Sequence[float]], count: lm_eval_bridge.Count
    ) -> Generator[Asked, tuple[Done, float], Scored]:
        """Ask everything of a trial, or of the base. What went wrong is the reason of each task."""
        scored = Scored()
        try:
            results = yield from lm_eval_bridge.evaluated(self._evaluate, mine, count)
        except lm_eval_bridge.Failed as failed:
            why = plain(f"lm-eval: {type(failed.error).__name__}: {failed.error}", 300)
            scored.scores = {metric: Score.unsaid(why) for metric in self.metrics}
            return scored
        for name in self._section.tasks:
            found = task(name, results)
            scored.scores |= found.scores
            scored.values |= found.values
            scored.worst |= found.worst
        for metric, values in scored.values.items():
            change = changed(metric, values, base.get(metric, ()))
            if change is not None:
                scored.changes[metric] = change
        return scored

    def _evaluate(self, line: lm_eval_bridge.Line) -> dict[str, Any]:
        """The seeds of others are left as they are: trials and the base share this process."""
        from lm_eval import simple_evaluate

        return simple_evaluate(
            lm_eval_bridge.model(line, self._asking, self._tokenizer), tasks=list(self._section.tasks),
            task_manager=self._manager, limit=self._section.tasks_rows or None, bootstrap_iters=0,
            random_seed=None, numpy_random_seed=None, torch_random_seed=None,
        )  # type: ignore[return-value]  # fmt: skip


def task(name: str, results: Mapping[str, Any]) -> Found:
    """The score of one task: the mean over its rows, or what the harness says of a group."""
    better = results.get("higher_is_better", {}).get(name, {})
    known = [one for one in (*FIRST, *better) if better.get(one)]
    metric, rows = f"{TASK}{name}", results.get("samples", {}).get(name, [])
    if not known:
        return Found().add(metric, Score.unsaid("the task has no metric for which more is better"))
    first = known[0]
    rows = [one for one in rows if one.get("filter") == rows[0].get("filter")]
    rows.sort(key=lambda one: one.get("doc_id", 0))
    values = [one.get(first) for one in rows]
    if values and all(isinstance(one, int | float) and math.isfinite(one) for one in values):
        numbers = [float(one) for one in values]
        within_one = min(numbers) >= 0 and max(numbers) <= 1
        samples = [_sample(one, value) for one, value in zip(rows, numbers, strict=True)]
        return Found().add(metric, mean(numbers, within_one=within_one).noting(first), numbers, samples)
    return Found().add(metric, _of_group(first, results.get("results", {}).get(name, {})))


def _of_group(metric: str, told: Mapping[str, Any]) -> Score:
    """Its standard error, where the harness says one, makes the interval."""
    value = next((one for key, one in told.items() if key.split(",")[0] == metric), None)
    error = next((one for key, one in told.items() if key.split(",")[0] == f"{metric}_stderr"), None)
    if not isinstance(value, int | float):
        return Score.unsaid(f"the harness says no {metric}")
    count = int(told.get("sample_len") or 0)
    if not isinstance(error, int | float) or not math.isfinite(error):
        return Score(float(value), None, None, count, f"{metric}; no interval is known")
    return Score(float(value), value - NORMAL * error, value + NORMAL * error, count, metric)


def _sample(row: Mapping[str, Any], value: float) -> Sample:
    asked = row.get("arguments") or [[""]]
    said = [answer for several in row.get("resps") or [] for answer in several]
    answers = "\n".join(one if isinstance(one, str) else str(one) for one in said)
    return Sample(str(asked[0][0]), answers, 1.0 - value, f"right: {row.get('target')}")
