"""``python -m tests.house.draw_names [--answers]``: draws 60 files by a fixed seed, to test their names.

A reader who sees only the paths writes down what each file holds; ``--answers`` adds the first line of each
file's docstring. The layout is good when at least 57 of the 60 guesses are right.
"""

from __future__ import annotations

import ast
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEED, COUNT = 101, 60


def draw() -> list[Path]:
    """The drawn files, sorted by path."""
    files = sorted(
        path for room in ("core", "tui") for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py"
    )
    return sorted(random.Random(SEED).sample(files, COUNT))


def main() -> None:
    """Print the paths, with their answers where they are asked for."""
    for path in draw():
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        answer = f"  # {doc.splitlines()[0]}" if "--answers" in sys.argv else ""
        print(f"{path.relative_to(ROOT)}{answer}")


if __name__ == "__main__":
    main()
