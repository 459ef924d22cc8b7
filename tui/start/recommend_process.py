"""Runs `trimtab recommend` and `trimtab fit` as processes: the console loads none of what they need."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import paths
from core.contract.text import byte_sizes
from core.contract.text.sanitize import sanitize

LONGEST_S = 300.0  # a model without formulas is traced


@dataclass(frozen=True)
class Answer:
    """What a command printed: one JSON object, or else in ``fault`` what went wrong."""

    found: dict[str, Any]
    fault: str = ""


async def run_command(words: Sequence[str]) -> Answer:
    """Run ``trimtab WORDS`` with ``--json``. One that is cancelled ends its process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tui.entry_point", words[0], "--json", *words[1:],
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(paths.find_root()), "NO_COLOR": "1"},
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(), LONGEST_S)
    except TimeoutError:
        return Answer({}, f"`trimtab {words[0]}` took longer than {LONGEST_S:.0f} s")
    finally:
        if process.returncode is None:
            process.kill()
    try:
        answer = json.loads(out)  # exit code 1 says that nothing fits, and why
        return Answer(answer if isinstance(answer, dict) else {})
    except ValueError:
        message = sanitize(errors.decode(errors="replace").strip()[-1500:], lines=True)
        return Answer({}, message.replace("trimtab: ", "") or f"`trimtab {words[0]}` printed nothing")


def make_recommend_command(model: str, data: str, rows: str, device: str, out: str) -> list[str]:
    """Return the command line of the recommendation; ``rows`` and ``device`` may be empty."""
    words = ["recommend", "--out", out]
    words += ["--rows", rows] if rows else []
    words += ["--gpu", device] if device else []
    return [*words, "--", model, data]


def make_fit_command(file: str, device: str) -> list[str]:
    """Return the command line of the memory estimate."""
    return ["fit", *(["--gpu", device] if device else []), file]


def list_memory_lines(answer: Mapping[str, Any]) -> list[str]:
    """Return the memory estimate of `trimtab fit --json` in a few lines."""
    limit = answer.get("limit_bytes")
    allowed = byte_sizes.format_bytes(limit) if limit is not None else "unknown"
    device = sanitize(str(answer.get("device", {}).get("name", "")), 80)
    lines = [f"{device}: limit {allowed}"]
    for name, label in (("trial", "a trial"), ("smallest", "smallest trial"), ("largest", "largest trial")):
        if name in answer:
            verdict = "fits" if answer[name]["fits"] else "DOES NOT FIT"
            lines.append(f"{label}: {byte_sizes.format_bytes(answer[name]['device_bytes'])}, {verdict}")
    if answer.get("share_that_fits", 1.0) < 1.0:
        lines.append(f"{answer['share_that_fits']:.0%} of the search space fits")
    return [*lines, *(sanitize(str(line), 300) for line in answer.get("advice", ()))]
