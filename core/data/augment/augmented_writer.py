"""Writes rows with their paraphrases, and a report of each paraphrase, into a new folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from core.data.augment.augment_plan import AugmentPlan
from core.data.augment.paraphrase_checks import is_alike
from core.data.augment.prompt_place import find_prompt
from core.data.readers.source_files import Source
from core.data.repair.clean_plan import TRAIN, VALIDATION
from core.data.repair.clean_writer import encode, open_aside
from core.data.repair.cleaned_study_file import STUDY

REPORT = "paraphrases.jsonl"
KEPT = "kept"
COPY, OTHERS = "like the original or an earlier paraphrase", "like the prompt of another row"


class Paraphrase(msgspec.Struct, omit_defaults=True):
    """A line of the report: the row's number in its source, its prompt, the paraphrase, and whether it is
    ``kept``, else why not. ``loss`` and ``before``: of the answer after the paraphrase and after the prompt,
    nats, where the base was asked."""

    row: int
    prompt: str
    paraphrase: str
    verdict: str
    before: float | None = None
    loss: float | None = None


def drop_copies(plan: AugmentPlan, paraphrases: Sequence[Paraphrase]) -> None:
    """Give those of the kept paraphrases another verdict that are copies, or nearly, of another prompt or of
    a paraphrase before them."""
    kept_paraphrases = [paraphrase for paraphrase in paraphrases if paraphrase.verdict == KEPT]
    first = len(plan.prompt_of)
    for paraphrase in kept_paraphrases:
        plan.prompts.add(paraphrase.paraphrase)
    alike = plan.prompts.find_first_alike()
    rows = [*plan.prompt_of, *(paraphrase.row - 1 for paraphrase in kept_paraphrases)]  # of each prompt
    own = {at: alike[place] for at, place in plan.prompt_of.items()}  # the first that is like a row's prompt
    before = defaultdict[int, list[str]](list)  # of each row
    for place, paraphrase in enumerate(kept_paraphrases, first):
        at, text = paraphrase.row - 1, paraphrase.paraphrase
        earlier = [paraphrase.prompt, *before[at]]
        if alike[place] in (own[at], place) or rows[alike[place]] == at:
            is_copy = alike[place] != place or any(is_alike(text, earlier_text) for earlier_text in earlier)
            paraphrase.verdict = COPY if is_copy else KEPT
        else:
            paraphrase.verdict = OTHERS
        before[at].append(text)


def write(
    plan: AugmentPlan, validation: Source | None, paraphrases: Sequence[Paraphrase], folder: Path, study: str
) -> Counter[str]:
    """Write all files, and return the number of rows in each. Raises TrimtabError; then nothing is left."""
    texts_by_row = defaultdict[int, list[str]](list)
    for paraphrase in paraphrases:
        if paraphrase.verdict == KEPT:
            texts_by_row[paraphrase.row - 1].append(paraphrase.paraphrase)
    rows = Counter[str]()
    with open_aside(folder, (TRAIN, VALIDATION, REPORT, STUDY), "augmented") as files:
        _write_source(plan, texts_by_row, files, rows)
        if validation is not None:
            other = AugmentPlan(validation, plan.data)
            for raw in other.read().read_raw():
                rows[VALIDATION] += files[VALIDATION].write(encode(raw) + b"\n") > 0
        for paraphrase in paraphrases:
            files[REPORT].write(msgspec.json.encode(paraphrase) + b"\n")
        files[STUDY].write(study.encode())
    return rows


def _write_source(
    plan: AugmentPlan, texts_by_row: dict[int, list[str]], files: dict[str, IO[bytes]], rows: Counter[str]
) -> None:
    """Write each row, and after it its paraphrases, all with the row's group."""
    held_out = frozenset(plan.held)
    shape, read = plan.read_at([*plan.train, *plan.held])
    for at, raw in read:
        part, group = VALIDATION if at in held_out else TRAIN, {"group": plan.group_of(at)}
        written = [raw]
        if at in texts_by_row:
            place = find_prompt(raw, shape)
            written += [place.put(raw, text) for text in texts_by_row[at]]
        for row in written:
            files[part].write(encode(row | group) + b"\n")
        rows[part] += len(written)
