"""Each promise of SECURITY.md names a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text("utf-8"))


def test_each_promise_names_its_test():
    lines = (ROOT / "SECURITY.md").read_text("utf-8").splitlines()
    heads = ("## Another user", "## A hostile", "## Hostile data")
    section, bare = "", []
    for line in lines:
        section = line if line.startswith("## ") else section
        promise = line.startswith("| ") and not line.startswith(("| promise", "| ---"))
        if section.startswith(heads) and promise and "::" not in line:
            bare.append(line)
    assert len(NAMED) > 30 and bare == []


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_test_is_there(file, name):
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
