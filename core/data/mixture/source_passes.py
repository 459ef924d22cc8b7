"""How often trials draw the rows of each source of a mixture, at the weights that the search may choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.contract.spec.knob_table import REPLAY, WEIGHT
from core.contract.spec.search_space import Choice
from core.contract.spec.study_spec import StudySpec
from core.data.checks.check_finding import Finding, Severity
from core.data.checks.row_tally import Tally, make_tally_finding
from core.data.mixture.mixture_shares import SourceSize, find_shares

NAME = "sources whose rows are drawn again and again"
MANY = (
    16  # passes: of further ones a model learns next to nothing (Muennighoff et al. 2023, arXiv 2305.16264)
)
OFTEN = 2  # times as often as the rows of all sources
REMEDY = "give these sources a smaller weight or more rows, or train fewer steps"
LENGTH = ("steps", "epochs", "batch_size", "gradient_accumulation")  # knobs that say how many rows are drawn


def find_passes(spec: StudySpec, sizes: Sequence[SourceSize]) -> Finding:
    """Return the finding of sources whose rows a trial may draw too often, with the shares of all."""
    total, tally, details = sum(size.rows for size in sizes), Tally(), list[str]()
    drawn_counts = _count_drawn(spec, total)
    for at, size in enumerate(sizes):
        low, high = (
            find_shares(sizes, _choose_knobs(spec, sizes, at, is_high), spec.data.temperature)[at]
            for is_high in (False, True)
        )
        passes = high * drawn_counts / size.rows if size.rows else 0.0
        if passes > max(MANY, OFTEN * drawn_counts / total):
            tally.hits += size.rows
        shares = f"{100 * low:.3g} to {100 * high:.3g} %" if high - low > 0.0005 else f"{100 * high:.3g} %"
        details.append(f"{size.name}: {shares}, each row up to {_format_passes(passes)}")
    tally.rows = total
    detail = f"shares of the {drawn_counts:,} rows that a trial draws at most: {'; '.join(details)}"
    return make_tally_finding(NAME, tally, Severity.MEDIUM, REMEDY, detail)


def list_settings(spec: StudySpec) -> list[Any]:
    """Return what the finding follows from besides the rows."""
    names = [f"{WEIGHT}{source.name}" for source in spec.data.mixture] + [REPLAY.name, *LENGTH]
    return [[name, spec.train.get(name), spec.space.get(name)] for name in names if spec.data.mixture]


def _choose_knobs(spec: StudySpec, sizes: Sequence[SourceSize], at: int, is_high: bool) -> dict[str, Any]:
    """Return the weights and the replay share at which a source has its smallest or largest share."""
    knobs = dict[str, Any]()
    for other, size in enumerate(sizes):
        values = _list_values(spec, f"{WEIGHT}{size.name}")
        choose = max if (other == at) is is_high else min
        knobs[f"{WEIGHT}{size.name}"] = choose(values) if values else None
    replay = _list_values(spec, REPLAY.name)
    choose = max if sizes[at].replay is is_high else min
    return knobs | ({REPLAY.name: choose(replay)} if replay else {})


def _count_drawn(spec: StudySpec, total: int) -> int:
    """Return the most rows that any trial draws."""
    steps, epochs, *sizes = (max(_list_values(spec, name), default=0.0) for name in LENGTH)
    by_steps = steps * sizes[0] * sizes[1]
    return max(round(by_steps), 0 if steps and "steps" not in spec.space else round(epochs * total))


def _list_values(spec: StudySpec, name: str) -> list[float]:
    """Return the ends of a searched knob, or its only value; none where it follows from the rows."""
    dimension = spec.space.get(name)
    if dimension is None:
        values: list[object] = [spec.train.get(name)]
    else:
        values = list(dimension.values) if isinstance(dimension, Choice) else [dimension.low, dimension.high]
        values += [dimension.otherwise] if dimension.when else []
    return [float(value) for value in values if isinstance(value, int | float)]


def _format_passes(passes: float) -> str:
    count = f"{passes:,.0f}" if passes >= 10 else f"{passes:.2g}"
    return "once" if count == "1" else f"{count} times"
