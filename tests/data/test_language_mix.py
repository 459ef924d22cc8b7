"""Rows in another language than most are counted, where the extra is installed."""

from __future__ import annotations

import importlib.util

import pytest

from core.data.checks import language_mix
from core.data.checks.check_finding import Severity
from core.data.checks.language_mix import find_languages
from core.evaluate.prompts.packaged_prompts import load_reference
from tests.data.planted import answers

needs_extra = pytest.mark.skipif(
    importlib.util.find_spec("py3langid") is None, reason="the extra 'languages' is not installed"
)
GERMAN = (
    "Der Zug nach München fährt heute wegen eines Schadens an der Strecke erst eine Stunde später ab, "
    "und die Leute warten mit ihren Koffern auf dem Bahnsteig, trinken Kaffee und lesen die Zeitung."
)


def english():
    return [passage.text for passage in load_reference() if len(passage.text) >= language_mix.FEWEST][:26]


@needs_extra
def test_german_rows_among_english_ones_are_found():
    finding = find_languages(answers([*english(), *[GERMAN] * 10]))
    print(f"languages: {finding.detail}")
    assert finding.hits == 10 and finding.severity is Severity.LOW and "de 27.8 %" in finding.detail
    assert [example.row for example in finding.examples] == [27, 28, 29]


@needs_extra
def test_rows_of_one_language_are_no_finding():
    finding = find_languages(answers(english()))
    assert finding.severity is Severity.NONE and finding.detail == "en 100 %"


@needs_extra
def test_short_texts_are_not_judged():
    finding = find_languages(answers([*english(), *["Ja, gewiss."] * 10]))
    assert finding.hits == 0 and finding.rows == len(english())


def test_without_the_extra_the_finding_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    finding = find_languages(answers(english()))
    assert "trimtab[languages]" in finding.detail and not finding.rows
