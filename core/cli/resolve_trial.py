"""Which study and which trial a verb means."""

from __future__ import annotations

from core.contract.state import best_and_counts, reference_values
from core.contract.state import study_state as s
from core.contract.text.sanitize import plain
from core.errors import TrimtabError


class UsageError(TrimtabError):
    """The command line does not say enough, or names what is not there."""

    exit_code = 2


class NoResultError(TrimtabError):
    """There is no complete trial, or none with its results yet."""

    exit_code = 5


def study(state: s.State, name: str | None) -> s.Study:
    """The study called ``name``; without a name the only live one, else the latest.

    Raises UsageError: no such study, none at all, or several live ones.
    """
    if not state.studies:
        raise UsageError.of("there is no study yet", "", "start one with `trimtab run SPEC`")
    names = ", ".join(state.studies)
    if name is not None:
        found = state.studies.get(name)
        if found is None:
            raise UsageError.of(f"there is no study {plain(name, 80)!r}", "--study", f"there are: {names}")
        return found
    live = [one for one in state.studies.values() if one.state in s.LIVE_STUDY]
    if len(live) > 1:
        running = ", ".join(one.name for one in live)
        raise UsageError.of("several studies run", running, "name one with --study NAME")
    return live[0] if live else max(state.studies.values(), key=lambda one: one.created_at)


def trial(chosen: s.Study, number: int) -> s.Trial:
    """The trial ``number`` of ``chosen``. Raises UsageError when it does not exist."""
    found = chosen.trials.get(number)
    if found is None:
        last = max(chosen.trials, default=None)
        fix = "it has no trials yet" if last is None else f"its trials are 0 to {last}"
        raise UsageError.of(f"there is no trial {number}", f"study {chosen.name}", fix)
    return found


def best(chosen: s.Study) -> s.Trial:
    """The best complete trial. Raises NoResultError when there is none."""
    found = best_and_counts.best(chosen)
    if found is None:
        where = f"study {chosen.name} ({chosen.state})"
        what = plain(reference_values.no_best(chosen), 200)
        fix = "`trimtab logs` says what happened so far"
        if reference_values.waiting(chosen):
            fix = "`trimtab status` says how far its scoring is"
        raise NoResultError.of(what, where, fix)
    return found
