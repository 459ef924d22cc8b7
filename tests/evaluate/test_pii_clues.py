"""Rules that cannot match a text are left out: the findings are those of all rules."""

from __future__ import annotations

import json
import random
import re

import pytest

from core.evaluate.prompts.packaged_prompts import DATA, load_reference
from core.evaluate.text.pii_detector import KINDS, find_pii
from core.evaluate.text.pii_patterns import Rule

PLANTED = [json.loads(line)["text"] for line in (DATA / "planted_pii.jsonl").read_text("utf-8").splitlines()]


def variants():
    """Planted texts as they are, in other cases, in ASCII, cut, and two joined."""
    draw, texts = random.Random(4), [*PLANTED, *(passage.text for passage in load_reference())]
    for text in texts:
        ascii_text = text.encode("ascii", "ignore").decode()
        yield from (text, ascii_text, ascii_text.upper(), ascii_text.title(), ascii_text.lower())
        yield ascii_text[draw.randrange(len(text)) :] + draw.choice(texts).encode("ascii", "ignore").decode()


def test_the_clues_cost_no_finding(monkeypatch):
    texts = list(variants())
    quick = [find_pii(text, KINDS) for text in texts]
    monkeypatch.setattr(Rule, "may_match", lambda *_: True)
    for text, found in zip(texts, quick, strict=True):
        assert found == find_pii(text, KINDS), text


@pytest.mark.parametrize(
    "text", ["PASSPORT: AB123456", "D.O.B. 3/4/1990", "ſſn 078-05-1120", "call ٠١٢ ٣٤٥ ٦٧٨٩"]
)
def test_odd_spellings_are_found_as_before(text, monkeypatch):
    quick = find_pii(text, KINDS)
    monkeypatch.setattr(Rule, "may_match", lambda *_: True)
    assert quick == find_pii(text, KINDS) and re.search(r"\d", text)
