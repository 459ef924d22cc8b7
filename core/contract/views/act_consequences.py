"""What pruning a trial or stopping a study would do, in sentences: shown before the user confirms."""

from __future__ import annotations

from core.contract.state import engine_state as s
from core.contract.text.byte_sizes import format_bytes


def describe_prune(study: s.Study, trial: s.Trial) -> str:
    """Return what is lost, what is kept, how to undo it, and what it frees."""
    undo = "u takes the prune back"
    if trial.step:
        kept_text = f"A checkpoint is written, and {undo}. Its curves are kept."
        sentences = [f"It is at step {trial.step} of {trial.total_steps}.", kept_text]
    else:
        sentences = [f"It has trained nothing yet; {undo}."]
    if trial.state == s.RUNNING:
        sentences += _describe_freed_memory(study, trial)
    return " ".join(sentences)


def describe_stop(study: s.Study) -> str:
    """Return what is lost and what is kept when the study is stopped."""
    trained_trials = [trial for trial in _list_unfinished(study) if trial.step]
    waiting = len(_list_unfinished(study)) - len(trained_trials)
    sentences = []
    if trained_trials:
        trained = format_duration(sum(trial.elapsed_s for trial in trained_trials))
        sentences.append(
            f"{_count(len(trained_trials))} that {'has' if len(trained_trials) == 1 else 'have'} trained"
            f" for {trained}"
            f" {'ends' if len(trained_trials) == 1 else 'end'} unfinished, with a checkpoint."
        )
    if waiting:
        sentences.append(f"{_count(waiting)} not begun yet {'is' if waiting == 1 else 'are'} dropped.")
    sentences.append("Finished results, curves and adapters are kept. P pauses instead, and loses nothing.")
    return " ".join(sentences)


def is_losing_trials(study: s.Study) -> bool:
    """Tell whether stopping the study ends trials that have trained."""
    return any(trial.step for trial in _list_unfinished(study))


def format_duration(seconds: float) -> str:
    """Format as 12 s, 5 min, 1 h 12 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _describe_freed_memory(study: s.Study, trial: s.Trial) -> list[str]:
    used_bytes = trial.measured_bytes or trial.foretold_bytes
    if used_bytes is None:
        return []
    following = find_next_queued(study, trial.device)
    next_in_queue = f"; trial {following.number} is next in the queue" if following is not None else ""
    about = "" if trial.measured_bytes else "about "
    return [f"Frees {about}{format_bytes(used_bytes)} on {trial.device or 'its device'}{next_in_queue}."]


def find_next_queued(study: s.Study, device: str) -> s.Trial | None:
    """Return the first trial of the queue that may run on ``device``."""
    queued = [
        trial
        for trial in study.trials.values()
        if trial.state == s.QUEUED and trial.pinned in ("", device) and trial.asked != "prune"
    ]
    return min(queued, key=lambda trial: (-trial.priority, trial.place_of < 0, trial.number), default=None)


def _list_unfinished(study: s.Study) -> list[s.Trial]:
    return [trial for trial in study.trials.values() if trial.state not in s.ENDED]


def _count(trials: int) -> str:
    return f"{trials} trial{'s' * (trials != 1)}"
