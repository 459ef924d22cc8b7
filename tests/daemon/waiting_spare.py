"""Stands in for ``spare_process``: the same process without torch, which writes down what it became."""

import json
import os
import sys
from pathlib import Path

from core.train.commands.spare_process import switch_to

raw = sys.stdin.buffer.read()
if raw:
    switch_to(json.loads(raw))
    said = {"arguments": sys.argv[1:], "folder": str(Path.cwd()), "environment": dict(os.environ)}
    print(json.dumps(said), flush=True)
