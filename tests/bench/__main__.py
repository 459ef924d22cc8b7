"""``make bench``: every bench, one after the other. They print figures; they judge nothing."""

from __future__ import annotations

import subprocess
import sys

BENCHES = ("console", "engine", "trainer")

for name in BENCHES:
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False)
