"""Prints what a scan found in a study's rows, as comments that a TOML file may hold."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from core.cli import activity_line
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import plain
from core.data.checks import evaluation_rows, scan_rows
from core.data.checks.check_finding import Finding, Severity
from core.data.readers.source_files import find_sources
from core.errors import SpecError, in_line
from core.evaluate.prompts.study_prompts import Library

WIDTH = 80
SMALLEST = 0.0005  # share that is written as a number: 0.05 %


def print_scan(spec: StudySpec, size: int) -> None:
    """Scan the rows of a study, ``size`` of each source, and print the findings."""
    index, fault = _index(spec)
    for line in fault:
        print(line)
    for key, section in spec.data.inputs.items():
        for source in find_sources(section, key):
            scan = scan_rows.scan(source, section, index, size, activity_line.set_activity)
            print("\n".join(describe(scan)), flush=True)


def _index(spec: StudySpec) -> tuple[evaluation_rows.PromptIndex, list[str]]:
    """Return the study's prompts; none, and the reason, if they cannot be read."""
    try:
        prompts = evaluation_rows.list_prompts(Library(spec.evaluate))
    except SpecError as error:
        message = f"rows are not compared with evaluation prompts: {in_line(error)}"
        return evaluation_rows.PromptIndex({}), list(_wrap_comment(message))
    return evaluation_rows.PromptIndex(prompts), []


def describe(scan: scan_rows.Scan) -> Iterator[str]:
    """Return the lines for one source."""
    source = scan.source
    label = f"{source.key} = {plain(source.name, 200)!r}"
    if not scan.findings:
        yield from _wrap_comment(f"{label}: {'; '.join(scan.notes) or 'no rows'}")
        return
    some = f"{scan.sampled:,} of {scan.read:,} rows, drawn at random"
    rows = some if scan.sampled < scan.read else f"all {scan.read:,} rows"
    yield "#"
    yield from _wrap_comment(f"scanned {rows}: {label}")
    for finding in scan.findings:
        yield from _describe_finding(finding)
    for note in scan.notes:
        yield from _wrap_comment(f"note: {note}")


def _describe_finding(finding: Finding) -> Iterator[str]:
    if not finding.rows:
        yield from _wrap_comment(f"-       {finding.name}: no row has an answer")
        return
    mark = "ok" if finding.severity is Severity.NONE else finding.severity.value
    yield from _wrap_comment(f"{mark:<7} {finding.name}: {_describe_count(finding)}")
    if finding.detail:
        yield from _wrap_comment(f"{finding.detail}", 8)
    for example in finding.examples:
        yield from _wrap_comment(f"row {example.row}: {example.text}", 8)
    if finding.remedy:
        yield from _wrap_comment(f"→ {finding.remedy}", 8)
    if finding.detector:
        yield from _wrap_comment(f"detector: {finding.detector}", 8)


def _describe_count(finding: Finding) -> str:
    """Return the count, the share, and the interval of the true share, which allows for the detector's
    errors."""
    score = finding.corrected or finding.share
    share = f"{finding.hits:,} of {finding.rows:,} rows, {_number(finding.hits / finding.rows)} %"
    if score.low is None or score.high is None:
        return f"{share} ({score.reason})"
    return f"{share} (true share: {_number(score.low)} to {_number(score.high)} %)"


def _number(share: float) -> str:
    return "0" if not share else "<0.05" if share < SMALLEST else f"{100 * share:.3g}"


def _wrap_comment(text: str, indent: int = 0) -> Iterator[str]:
    """Return comment lines of at most WIDTH columns; the second and later ones are indented."""
    start = "# " + " " * indent
    yield from textwrap.wrap(
        plain(text),
        WIDTH,
        break_on_hyphens=False,
        initial_indent=start,
        subsequent_indent=f"# {' ' * max(8, indent)}",
    )
