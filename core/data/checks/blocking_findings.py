"""Findings that keep a study from starting, unless ``data.allow`` names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from core.data.checks.check_finding import Finding
from core.errors import Problem


def find_blocking(findings: Iterable[Finding], allowed: Collection[str], key: str) -> list[Problem]:
    """Return a problem for each finding that blocks; ``key`` names the source, such as "data.source"."""
    return [
        Problem(
            describe(finding),
            key,
            f'{finding.remedy}; or start all the same: data.allow = ["{finding.blocks}"]',
        )
        for finding in findings
        if finding.blocks and finding.blocks not in allowed
    ]


def describe_allowed(findings: Iterable[Finding], allowed: Collection[str]) -> list[str]:
    """Return a note for each finding that would block without ``data.allow``."""
    return [
        f'data.allow = ["{finding.blocks}"]: {describe(finding)}'
        for finding in findings
        if finding.blocks and finding.blocks in allowed
    ]


def describe(finding: Finding) -> str:
    """Return the finding in a few words."""
    share = f"{100 * finding.hits / max(1, finding.rows):.3g} %"
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"{finding.name}: {finding.hits:,} of {finding.rows:,} rows, {share}{detail}"
