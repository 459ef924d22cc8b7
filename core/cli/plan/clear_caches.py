"""``trimtab caches``: shows what is kept of rows, with its size, or deletes it.

``--json`` prints {"folder", "limit_bytes", "kinds": {KIND: {"entries", "bytes"}…}, "other_bytes"}, or with
``clear`` {"deleted", "bytes", "in_use"}.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from core import paths
from core.cli import exit_codes, output_formatting
from core.contract.text.byte_sizes import format_bytes
from core.contract.text.sanitize import sanitize
from core.data.cache import cache_limit
from core.errors import TrimtabError
from core.watch.doctor_finding import OK, WARN, Finding

HINT = "`trimtab caches clear` deletes them, except what a worker uses; {} sets the limit"


def show_or_clear_caches(arguments: argparse.Namespace) -> int:
    """Print the size of each kind, or delete all. Raises TrimtabError for a limit that is no size."""
    if arguments.action == "clear":
        return _clear(arguments.json)
    limit, kinds, others = cache_limit.find_limit(), count_kinds(), _measure_others()
    folder = str(paths.cache())
    if arguments.json:
        sizes = {kind: {"entries": entries, "bytes": size} for kind, (entries, size) in kinds.items()}
        output_formatting.dump(
            {"folder": folder, "limit_bytes": limit, "kinds": sizes, "other_bytes": others}
        )
        return exit_codes.OK
    for kind, (entries, size) in kinds.items():
        print(f"{kind:<18}{entries:>8,}{format_bytes(size):>12}")
    total = sum(size for _, size in kinds.values())
    print(f"{format_bytes(total)} of at most {format_bytes(limit)} in {sanitize(folder, 300)}")
    print(f"besides, models, scores and memory formulas: {format_bytes(others)}, which are never deleted")
    print(HINT.format(cache_limit.VARIABLE))
    return exit_codes.OK


def list_findings() -> Iterator[Finding]:
    """Yield what `trimtab doctor` says about the caches."""
    try:
        limit, kinds = cache_limit.find_limit(), count_kinds()
    except TrimtabError as error:
        problem = error.problems[0]
        yield Finding("cache size", WARN, f"{problem.where}: {problem.what}", problem.fix)
        return
    total = sum(size for _, size in kinds.values())
    parts = ", ".join(f"{kind} {format_bytes(size)}" for kind, (_, size) in kinds.items() if size)
    text = f"{format_bytes(total)} of at most {format_bytes(limit)}{f': {parts}' if parts else ''}"
    yield Finding("cache size", OK, f"{text}; `trimtab caches` shows and clears them")


def count_kinds() -> dict[str, tuple[int, int]]:
    """The number of entries of each kind, and their bytes."""
    counts = dict.fromkeys(cache_limit.KINDS, (0, 0))
    for entry in cache_limit.list_entries():
        entries, size = counts[entry.kind]
        counts[entry.kind] = entries + 1, size + entry.size_bytes
    return counts


def _clear(as_json: bool) -> int:
    cleared = cache_limit.clear()
    if as_json:
        output_formatting.dump(
            {"deleted": cleared.entries, "bytes": cleared.size_bytes, "in_use": cleared.in_use}
        )
        return exit_codes.OK
    in_use_text = f"; {cleared.in_use} are in use and are left" if cleared.in_use else ""
    print(f"{cleared.entries:,} entries deleted, {format_bytes(cleared.size_bytes)} freed{in_use_text}")
    return exit_codes.OK


def _measure_others() -> int:
    """The bytes of all other files in the cache."""
    known_bytes = sum(entry.size_bytes for entry in cache_limit.list_entries())
    return max(0, _measure(paths.cache()) - known_bytes)


def _measure(folder: Path) -> int:
    total = 0
    for place in folder.rglob("*"):
        try:
            total += 0 if place.is_dir() else place.lstat().st_size
        except OSError:  # another process deletes it
            continue
    return total
