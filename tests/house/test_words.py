"""Documents and comments use the words of the glossary in CONTRIBUTING.md, not those that they replaced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.cli.inspect.man_page import make_man_page
from tests.house.manual import MARKED
from tests.house.test_manual import DOCUMENTS

# Only words that have no other use in these texts: the glossary has more.
BANNED = {
    r"foretold|foretell\w*|foresight": "estimate",
    r"nobody|nobody's": "no one, or a sentence with a subject",
    r"told the sampler|told to the sampler|tell the sampler": "reported to the sampler",
    r"memory end(s|ed)": "out of memory",
    r"beside(?!s)": "next to, together with",
    r"misfits?": "infeasible, too large",
    r"weighed|weighing": "estimate, admission check",
    r"no objective\b|no metric\b": "not an objective, not a metric",
}
STEMS = (
    "foret",
    "foresight",
    "nobody",
    "sampler",
    "memory end",
    "beside",
    "misfit",
    "weigh",
    "no objective",
    "no metric",
)
COMMENT_OR_DOCSTRING = re.compile(r'#[^\n]*|"""[\s\S]*?"""')
NAME = re.compile(r"``?[^`\n]*``?")
NOT_SCANNED = re.compile(r"```.*?```|`[^`\n]*`|## Glossary.*", re.DOTALL)


def unwanted(text: str) -> list[str]:
    """Each banned word, with its line and what to write instead."""
    return [
        f"line {number}: {hit[0]!r}: write {instead}"
        for number, line in enumerate(text.splitlines(), 1)
        for word, instead in BANNED.items()
        for hit in re.finditer(rf"\b(?:{word})\b", line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_uses_the_terms_of_the_field(document):
    text = document.read_text("utf-8")
    for pattern in (MARKED, NOT_SCANNED):  # tables are the words of the code; names are names
        text = pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
    assert unwanted(text) == []


def test_the_help_of_every_command_uses_the_terms_of_the_field():
    assert unwanted(make_man_page()) == []


@pytest.mark.parametrize("room", ("core", "tui", "configs"))
def test_comments_and_docstrings_use_the_terms_of_the_field(room):
    folder = Path(__file__).parents[2] / room
    texts = {path: path.read_text("utf-8") for end in ("py", "toml") for path in folder.rglob(f"*.{end}")}
    suspects = {
        path: text
        for path, text in texts.items()
        if (lowered := text.lower()) and any(stem in lowered for stem in STEMS)
    }
    faults = {
        str(path): unwanted("\n".join(NAME.sub("", part) for part in COMMENT_OR_DOCSTRING.findall(text)))
        for path, text in suspects.items()
        if "prompts/data" not in str(path)
    }
    assert {path: found for path, found in faults.items() if found} == {}
