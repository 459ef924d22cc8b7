"""Prints what a scan found in a study's rows, as comments that a TOML file may hold."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from core.cli import activity_line
from core.cli.plan.progress_bar import ProgressBar
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.data.checks import scan_rows
from core.data.checks.blocking_findings import find_blocking
from core.data.checks.check_finding import Finding, Severity
from core.data.review import study_scan
from core.errors import Problem

WIDTH = 80
SMALLEST = 0.0005  # share that is written as a number: 0.05 %


def print_scan(spec: StudySpec, size: int, against: Sequence[str] = ()) -> list[Problem]:
    """Scan the rows of a study, with a sample of ``size`` from each source, and print the findings.

    Returns what keeps the study from starting. Raises TrimtabError for a file of evaluation data that
    cannot be read.
    """
    prompts, fault = study_scan.list_prompts(spec)
    if fault:
        print("\n".join(_wrap_comment(fault)))
    problems, bar = list[Problem](), ProgressBar()
    if bar.is_live:
        activity_line.stop_activity()

    def tell(what: str) -> None:
        activity_line.set_activity(what)
        if not what.startswith("reading "):
            bar.tell(what)

    for section, scan in study_scan.scan_study(spec, prompts, size, tell, bar.show, against):
        bar.clear()
        print("\n".join(describe(scan)), flush=True)
        problems += [*scan.faults, *find_blocking(scan.findings, section.allow, scan.source.key)]
    return problems


def describe(scan: scan_rows.Scan) -> Iterator[str]:
    """Return the lines for one source."""
    source = scan.source
    label = f"{source.key} = {sanitize(source.name, 200)!r}"
    if not scan.findings:
        yield from _wrap_comment(f"{label}: {'; '.join(scan.notes) or 'no rows'}")
        return
    sample_text = f"{scan.sampled:,} of {scan.read:,} rows, drawn at random"
    rows = sample_text if scan.sampled < scan.read else f"all {scan.read:,} rows"
    yield "#"
    yield from _wrap_comment(f"scanned {rows}: {label}")
    absent = [finding.name for finding in scan.findings if _is_absent(finding)]
    for finding in scan.findings:
        if finding.name not in absent:
            yield from _describe_finding(finding)
    if absent:
        yield from _wrap_comment(f"ok      in none of all {scan.read:,} rows: {', '.join(absent)}")
    for note in scan.notes:
        yield from _wrap_comment(f"note: {note}")


def _is_absent(finding: Finding) -> bool:
    """Whether there is no more to say than that all rows were read and none has it."""
    return bool(finding.rows) and not (finding.hits or finding.detail or finding.detector)


def _describe_finding(finding: Finding) -> Iterator[str]:
    if not finding.rows:
        yield from _wrap_comment(f"-       {finding.name}: {finding.detail or 'no text to judge'}")
        return
    mark = "ok" if finding.severity is Severity.NONE else finding.severity.value
    yield from _wrap_comment(f"{mark:<7} {finding.name}: {_describe_count(finding)}")
    if finding.blocks:
        yield from _wrap_comment(
            f'no study starts on these rows without data.allow = ["{finding.blocks}"]', 8
        )
    if finding.detail:
        yield from _wrap_comment(f"{finding.detail}", 8)
    for example in finding.examples:
        yield from _wrap_comment(f"row {example.row}: {example.text}", 8)
    if finding.remedy:
        yield from _wrap_comment(f"→ {finding.remedy}", 8)
    if finding.detector:
        yield from _wrap_comment(f"detector: {finding.detector}", 8)


def _describe_count(finding: Finding) -> str:
    """Return the count and the share; of a detector's finding in a sample also the interval of the true
    share, which allows for its errors."""
    score = finding.corrected or finding.share
    share = f"{finding.hits:,} of {finding.rows:,} rows, {_format_number(finding.hits / finding.rows)} %"
    if not finding.detector:
        return share
    if score.low is None or score.high is None:
        return f"{share} ({score.reason})"
    return f"{share} (true share: {_format_number(score.low)} to {_format_number(score.high)} %)"


def _format_number(share: float) -> str:
    return "0" if not share else "<0.05" if share < SMALLEST else f"{100 * share:.3g}"


def _wrap_comment(text: str, indent: int = 0) -> Iterator[str]:
    """Return comment lines of at most WIDTH columns; the second and later ones are indented."""
    start = "# " + " " * indent
    yield from textwrap.wrap(
        sanitize(text),
        WIDTH,
        break_on_hyphens=False,
        initial_indent=start,
        subsequent_indent=f"# {' ' * max(8, indent)}",
    )
