"""Decides which rows of a study's files are written, and into which file, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.data.copies.contaminated_rows import KnownTexts
from core.data.copies.row_copy_index import RowPrints
from core.data.copies.validation_split import divide
from core.data.mixture.row_filter import keep_rows
from core.data.readers.shaped_rows import ShapedRows
from core.data.readers.source_files import Source
from core.data.stream.fast_jsonl_reader import read_shaped
from core.data.stream.row_batches import RowBatch, make_batches
from core.data.stream.word_hashes import Indices

TRAIN, VALIDATION = "train.jsonl", "validation.jsonl"
MASKED, EXACT, NEAR = "nothing is trained on", "exact duplicate", "near duplicate"
CONTAMINATED, LEAKING = "contains evaluation data", "also a validation row"
TOLD = 20_000  # rows between two progress reports
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Drop:
    """Why a row is not written; ``of`` is the index of the row that it is a copy of."""

    why: str
    of: int | None = None


@dataclass
class SourcePlan:
    """The rows of a source that are not written, and those that go into the validation file."""

    source: Source
    data: DataOptions
    dropped: dict[int, Drop] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    prints: RowPrints = field(default_factory=RowPrints)
    is_validation: bool = False

    def read(self) -> ShapedRows:
        """Read the rows that were planned for, with the digits of the file."""
        rows = keep_rows(self.source.read_rows, self.data.where)
        return ShapedRows(rows(), self.data, self.source.key)

    def choose_file(self, at: int) -> str:
        """Return the file that a row is written to."""
        return VALIDATION if self.is_validation or at in self.held else TRAIN


def make_plan(
    spec: StudySpec, sources: Sequence[Source], duplicates: str, known: KnownTexts | None, tell: Tell
) -> list[SourcePlan]:
    """Read all rows once. ``duplicates``: the copies that are dropped, near, exact, or none with "keep".
    Raises TrimtabError for a file that cannot be read to its end."""
    plans = [_read(spec, source, known, tell) for source in sources]
    tell("comparing rows")
    train, *others = plans
    for validation in others:
        validation.is_validation = True
        _drop_copies(validation, duplicates)
        _drop_leaking(train, validation, duplicates)
    _drop_copies(train, duplicates)
    if not others and not isinstance(spec.data.validation, str):
        train.held = _hold(train, spec, duplicates)
    return plans


def _read(spec: StudySpec, source: Source, known: KnownTexts | None, tell: Tell) -> SourcePlan:
    plan, count = SourcePlan(source, spec.data), 0
    for batch in make_batches(read_shaped(source, spec.data)):
        plan.prints.add(batch)
        _drop_useless(plan, batch, known, count)
        count += len(batch.rows)
        if count // TOLD != (count - len(batch.rows)) // TOLD:
            tell(f"reading {sanitize(source.name, 60)}, {count:,} rows")
    return plan


def _drop_useless(plan: SourcePlan, batch: RowBatch, known: KnownTexts | None, first: int) -> None:
    for at, (row, is_useless) in enumerate(zip(batch.rows, batch.trains_nothing, strict=True), first):
        if is_useless:
            plan.dropped[at] = Drop(MASKED if row.texts is not None else sanitize(row.fault, 120))
    for place in known.match(batch) if known is not None else ():
        plan.dropped[first + place] = Drop(CONTAMINATED)


def _drop_copies(plan: SourcePlan, duplicates: str) -> None:
    """Drop all but the first of each cluster of copies, and near copies in its group."""
    if duplicates == "keep":
        return
    exact, groups = plan.prints.exact_copies.tolist(), plan.prints.groups
    near_labels = plan.prints.near_copies.tolist() if duplicates == "near" else exact
    first, first_of_text = dict[int, int](), dict[int, int]()  # by cluster, and by text
    for at, (equal, alike) in enumerate(zip(exact, near_labels, strict=True)):
        if at in plan.dropped:
            continue
        cluster_first, text_first = first.setdefault(alike, at), first_of_text.setdefault(equal, at)
        if text_first != at:
            plan.dropped[at] = Drop(EXACT, text_first)
        elif cluster_first != at and not (
            groups and groups[at] is not None and groups[at] == groups[cluster_first]
        ):
            plan.dropped[at] = Drop(NEAR, cluster_first)


def _drop_leaking(train: SourcePlan, validation: SourcePlan, duplicates: str) -> None:
    """Drop training rows that are copies of validation rows."""
    prints, count = RowPrints.join(train.prints, validation.prints), len(train.prints)
    labels = prints.near_copies if duplicates == "near" else prints.exact_copies
    held_rows = {int(label): at for at, label in enumerate(labels[count:]) if at not in validation.dropped}
    for at, label in enumerate(labels[:count].tolist()):
        if at not in train.dropped and label in held_rows:
            train.dropped[at] = Drop(LEAKING, held_rows[label])


def _hold(train: SourcePlan, spec: StudySpec, duplicates: str) -> set[int]:
    """Choose the validation rows: copies that were kept stay on one side."""
    assert not isinstance(spec.data.validation, str)
    labels: Indices = train.prints.exact_copies if duplicates == "exact" else train.prints.near_copies
    rows = [at for at in range(len(labels)) if at not in train.dropped]
    copies, first = list(range(len(labels))), dict[int, int]()
    for at in rows:
        copies[at] = first.setdefault(int(labels[at]), at)
    return set(divide(rows, train.prints.groups, copies, spec.data.validation, spec.study.seed).held)
