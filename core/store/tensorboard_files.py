"""Writes TensorBoard files: one folder per trial with all scalars and knobs, by TensorBoard's own writer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from core import paths
from core.contract.metric_score import Score
from core.contract.spec.knob_table import KNOBS, find_knob
from core.contract.spec.metric_table import METRICS

STATUS = {
    "complete": api_pb2.STATUS_SUCCESS,
    "pruned": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "infeasible": api_pb2.STATUS_FAILURE,
}


class TensorBoardFiles:
    """The TensorBoard files of a study under ``folder``; blocking, for one caller at a time.

    Each step is written once: repeated steps of a trial that resumed from a checkpoint are dropped.
    """

    def __init__(self, folder: Path, objectives: Sequence[str]) -> None:
        self._folder = folder
        self._objectives = objectives
        self._marks: dict[int, dict[str, int]] = {}  # the last step written, by trial and tag
        self._writers: dict[int, EventFileWriter] = {}

    def take_up(self, trial: int, knobs: Mapping[str, Any], at: float) -> bool:
        """Read what an earlier engine wrote about a trial, so that nothing is written twice, and write its
        knobs if they are missing. Returns whether the trial's end is already written."""
        last_steps = read_last_steps(self._folder / str(trial))
        if metadata.SESSION_START_INFO_TAG not in last_steps:
            self.begin(trial, knobs, at)
        self._marks[trial] = {
            tag: step for tag, step in last_steps.items() if not tag.startswith("_hparams_")
        }
        return metadata.SESSION_END_INFO_TAG in last_steps

    def begin(self, trial: int, knobs: Mapping[str, Any], at: float) -> None:
        """Write a trial's knobs. Each trial gets every knob of the table: TensorBoard shows no column for a
        knob that the first trial lacks (tensorboard#3371)."""
        names = dict.fromkeys([*KNOBS, *(name for name in knobs if find_knob(name))])
        values = {name: _convert_knob_value(knobs.get(name)) for name in names}
        start = hparams.hparams_pb(values, trial_id=str(trial), start_time_secs=at)
        self._add(trial, _make_experiment(values, self._objectives, at), at, 0)
        self._add(trial, start, at, 0)

    def write_scalars(self, trial: int, step: int, metrics: Mapping[str, float], at: float) -> None:
        """Write the metrics of one step."""
        last_steps = self._marks.setdefault(trial, {})
        fresh = {tag: value for tag, value in metrics.items() if step > last_steps.get(tag, -1)}
        if fresh:
            self._add(trial, _make_scalars(fresh), at, step)
            last_steps.update(dict.fromkeys(fresh, step))

    def end(self, trial: int, state: str, metrics: Mapping[str, float], at: float) -> None:
        """Write how a trial ended, and close its file. ``state`` is complete, pruned, failed or
        infeasible."""
        content = plugin_data_pb2.HParamsPluginData(
            session_end_info=plugin_data_pb2.SessionEndInfo(status=STATUS[state], end_time_secs=at)
        )
        value = Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=metadata.create_summary_metadata(content),
            tensor=metadata.NULL_TENSOR,
        )
        self._add(trial, Summary(value=[value]), at, 0)
        self._writers.pop(trial).close()

    def flush(self) -> None:
        """Flush all files to disk. Raises OSError."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Flush and close all files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _add(self, trial: int, summary: Summary, at: float, step: int) -> None:
        if trial not in self._writers:
            self._writers[trial] = EventFileWriter(str(paths.make_private(self._folder / str(trial))))
        self._writers[trial].add_event(Event(wall_time=at, step=step, summary=summary))


def add_interval_ends(scores: Mapping[str, Score]) -> dict[str, float]:
    """Return each metric's value, with the ends of its interval as METRIC/low and METRIC/high."""
    values: dict[str, float] = {}
    for name, score in scores.items():
        parts = ((name, score.value), (f"{name}/low", score.low), (f"{name}/high", score.high))
        values |= {tag: value for tag, value in parts if value is not None and score.value is not None}
    return values


def read_last_steps(folder: Path) -> dict[str, int]:
    """Return the last step of each tag in a trial's files; a truncated record is skipped."""
    last: dict[str, int] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for raw in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(raw)
            for value in event.summary.value:
                last[value.tag] = max(event.step, last.get(value.tag, 0))
    return last


def _make_scalars(metrics: Mapping[str, float]) -> Summary:
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in metrics.items()])


def _convert_knob_value(value: Any) -> float | str | bool:
    """Return a knob's value for TensorBoard: None and lists become text."""
    if value is None:
        return "none"
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _make_experiment(values: Mapping[str, Any], objectives: Sequence[str], at: float) -> Summary:
    names = [*objectives, *(name for name in METRICS if name not in objectives)]
    return hparams.hparams_config_pb(
        hparams=[hparams.HParam(name) for name in values],
        metrics=[hparams.Metric(name, display_name=name) for name in names],
        time_created_secs=at,
    )
