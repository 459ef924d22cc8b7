"""``python -m tests.bench.scan [MEGABYTES]``: how fast `trimtab check` reads a large JSONL file, in one
process and in as many as pay off, with the CPU time and the memory of all of them together.

Rows are chats of one or two questions made of the standard library's docstrings, about 950 bytes each. Each
way runs in a process of its own; the sample of the slow checks has one row.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from core import paths
from core.contract.spec.study_spec import DataOptions
from core.train.data import stdlib_pairs
from core.train.progress_callback import report_nothing

MEGABYTES = 300
POLL_S = 0.2
WAYS = (1, None)  # processes


def main(megabytes: int = MEGABYTES) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "rows.jsonl"
        rows = _write(file, megabytes)
        print(f"{file.stat().st_size / 1e6:.0f} MB, {rows:,} rows, load {os.getloadavg()[0]:.1f}", flush=True)
        for processes in WAYS:
            command = [sys.executable, "-m", "tests.bench.scan", "--run", str(file), str(processes)]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(paths.find_root())})


def run(file: str, processes: str) -> None:
    """Scan the file and print the figures."""
    from core.data.checks import scan_rows
    from core.data.checks.evaluation_prompt_matches import PromptIndex
    from core.data.readers.source_files import find_sources
    from core.data.scan.row_tallies import ScanOptions

    data = DataOptions(source=file, validation=0.01)
    count = None if processes == "None" else int(processes)
    options = ScanOptions(data, PromptIndex({}), 1, length=1024, processes=count)
    peak, ended = [0.0, 0.0], threading.Event()
    threading.Thread(target=_watch, args=(peak, ended), daemon=True).start()
    begin = time.perf_counter()
    (scan,) = scan_rows.scan_all(find_sources(data), options, lambda _: None)
    wall_s = time.perf_counter() - begin
    ended.set()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s, size = (
        sum(each.ru_utime + each.ru_stime for each in used) - peak[1],
        Path(file).stat().st_size / 1e6,
    )
    print(
        f"processes {processes:<5} {scan.read:,} rows  {wall_s:6.1f} s  {size / wall_s:5.1f} MB/s  "
        f"{1000 * cpu_s / size:5.1f} ms of CPU a MB  {peak[0] / 1e6:,.0f} MB of memory"
    )


def _watch(peak: list[float], ended: threading.Event) -> None:
    """Keep the most memory that this process and its children have had at once, without what they share, and
    the CPU time that looking took."""
    me = psutil.Process()
    while not ended.wait(POLL_S):
        total = 0
        for process in [me, *me.children(recursive=True)]:
            try:
                total += process.memory_full_info().uss
            except psutil.Error:
                continue
        peak[:] = max(peak[0], total), time.thread_time()


def _write(file: Path, megabytes: int) -> int:
    pairs, draw = stdlib_pairs.load_pairs(report_nothing), random.Random(1)
    words = " ".join(pair["completion"] for pair in pairs).split()
    size = rows = 0
    with file.open("w", encoding="utf-8") as out:
        while size < megabytes * 1_000_000:
            turns = []
            for _ in range(draw.choice((1, 1, 2))):
                turns.append({"role": "user", "content": _say(draw, words, 1, 12) + _say(draw, words, 1, 40)})
                turns.append({"role": "assistant", "content": _say(draw, words, 8, 14)})
            size += out.write(json.dumps({"messages": turns}) + "\n")
            rows += 1
    return rows


def _say(draw: random.Random, words: list[str], most: int, length: int) -> str:
    begins = [draw.randrange(len(words) - length) for _ in range(draw.randint((most + 1) // 2, most))]
    return " ".join(" ".join(words[at : at + draw.randint(4, length)]) for at in begins)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
