"""A model of the user's own judges answers in place of the packaged rules; a bad one is told at once."""

import json

import pytest
import torch

from core.contract.events import event_types as e
from core.errors import TrimtabError
from core.evaluate.text.answer_judge import OBEYED, AnswerJudge, load_planted_answers
from core.evaluate.text.refusal_classifier import Stance
from core.train.evaluation.custom_judge_model import load_judge
from tests.tiny import tiny_tokenizer
from tests.train.taught import KIND, speaker
from tests.train.test_boards import SAFETY, scores
from tests.train.test_classifier import classifier

CPU = torch.device("cpu")
ANSWERS = ["It is quite easy to do.", "", "I'm so glad. I'm so glad. I'm so glad. I'm so glad."]


@pytest.mark.parametrize(
    ("labels", "bias", "stance"),
    [
        (("compliance", "refusal"), (9.0, 0.0), Stance.COMPLIANCE),
        (("compliance", "refusal"), (0.0, 9.0), Stance.REFUSAL),
        (("full_refusal", "partial_refusal", "full_compliance"), (0.0, 9.0, 0.0), Stance.PARTIAL),
        (("refusal", "not_refusal"), (0.0, 9.0), Stance.COMPLIANCE),
    ],
)
def test_a_classifier_judges_what_is_neither_empty_nor_babble(tmp_path, labels, bias, stance):
    judge = load_judge(str(classifier(tmp_path, labels, bias)), CPU)
    assert judge.judge(["How?"] * 3, ANSWERS) == [stance, Stance.EMPTY, Stance.INCOHERENT]
    assert judge.judge(["How? " * 400], ["It is easy, " + "one two three four five " * 99])[0] in Stance


def test_a_generative_model_judges_by_its_likeliest_letter(folder):
    judge = load_judge(str(folder), CPU)
    judged = judge.judge(["How?", "Why?"], ANSWERS[:2])
    assert judged[0] in (Stance.REFUSAL, Stance.PARTIAL, Stance.COMPLIANCE) and judged[1] is Stance.EMPTY


def generative(folder, family):
    """A tiny language model with random weights, large enough that its answers differ."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    size = {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": None,
        "initializer_range": 0.5,
    }
    torch.manual_seed(0)
    if family == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=2048, **size))
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, **size
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("keeps_all", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_answers_judged_together_are_judged_as_each_alone(tmp_path, monkeypatch, family, keeps_all):
    """Also by a model with positions of its own, and by one that returns the logits of all tokens."""
    judge = load_judge(str(generative(tmp_path, family)), CPU)
    if keeps_all:
        forward = judge._model.forward
        monkeypatch.setattr(judge._model, "forward", lambda input_ids, attention_mask: forward(
            input_ids=input_ids, attention_mask=attention_mask
        ))  # fmt: skip
    prompts = [list(range(10, 10 + 7 * count)) for count in range(1, 20)]
    together = judge.next_logits(prompts)
    for prompt, logits in zip(prompts, together, strict=True):
        assert torch.allclose(judge.next_logits([prompt])[0], logits, atol=1e-4)
    requests = [
        f"How do I {word} it?" for word in ("open", "read", "list", "write", "close") for _ in range(4)
    ]
    answers = [f"First {'look and then '[: at % 15]}you take part {at} of the list" for at in range(20)]
    known = judge.judge(requests, answers)
    assert len(set(known)) > 1, "answers that are judged alike show nothing"
    monkeypatch.setattr(judge, "batch", 1)
    assert judge.judge(requests, answers) == known


def test_a_generative_judge_reads_eight_answers_at_once(folder, monkeypatch):
    judge, sizes = load_judge(str(folder), CPU), []
    read = judge.next_logits
    monkeypatch.setattr(judge, "next_logits", lambda prompts: sizes.append(len(prompts)) or read(prompts))
    judge.judge(["How?"] * 19, [ANSWERS[0]] * 19)
    assert sizes == [8, 8, 3]


def test_labels_that_do_not_name_a_refusal_are_refused(tmp_path):
    with pytest.raises(TrimtabError, match="do not say what a refusal is: neutral, toxic"):
        load_judge(str(classifier(tmp_path)), CPU)
    with pytest.raises(TrimtabError, match="the judge could not be loaded"):
        load_judge(str(tmp_path / "none"), CPU)


def test_the_boards_are_judged_by_it_and_say_how_often_it_is_right(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    place = classifier(tmp_path / "judge", ("compliance", "refusal"), (0.0, 9.0))
    one = bench(evaluate={**SAFETY, "judge": str(place)})
    one.assign(tmp_path)
    one.finish()
    assert not one.of(e.TrialFailed)
    refusal = scores(one)["safety/refusal"]
    assert "too close to chance" in refusal.reason, "one that calls everything a refusal says nothing"


def always(folder, letter):
    """A language model that answers every question with ``letter``."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = tiny_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=8, n_layer=1, n_head=1, n_positions=512, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.fill_(1.0)
        model.lm_head.weight.zero_()
        model.lm_head.weight[tokenizer(letter, add_special_tokens=False)["input_ids"][-1]] = 1.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def polite(tmp_path_factory):
    """A base whose answers are sentences, so that there is something to judge."""
    return speaker(tmp_path_factory.mktemp("polite"), KIND)


@pytest.mark.parametrize(("letter", "stance"), [("A", "refusal"), ("C", "compliance")])
def test_a_generative_judge_judges_the_answers_of_a_trial(bench, polite, tmp_path, letter, stance):
    boards = {**SAFETY, "judge": str(always(tmp_path / "judge", letter)), "generate_every": 1}
    one = bench(model={"base": str(polite)}, evaluate=boards, train={"steps": 2})
    one.assign(tmp_path, learning_rate=1e-6)
    one.finish()
    assert not one.of(e.TrialFailed)
    told = json.loads((tmp_path / "0" / "evidence" / "safety_refusal.json").read_text())
    notes = [note for *_, note in told["samples"]]
    assert stance in notes and set(notes) <= {
        stance,
        "incoherent",
        "empty",
        "refused, by topic and language",
    }, notes
    assert "judge" in scores(one)["safety/refusal"].reason, "which judge it was, and how often it is right"


def test_planted_answers_are_judged_once_by_a_judge_for_all_that_is_counted():
    class Counting(AnswerJudge):
        judged = 0

        def judge(self, requests, answers):
            self.judged += len(answers)
            return super().judge(requests, answers)

    judge = Counting()
    for of in ((Stance.REFUSAL,), OBEYED):
        for english in (True, False):
            judge.measure_quality(of, english)
    assert judge.judged == len(load_planted_answers())


def test_the_rules_state_their_errors_for_what_they_count():
    judge = AnswerJudge()
    for of in ((Stance.REFUSAL,), OBEYED):
        for english in (True, False):
            quality = judge.measure_quality(of, english)
            assert quality.positives > 20 and quality.negatives > 10
            assert judge.measure_quality(of, english) is quality, "measured once"
            assert str(quality).startswith("n-gram classifier (")
