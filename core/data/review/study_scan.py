"""Scans all sources of a study: what `trimtab check` prints and what the engine keeps for its consoles."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import msgspec

from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.wire.answers.data_messages import MIXTURE
from core.data.cache import token_cache_lookup
from core.data.checks import evaluation_prompt_matches, scan_rows
from core.data.checks.evaluation_prompt_matches import PromptIndex
from core.data.checks.person_name_rows import FindNames
from core.data.checks.scan_rows import Progress, Scan, Tell, show_nothing
from core.data.copies.contaminated_rows import KnownTexts
from core.data.copies.duplicate_rows import Fetch
from core.data.copies.mixture_leaks import MixtureCopies, choose_trained
from core.data.copies.row_copy_index import RowPrints
from core.data.defects.row_lengths import CUT, count_cut
from core.data.mixture.mixture_shares import SourceSize
from core.data.mixture.source_passes import find_passes
from core.data.readers.source_files import Source, find_sources
from core.data.scan.name_process import open_finder
from core.data.scan.row_tallies import ScanOptions
from core.errors import SpecError, TrimtabError, join_in_line
from core.evaluate.prompts.study_prompts import Library

TOGETHER = "all sources together"


def list_prompts(spec: StudySpec) -> tuple[dict[str, list[str]], str]:
    """Return the study's prompts; none, and a note, if they cannot be read."""
    try:
        return evaluation_prompt_matches.list_prompts(Library(spec.evaluate)), ""
    except SpecError as error:
        return {}, f"rows are not compared with evaluation prompts: {join_in_line(error)}"


def scan_study(
    spec: StudySpec,
    prompts: dict[str, list[str]],
    size: int,
    tell: Tell,
    progress: Progress = show_nothing,
    against: Sequence[str] = (),
) -> Iterator[tuple[DataOptions, Scan]]:
    """Yield what is found in each source, with a sample of ``size`` for the slow checks, and its section of
    the study file; at last what is found in all sources of a mixture together. ``against``: files of
    evaluation data instead of ``data.contamination``. Raises TrimtabError for one of these that cannot be
    read."""
    files, named = (against, "--against") if against else (spec.data.contamination, "data.contamination")
    texts = KnownTexts(files, named, tell) if files else None
    mixture = MixtureScan(spec) if spec.data.mixture else None
    with contextlib.ExitStack() as stack:
        find_names, fault = _open_names(spec, stack, tell) if size else (None, "")
        for key, section in spec.data.checked.items():
            options = ScanOptions(
                section, PromptIndex(prompts), size, spec.study.seed, find_longest_sequence(spec), texts,
                find_names=find_names,
            )  # fmt: skip
            sources = find_sources(section, key)
            keep = partial(mixture.keep, key, section) if mixture is not None else None
            for scan in scan_rows.scan_all(sources, options, tell, progress, keep):
                noted_scan = replace(scan, notes=(*scan.notes, fault)) if fault else scan
                yield section, _count_tokens(noted_scan, list_part(spec, section), scan.source is sources[0])
        if mixture is not None and (together := mixture.describe()) is not None:
            yield spec.data, together


class MixtureScan:
    """What the sources of a mixture have to do with each other: copies, and how often each is drawn."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec, self._copies = spec, MixtureCopies()
        self._replayed = {f"data.mixture.{source.name}": source.replay for source in spec.data.mixture}
        self._sizes = dict.fromkeys(self._replayed, 0)  # rows that are trained on

    def keep(
        self,
        key: str,
        section: DataOptions,
        prints: RowPrints,
        train: Sequence[int],
        held: Sequence[int],
        fetch: Fetch,
    ) -> None:
        """Take in rows of the source with this ``key``."""
        train = choose_trained(train, section, self._spec.study.seed)
        self._copies.add(_name(key), prints, train, held, fetch)
        self._sizes[key] += len(train)

    def describe(self) -> Scan | None:
        """Return the findings; None where fewer than two sources could be read."""
        sizes = [SourceSize(_name(key), rows, self._replayed[key]) for key, rows in self._sizes.items()]
        if sum(size.rows > 0 for size in sizes) < 2:
            return None
        findings = [self._copies.find_leaking()]
        if all(size.rows for size in sizes):
            findings.append(find_passes(self._spec, sizes))
        read = sum(size.rows for size in sizes)
        return Scan(Source(MIXTURE, TOGETHER), read, read, tuple(findings))


def _name(key: str) -> str:
    return key.removeprefix(f"{MIXTURE}.")


def _open_names(spec: StudySpec, stack: contextlib.ExitStack, tell: Tell) -> tuple[FindNames | None, str]:
    """Return what finds names, or a note on why it cannot."""
    if not spec.evaluate.names:
        return None, ""
    tell("loading the model that finds names")
    try:
        return stack.enter_context(open_finder(spec.evaluate.names)), ""
    except TrimtabError as error:
        return None, f"names are not looked for: {join_in_line(error)}"


def list_part(spec: StudySpec, section: DataOptions) -> StudySpec:
    """Return the study with one of its sources alone, as a trial reads it."""
    return msgspec.structs.replace(spec, data=section)


def _count_tokens(scan: Scan, part: StudySpec, is_training: bool) -> Scan:
    """Return the scan with the rows that are cut as trials cut them, where the token cache has them."""
    rows = token_cache_lookup.find(part) if scan.findings else None
    if rows is None:
        return scan
    parts = [rows.training] if is_training else [rows.validation]
    if is_training and not isinstance(part.data.validation, str):
        parts.append(rows.validation)
    limit = find_longest_sequence(part)
    findings = (
        count_cut(finding, parts, limit) if finding.name == CUT else finding for finding in scan.findings
    )
    return replace(scan, findings=tuple(findings))
