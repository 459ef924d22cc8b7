"""Plans an augmentation: the rows trained on, the rows to paraphrase, and the study's own held-out rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.data.augment import prompt_place
from core.data.augment.paraphrase_checks import PromptPrints
from core.data.copies.leaking_rows import divide_source
from core.data.copies.row_copy_index import RowPrints
from core.data.mixture.row_filter import keep_rows
from core.data.readers.row_shape import Raw, Shape
from core.data.readers.row_values import UnusableRow
from core.data.readers.shaped_rows import ShapedRows
from core.data.readers.source_files import Source
from core.data.stream.fast_jsonl_reader import read_shaped
from core.data.stream.row_batches import make_batches
from core.errors import SpecError

TOLD = 20_000  # rows between two progress reports
Tell = Callable[[str], None]


@dataclass
class AugmentPlan:
    """The indices of the rows of the source that are trained on, ``train``, and held out, ``held``; the
    ``groups`` of all rows that have one; the prompts of all rows, and the place of each row's among them."""

    source: Source
    data: DataOptions
    train: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    groups: Sequence[Any] = ()
    has_groups: bool = False  # by which a study splits the rows
    prompts: PromptPrints = field(default_factory=PromptPrints)
    prompt_of: dict[int, int] = field(default_factory=dict)
    untrained: frozenset[int] = frozenset()  # rows without an answer that is learnt

    def read(self) -> ShapedRows:
        """Read the rows that were planned for, with the digits of the file."""
        rows = keep_rows(self.source.read_rows, self.data.where)
        return ShapedRows(rows(), self.data, self.source.key)

    def choose(self, count: int | None, seed: int) -> list[int]:
        """Choose rows to paraphrase, in their order: all that are trained on and have a prompt, or ``count``
        of them at random."""
        asking = [at for at in self.train if at in self.prompt_of and at not in self.untrained]
        if count is None or count >= len(asking):
            return asking
        return sorted(random.Random(f"augment {seed}").sample(asking, count))

    def read_at(self, indices: Sequence[int]) -> tuple[Shape, Iterator[tuple[int, Raw]]]:
        """Read the rows at some indices, and say how they are read."""
        rows, wanted_rows = self.read(), frozenset(indices)
        assert rows.shape is not None, "a source with rows has a shape"
        return rows.shape, ((at, raw) for at, raw in enumerate(rows.read_raw()) if at in wanted_rows)

    def group_of(self, at: int) -> str | int:
        """Return the group of a row: its own, where all rows have one, else one by its number."""
        own = self.groups[at] if self.groups else None
        if self.has_groups and isinstance(own, str | int):
            return own
        return f"row-{at + 1}" if own is None else sanitize(str(own), 200)


def make_plan(spec: StudySpec, source: Source, tell: Tell) -> AugmentPlan:
    """Read all rows once. Raises TrimtabError for rows that cannot be read, and where none is left."""
    refuse_plain_text(source, spec.data)
    plan, prints, count = AugmentPlan(source, spec.data), RowPrints(), 0
    for batch in make_batches(read_shaped(source, spec.data)):
        prints.add(batch)
        for row in batch.rows:
            try:
                prompt = prompt_place.read_prompt(row.row)
            except UnusableRow:
                count += 1
                continue
            plan.prompt_of[count] = len(plan.prompt_of)
            plan.prompts.add(prompt)
            count += 1
            if count % TOLD == 0:
                tell(f"reading {sanitize(source.name, 60)}, {count:,} rows")
    plan.untrained = frozenset(prints.untrained.tolist())
    if not plan.prompt_of.keys() - plan.untrained:
        location = f"{source.key} = {sanitize(source.name, 200)!r}"
        raise SpecError.of(
            "no row has both a prompt and an answer that is learnt", location, "`trimtab check` shows why"
        )
    plan.groups = list(prints.groups)
    plan.has_groups = {type(group) for group in plan.groups} in ({str}, {int})
    _divide(plan, prints, spec)
    return plan


def refuse_plain_text(source: Source, data: DataOptions) -> None:
    """Raise SpecError for rows without prompts; all rows of a source are read in one way."""
    if "text" in next(iter(read_shaped(source, data)), {}):
        raise SpecError.of(
            "these rows are plain text: there is no prompt to paraphrase, and a paraphrase of what is learnt "
            "would change it",
            f"{source.key} = {sanitize(source.name, 200)!r}",
            "give rows with prompts and answers; `trimtab help study-file` lists other augmentation",
        )


def _divide(plan: AugmentPlan, prints: RowPrints, spec: StudySpec) -> None:
    """Choose the rows as the study does: split, without the copies it leaves out, at most data.rows."""
    if isinstance(spec.data.validation, str):
        plan.train = list(range(len(prints)))
    else:
        division = divide_source(
            prints.exact_copies,
            prints.near_copies,
            sorted(plan.untrained),
            plan.groups,
            spec.data,
            spec.study.seed,
        )
        plan.train, plan.held = division.train, division.held
    if not plan.train:
        fix = "add rows, or set data.validation to another share or file"
        location = f"{plan.source.key} = {sanitize(plan.source.name, 200)!r}"
        raise SpecError.of(f"no rows are left to train on: the source has {len(prints)}", location, fix)
    if spec.data.rows is not None and len(plan.train) > spec.data.rows:
        plan.train = sorted(random.Random(spec.study.seed + 1).sample(plan.train, spec.data.rows))
