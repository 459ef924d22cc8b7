"""The rows of a mixture: those of its sources one after another, and the order in which trials draw them."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from core.contract.spec.study_spec import StudySpec
from core.data.mixture import mixture_shares
from core.data.mixture.mixture_order import MixtureOrder, SourceRows
from core.data.mixture.mixture_shares import Mixture, SourceSize
from core.errors import Problem, TrimtabError
from core.evaluate.metrics import validation_slices
from core.train.adapters.peft_config import InfeasibleError

if TYPE_CHECKING:
    from core.train.data.dataset import Data, Row

EARLY = 4  # canaries are among the first rows, one in this many
SLICE = "source"  # the slice of a row that names its source


def list_parts(spec: StudySpec) -> Iterator[tuple[str, StudySpec]]:
    """Yield each source's name, and the study with this source alone. Canaries belong to no source."""
    evaluate = msgspec.structs.replace(spec.evaluate, canaries=0)
    for name, section in spec.data.sources:
        yield name, msgspec.structs.replace(spec, data=section, evaluate=evaluate)


def name_source(error: TrimtabError, name: str) -> TrimtabError:
    """Return the error of a source with its name in the mixture."""
    return TrimtabError(
        *(Problem(fault.what, f"{fault.where} (mixture: {name})", fault.fix) for fault in error.problems)
    )


def join(spec: StudySpec, parts: Sequence[tuple[str, Data]]) -> Data:
    """Join the rows of all sources. The validation rows are the same for all trials: each source has an equal
    part of ``evaluate.rows``, as far as its rows go. No source trains on a validation row of another."""
    first, quotas = parts[0][1], share_out([len(data.validation) for _, data in parts], spec.evaluate.rows)
    held = {name: data.validation[:quota] for (name, data), quota in zip(parts, quotas, strict=True)}
    joined = dataclasses.replace(
        first, train=[], validation=[], notes=[], questions=[], dropped={}, cut_rows=0,
        anonymised=None if first.anonymised is None else [],
    )  # fmt: skip
    sizes = list[SourceSize]()
    for name, data in parts:
        copies = _find_held_elsewhere(data.train, [rows for of, rows in held.items() if of != name])
        kept = [row.number for row in data.train if row.number not in copies]
        numbers = {number: place for place, number in enumerate(kept, len(joined.train))}
        if joined.anonymised is not None and data.anonymised is not None:
            joined.anonymised += _renumber(data.anonymised, name, numbers)
        joined.train += _renumber(data.train, name, numbers)
        joined.validation += [
            dataclasses.replace(row, parts=_list_row_parts(row, name)) for row in held[name]
        ]
        sizes.append(SourceSize(name, len(kept), _is_replay(spec, name)))
        joined.notes += [f"{name}: {note}" for note in data.notes]
        if copies:
            joined.notes.append(f"{name}: {len(copies)} training rows are left out: they are validation "
                                "rows of other sources")  # fmt: skip
        joined.questions += data.questions
        joined.cut_rows += data.cut_rows
        for part, reasons in data.dropped.items():
            joined.dropped[part] = joined.dropped.get(part, Counter()) + reasons
    joined.mixture = Mixture(tuple(sizes), spec.data.temperature)
    largest = max(parts, key=lambda part: len(part[1].train))[1]
    joined.system, joined.kind = largest.system, largest.kind
    counts = ", ".join(f"{quota} {name}" for (name, _), quota in zip(parts, quotas, strict=True))
    joined.notes.append(f"validation rows of the mixture, the same for all trials: {counts}")
    return joined


def share_out(available: Sequence[int], total: int) -> list[int]:
    """Split ``total`` evenly; what one cannot use goes to the others."""
    counts, rest = [0] * len(available), total
    for rank, at in enumerate(sorted(range(len(available)), key=lambda at: available[at])):
        counts[at] = min(available[at], math.ceil(rest / (len(available) - rank)))
        rest -= counts[at]
    return counts


def find_source(row: Row) -> str:
    """Return the name of the row's source; "" without one."""
    mark = f"{SLICE}:"
    return next((part.removeprefix(mark) for part in row.parts if part.startswith(mark)), "")


def _list_row_parts(row: Row, name: str) -> tuple[str, ...]:
    """Return the slices of a row: the source of the mixture instead of one that a column names."""
    other_parts = (part for part in row.parts if not part.startswith(f"{SLICE}:"))
    return (validation_slices.make_slice_name(SLICE, name), *other_parts)


def _find_held_elsewhere(rows: Sequence[Row], held: Sequence[Sequence[Row]]) -> set[int]:
    """Return the numbers of the training rows of a source that equal a validation row of another one."""
    texts = {row.ids.tobytes() for part in held for row in part}
    sizes = set(map(len, texts))
    return {row.number for row in rows if row.ids.nbytes in sizes and row.ids.tobytes() in texts}


def _renumber(rows: Sequence[Row], name: str, numbers: Mapping[int, int]) -> list[Row]:
    """The rows of a source that have a number in the mixture."""
    return [
        dataclasses.replace(row, parts=_list_row_parts(row, name), number=numbers[row.number])
        for row in rows
        if row.number in numbers
    ]


def _is_replay(spec: StudySpec, name: str) -> bool:
    return any(source.replay for source in spec.data.mixture if source.name == name)


class MixedRows:
    """The rows that a trial trains on, drawn from the sources of a mixture by the shares of its knobs; the
    counterpart of ``batch_schedule.Order``.

    Canaries belong to no source. Each is trained on once for each time that it is planted, among the first
    rows: one row in ``EARLY``, so that a short trial has seen them, too.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        batch: int,
        knobs: Mapping[str, Any],
        mixture: Mixture,
        skipped: int = 0,
        drawn: Sequence[int] = (),
    ) -> None:
        """``skipped`` and ``drawn``: rows that were drawn before these knobs, in all and from each source.
        Raises InfeasibleError if no source is left."""
        self._rows, self._batch, self._skipped, seed = rows, batch, skipped, int(knobs["seed"])
        canaries = [at for at, row in enumerate(rows) if row.planted]
        self._canaries = SourceRows("canaries", canaries, seed).list_first(len(canaries))
        places = _group_places(rows, mixture.sizes)
        sizes = [size._replace(rows=len(own)) for size, own in zip(mixture.sizes, places, strict=True)]
        shares = mixture_shares.find_shares(sizes, knobs, mixture.temperature)
        if not any(shares):
            raise InfeasibleError(
                "no source of the mixture has both a weight and rows that can be trained on"
            )
        sources = [SourceRows(size.name, own, seed) for size, own in zip(sizes, places, strict=True)]
        self.shares = tuple(shares)  # of each source in the rows that are drawn
        self._order = MixtureOrder(sources, shares, seed, self._count_drawn_before(skipped), drawn)

    def micro_batch(self, index: int) -> list[Row]:
        """Return the rows of the ``index``-th micro-batch, from 0."""
        first = self._skipped + index * self._batch
        begin, end = self._count_drawn_before(first), self._count_drawn_before(first + self._batch)
        drawn = iter(self._order.draw(begin, end - begin))
        places = (
            self._canaries[place // EARLY] if self._is_canary(place) else next(drawn)
            for place in range(first, first + self._batch)
        )
        return [self._rows[place] for place in places]

    def counts(self, until: int) -> tuple[int, ...]:
        """Return how many rows are drawn from each source before the place ``until``."""
        return tuple(self._order.count_rows(self._count_drawn_before(until)))

    def first(self, count: int) -> list[int]:
        """Return the numbers of the different rows among the first ``count``."""
        drawn = self._count_drawn_before(count)
        places = [*self._order.list_first(drawn), *self._canaries[: count - drawn]]
        return [self._rows[place].number for place in places]

    def _is_canary(self, place: int) -> bool:
        return place % EARLY == EARLY - 1 and place // EARLY < len(self._canaries)

    def _count_drawn_before(self, place: int) -> int:
        """Return how many of the rows before ``place`` are drawn from sources."""
        return place - min(place // EARLY, len(self._canaries))


def _group_places(rows: Sequence[Row], sizes: Sequence[SourceSize]) -> list[list[int]]:
    """Return the places of each source's rows in ``rows``; a row's number says which source it is of."""
    ends, total = list[int](), 0
    for size in sizes:
        total += size.rows
        ends.append(total)
    places: list[list[int]] = [[] for _ in sizes]
    source = 0
    for at, row in enumerate(rows):
        if not row.planted:
            while row.number >= ends[source]:
                source += 1
            places[source].append(at)
    return places
