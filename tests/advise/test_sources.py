"""Whoever reads a recommendation can look it up, or is told that nobody published it."""

from __future__ import annotations

from core.advise import citations
from core.advise.study_recommendations import RULES
from core.contract.spec.knob_table import KNOBS

OWN = (
    citations.PRACTICE,
    citations.ESTIMATE,
    citations.GUESS,
    citations.READ,
    citations.ASKED,
    citations.DEFAULT,
)


def test_each_rule_names_a_link_or_says_that_there_is_none():
    for rule in RULES:
        assert rule.sources, rule.knob
        for source in rule.sources:
            assert source.link.startswith("https://") or source in OWN, rule.knob


def test_a_knob_has_one_rule_at_most():
    named = [rule.knob for rule in RULES if rule.section == "train"]
    assert len(set(named)) == len(named) >= 14 and set(named) <= set(KNOBS)


def test_most_of_what_a_trial_does_is_published():
    assert sum(citations.PRACTICE not in rule.sources for rule in RULES if rule.section == "train") >= 10
