"""``trimtab best`` shows the best trial; ``trimtab generate`` generates text with it.

``best --json`` prints {"study", "trial", "values": {METRIC: number}, "params", "knobs", "adapter",
"generate": the command, "front": [numbers of the Pareto-optimal trials], "against": [comparisons with the
references of the objectives], "base": {METRIC: the base model's number}, "scoring": {"step", "done", "total"}
or null, "pending": [complete trials that are still being scored]}. ``adapter`` is the folder that
PeftModel.from_pretrained loads, empty when there is none.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from core import paths
from core.cli import activity_line, exit_codes, output_formatting, reach_engine, resolve_trial
from core.contract.state import best_and_counts, reference_values, study_progress, unrated_trials
from core.contract.state import engine_state as s
from core.contract.text.sanitize import sanitize
from core.errors import TrimtabError

LEAVE_S = 10.0  # after Ctrl-C a process that computes gets this time to leave
SET_PDEATHSIG = 1  # of prctl(2)


def print_best(arguments: argparse.Namespace) -> int:
    """Print the best complete trial. Raises NoResultError when there is none."""
    study = resolve_trial.find_study(reach_engine.read_state()[0], arguments.study)
    trial = resolve_trial.find_best(study)
    metrics = [metric for metric, _ in study.objectives]
    values = dict(zip(metrics, trial.values, strict=False))
    command = f"trimtab generate --study {study.name} --trial {trial.number} {shlex.quote('PROMPT')}"
    front = [trial.number for trial in best_and_counts.find_front(study)]
    adapter = _find_adapter(study, trial)
    if arguments.json:
        answer = {"study": study.name, "trial": trial.number, "values": values, "params": trial.params}
        answer |= {"knobs": trial.knobs, "adapter": adapter, "generate": command, "front": front}
        answer |= {
            "against": reference_values.format_results(study, trial),
            "base": reference_values.list_base_values(study),
        }
        answer |= {"scoring": study_progress.make_scoring_record(trial), "pending": _list_pending(study)}
        output_formatting.dump(answer)
        return exit_codes.OK
    print(f"{study.name}: trial {trial.number}  {output_formatting.format_results(study, trial)}")
    searched = output_formatting.format_pairs(best_and_counts.list_searched_values(study, trial))
    print(f"  params   {searched or 'none searched'}")
    print(f"  adapter  {sanitize(adapter) or 'not saved'}")
    print(f"  try it   {command}")
    for line in reference_values.format_results(study, trial):
        print(f"  against  {line}")
    for line in _list_base(study):
        print(f"  base     {line}")
    for line in _describe_pending(study, trial):
        print(f"  scoring  {line}")
    if len(front) > 1:
        print(f"  on the Pareto front: trials {', '.join(map(str, front))}")
    return exit_codes.OK


def _list_base(study: s.Study) -> list[str]:
    """Say which rows the base was scored on, where they differ from the rows of the trials."""
    notes = []
    for metric, _ in study.objectives:
        score, board = reference_values.find_base_score(study, metric), reference_values.ON_BOARDS.get(metric)
        if score is not None and board is not None:
            rows = f"{score.samples} sampled validation rows" if score.samples else "sampled validation rows"
            notes.append(f"{metric} of the base uses {rows} ({board})")
    return notes


def _describe_pending(study: s.Study, trial: s.Trial) -> list[str]:
    """Describe pending scores of this and other trials, which may still change the best trial."""
    notes = []
    if trial.pending:
        notes.append(f"its last scores are pending: {study_progress.format_scoring(trial)}")
    if wait := unrated_trials.describe_wait(study):
        notes.append(wait)
    other_numbers = [number for number in _list_pending(study) if number != trial.number]
    waits = [number for number in other_numbers if not study.trials[number].values]
    if other_numbers:
        numbers = ", ".join(map(str, other_numbers))
        notes.append(f"trial{'s' * (len(other_numbers) > 1)} {numbers} still being scored")
    if waits:
        waiting_for = " and ".join(reference_values.list_waiting(study)) or "the objectives"
        notes.append(f"{len(waits)} of them may still become the best: no score of {waiting_for} yet")
    return notes


def _list_pending(study: s.Study) -> list[int]:
    return [trial.number for trial in study.trials.values() if trial.pending]


def generate(arguments: argparse.Namespace) -> int:
    """Generate text in a separate process, which loads torch and the model and writes to this terminal."""
    adapter = find_adapter_folder(arguments)
    extra_arguments = ("--tokens", str(arguments.tokens), *trust(arguments), "--", arguments.prompt)
    return run_with_torch("core.train.commands.generate_text", adapter, *extra_arguments)


def trust(arguments: argparse.Namespace) -> list[str]:
    """Return the flag that lets a core.train module run the base model's own code."""
    return ["--trust-remote-code"] if arguments.trust_remote_code else []


def find_adapter_folder(arguments: argparse.Namespace) -> str:
    """Return the adapter of the named trial, or of the best one. Raises TrimtabError where it has none."""
    study = resolve_trial.find_study(reach_engine.read_state()[0], arguments.study)
    trial = (
        resolve_trial.find_best(study)
        if arguments.trial is None
        else resolve_trial.find_trial(study, arguments.trial)
    )
    adapter = _find_adapter(study, trial)
    if not adapter or not Path(adapter).is_dir():
        raise TrimtabError.of(
            f"trial {trial.number} ({trial.state}) has no adapter",
            sanitize(adapter) or f"study {study.name}",
            "choose a complete trial: `trimtab best` names the best one",
        )
    return adapter


def run_with_torch(module: str, *arguments: str) -> int:
    """Run a core.train module in a separate process, which ends with this one, and return the exit code."""
    environment = {**os.environ, "PYTHONPATH": str(paths.find_root())}
    command = [sys.executable, "-P", "-m", module, *arguments]
    print("loading the libraries …", file=sys.stderr, flush=True)
    activity_line.stop_activity()  # the process reports its own progress
    process = subprocess.Popen(command, env=environment, preexec_fn=_make_end_with_parent())
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the process has it, too, and removes what is half written
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LEAVE_S)
        raise
    finally:
        process.kill()
    return code if code in (exit_codes.OK, exit_codes.BAD_INPUT) else exit_codes.FAILURE


def _make_end_with_parent() -> Callable[[], object] | None:
    """Return what a new process calls so that Linux ends it when this one is killed. A model would go on for
    hours, and write what no one waits for."""
    with contextlib.suppress(OSError, AttributeError):
        return partial(ctypes.CDLL(None).prctl, SET_PDEATHSIG, signal.SIGTERM)
    return None


def _find_adapter(study: s.Study, trial: s.Trial) -> str:
    """Return the path of the trial's adapter; a relative one is inside the study's folder."""
    return str(Path(study.folder) / trial.adapter) if trial.adapter else ""
