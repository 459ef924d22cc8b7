"""``make bench``: every bench, one after the other. They print figures; they judge nothing."""

from __future__ import annotations

import subprocess
import sys

BENCHES = (
    "console", "engine", "trainer", "asks", "memory --quick --shapes tiny",
    "sweep --trials 4 --steps 8 --rivals a,c", "regret --quick",
)  # fmt: skip

for bench in BENCHES:
    print(f"== {bench}", flush=True)
    name, *options = bench.split()
    subprocess.run([sys.executable, "-m", f"tests.bench.{name}", *options], check=False)
