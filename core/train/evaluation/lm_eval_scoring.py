"""Tasks of lm-evaluation-harness, scored for each trial at its end and for the base once."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Generator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.contract.metric_score import Score
from core.contract.spec.metric_table import LOWER_TASK, TASK, TASK_KINDS, VALUE_TASK
from core.contract.spec.study_spec import EvaluateOptions
from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.evidence_answer import Sample
from core.errors import TrimtabError
from core.evaluate.statistics.confidence_intervals import mean
from core.train.adapters.lora_factors import Factors
from core.train.evaluation import lm_eval_bridge
from core.train.evaluation.probe_runner import Scored
from core.train.probes.metric_probe import ProbeResult, change_from
from core.train.probes.prompt_encoder import PromptEncoder
from core.train.step.compute_requests import ScoringRequest, TimedResult

FIRST = ("acc_norm", "acc", "exact_match")  # preferred metrics of a task, before its own first one
SHARE = re.compile(r"acc|acc_\w+|\w+_acc|exact_match")  # metrics from 0 to 1: F1 and BLEU may go to 100
UNCLEAR = "the task does not say whether its metrics are better when higher or lower"
NORMAL = 1.96  # standard deviations on each side of a 95 % interval


class Tasks:
    """The tasks of a study, all loaded at once. ``named``: the metrics of objectives, constraints and limits.

    Raises TrimtabError for an unknown task, missing data, or a metric of another kind than its task's.
    """

    def __init__(
        self, section: EvaluateOptions, encoder: PromptEncoder, tokenizer: Any, named: Collection[str] = ()
    ) -> None:
        self._section, self._asking, self._tokenizer = section, encoder, tokenizer
        try:
            from lm_eval.tasks import TaskManager

            self._manager = TaskManager(include_path=section.tasks_path)
            unknown = [task for task in section.tasks if task not in self._manager.all_tasks]
            loaded = {} if unknown else self._manager.load(list(section.tasks))
        except Exception as error:  # a missing extra, a broken YAML file, an unavailable data set
            raise self._make_fault(f"could not be loaded: {type(error).__name__}: {error}") from error
        if unknown:
            raise self._make_fault(f"include the unknown task {unknown[0]!r}")
        self.metrics = [name_metric(name, _read_directions(loaded, name)) for name in section.tasks]
        for name, metric in zip(section.tasks, self.metrics, strict=True):
            _refuse_other_kind(name, metric, named)

    def _make_fault(self, problem: str) -> TrimtabError:
        where = f"evaluate.tasks = {sanitize(repr(self._section.tasks), 120)}"
        fix = "list the tasks with `lm-eval ls tasks`, or set evaluate.tasks_path to the folder of your own"
        return TrimtabError.of(f"the tasks {sanitize(problem, 400)}", where, fix)

    def list_inputs(self) -> list[Any]:
        """What cached scores of the base depend on."""
        folder = self._section.tasks_path
        files = sorted(file for file in Path(folder).rglob("*") if file.is_file()) if folder else []
        stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return [version("lm_eval"), sorted(self.metrics), self._section.tasks_rows, stamps]

    def score(
        self, mine: Factors | None, base: Mapping[str, Sequence[float]], count: lm_eval_bridge.Count
    ) -> Generator[ScoringRequest, TimedResult, Scored]:
        """Score all tasks for a trial, or for the base (``mine`` None). An error becomes the reason of every
        task."""
        scored = Scored()
        try:
            results = yield from lm_eval_bridge.run_harness(self._evaluate, mine, count)
        except lm_eval_bridge.Failed as failed:
            why = sanitize(f"lm-eval: {type(failed.error).__name__}: {failed.error}", 300)
            scored.scores = {metric: Score.without_value(why) for metric in self.metrics}
            return scored
        for name in self._section.tasks:
            result = make_task_result(name, results)
            scored.scores |= result.scores
            scored.values |= result.values
            scored.worst |= result.worst
        for metric, values in scored.values.items():
            change = change_from(metric, values, base.get(metric, ()))
            if change is not None:
                scored.changes[metric] = change
        return scored

    def _evaluate(self, channel: lm_eval_bridge.Channel) -> dict[str, Any]:
        """Run the harness. Its seeds are left unset: trials and the base share this process."""
        from lm_eval import simple_evaluate

        result: dict[str, Any] = simple_evaluate(
            lm_eval_bridge.make_model(channel, self._asking, self._tokenizer),
            tasks=list(self._section.tasks),
            task_manager=self._manager,
            limit=self._section.tasks_rows or None,
            bootstrap_iters=0,
            random_seed=None,
            numpy_random_seed=None,
            torch_random_seed=None,
        )
        return result


def name_metric(name: str, directions: Mapping[str, bool | None]) -> str:
    """The metric of a task, which says its direction and whether it is a share. ``directions``: whether
    higher is better, by the task's own metrics; one where it is, is preferred."""
    if False in directions.values() and True not in directions.values():
        return f"{LOWER_TASK}{name}"
    first = next(iter(_list_preferred(directions, higher=True)), "")
    return f"{VALUE_TASK if first and SHARE.fullmatch(first) is None else TASK}{name}"


def _list_preferred(directions: Mapping[str, bool | None], higher: bool) -> list[str]:
    """The task's own metrics that are better in the given direction, the preferred one first."""
    return [metric for metric in (*FIRST, *directions) if directions.get(metric) is higher]


def _read_directions(loaded: Mapping[str, Any], name: str) -> dict[str, bool | None]:
    """Whether higher is better, by metric of a task, or of all tasks of a group; None where these differ."""
    if name in loaded.get("tasks", {}):
        return dict(loaded["tasks"][name].higher_is_better() or {})
    directions: dict[str, bool | None] = {}
    for child in loaded.get("group_map", {}).get(name, ()):
        for metric, higher in _read_directions(loaded, child).items():
            directions[metric] = higher if directions.get(metric, higher) == higher else None
    return directions


def _refuse_other_kind(name: str, metric: str, named: Collection[str]) -> None:
    for other in sorted({f"{kind}{name}" for kind in TASK_KINDS} & {*named} - {metric}):
        lower = metric.startswith(LOWER_TASK)
        what = "metrics of", f"are better when {'lower' if lower else 'higher'}"
        if not lower and not other.startswith(LOWER_TASK):
            what = "preferred metric of", f"is {'a share' if metric.startswith(TASK) else 'no share'}"
        problem = f"the {what[0]} the task {sanitize(name, 60)!r} {what[1]}"
        raise TrimtabError.of(problem, other, f"write {metric}")


def make_task_result(name: str, results: Mapping[str, Any]) -> ProbeResult:
    """The score of one task: the mean over its rows, or the harness's own value for a group."""
    directions = results.get("higher_is_better", {}).get(name, {})
    metric, rows = name_metric(name, directions), results.get("samples", {}).get(name, [])
    higher = not metric.startswith(LOWER_TASK)
    known = _list_preferred(directions, higher)
    if not known:
        return ProbeResult().add(metric, Score.without_value(UNCLEAR))
    first = known[0]
    rows = [row for row in rows if row.get("filter") == rows[0].get("filter")]
    rows.sort(key=lambda row: row.get("doc_id", 0))
    values = [row.get(first) for row in rows]
    if values and all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        numbers = [float(value) for value in values]
        within_one = min(numbers) >= 0 and max(numbers) <= 1
        losses = [1.0 - number if higher else number for number in numbers]
        samples = [_make_sample(row, loss) for row, loss in zip(rows, losses, strict=True)]
        return ProbeResult().add(
            metric, mean(numbers, within_one=within_one).add_note(first), numbers, samples
        )
    return ProbeResult().add(metric, _make_group_score(first, results.get("results", {}).get(name, {})))


def _make_group_score(metric: str, reported: Mapping[str, Any]) -> Score:
    """The harness's value, with an interval if it gives a standard error."""
    value = next((number for key, number in reported.items() if key.split(",")[0] == metric), None)
    error = next(
        (number for key, number in reported.items() if key.split(",")[0] == f"{metric}_stderr"), None
    )
    if not isinstance(value, int | float):
        return Score.without_value(f"the harness gives no {metric}")
    count = int(reported.get("sample_len") or 0)
    if not isinstance(error, int | float) or not math.isfinite(error):
        return Score(float(value), None, None, count, f"{metric}, without an interval")
    return Score(float(value), value - NORMAL * error, value + NORMAL * error, count, metric)


def _make_sample(row: Mapping[str, Any], loss: float) -> Sample:
    arguments = row.get("arguments") or [[""]]
    texts = [answer for responses in row.get("resps") or [] for answer in responses]
    answers = "\n".join(response if isinstance(response, str) else str(response) for response in texts)
    return Sample(str(arguments[0][0]), answers, loss, f"expected: {row.get('target')}")
