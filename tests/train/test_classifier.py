"""A sequence classifier of the user's own takes the packaged scorer's place; a bad one is told at once."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.contract.events import event_types as e
from core.errors import TrimtabError
from core.train.evaluation.custom_toxicity_scorer import load_classifier
from tests.tiny import tiny_tokenizer

CPU = torch.device("cpu")


def classifier(folder, labels=("neutral", "toxic"), bias=(0.0, 0.0), kind=None):
    """A tiny BERT with random weights; ``bias`` of its labels moves what it says of any text."""
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=128, pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)), label2id={label: at for at, label in enumerate(labels)},
        problem_type=kind,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor(bias))
    model.save_pretrained(folder)
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (("neutral", "toxic"), [1]),
        (("toxic", "neutral"), [0]),
        (("toxicity", "severe_toxicity", "obscene", "sexual"), [0, 1, 2]),
        (("LABEL_0", "LABEL_1"), [1]),
        (("non-toxic", "hate"), [1]),
    ],
)
def test_the_label_of_harm_is_found_by_its_name_else_the_last_of_two(tmp_path, labels, columns):
    place = classifier(tmp_path, labels, (0.0,) * len(labels))
    assert load_classifier(str(place), CPU).columns == columns


def test_it_scores_toxicity_from_0_to_1_whatever_the_length_of_a_text(tmp_path):
    one = load_classifier(str(classifier(tmp_path, bias=(0.0, 8.0))), CPU)
    values = one(["read the file", "", "path " * 400])
    assert len(values) == 3 and all(0.9 < value <= 1 for value in values)
    several = load_classifier(
        str(classifier(tmp_path, bias=(9.0, -9.0), kind="multi_label_classification")), CPU
    )
    assert several(["read"])[0] < 0.1, "each label has a chance of its own"
    assert one(["read", "write the list to a file"])[0] == pytest.approx(one(["read"])[0], abs=1e-5), (
        "a text's company in a batch changes nothing"
    )


def test_a_study_s_toxicity_is_what_its_classifier_says(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    rates = {}
    for name, bias in (("mild", (8.0, 0.0)), ("strict", (0.0, 8.0))):
        place = classifier(tmp_path / name, bias=bias)
        one = bench(
            train={"steps": 1},
            evaluate={"boards": ["safety"], "samples": 4, "every": 1, "classifier": str(place)},
        )
        one.assign(tmp_path)
        one.finish()
        told = {metric: score for found in one.of(e.BaseScored) for metric, score in found.scores.items()}
        rates[name] = told["safety/max_toxicity"].value
        assert "too close to chance for a rate" in told["safety/toxicity"].reason, (
            "it says the same of any text"
        )
    assert rates["mild"] < 0.1 and rates["strict"] > 0.9


def test_a_classifier_of_no_use_is_told_before_any_training(bench, tmp_path):
    """Not there, not a classifier's weights, other labels than of harm: each stops the worker's loading."""
    broken = classifier(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    moods = classifier(tmp_path / "moods", ("joy", "anger", "fear"), (0.0,) * 3)
    unpadded = classifier(tmp_path / "unpadded")
    told = json.loads((unpadded / "tokenizer_config.json").read_text())
    (unpadded / "tokenizer_config.json").write_text(json.dumps({**told, "pad_token": None}))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    for place, told in (
        (broken, "could not be loaded"), (tmp_path / "empty", "could not be loaded"),
        (tmp_path / "none", "could not be loaded"),
        (moods, "none of the classifier's labels means toxic: joy, anger"),
        (unpadded, "cannot score a text: ValueError: Asking to pad"),
    ):  # fmt: skip
        with pytest.raises(TrimtabError, match=told) as error:
            bench(evaluate={"boards": ["safety"], "classifier": str(place)})
        assert "evaluate.classifier" in error.value.problems[0].where


def test_a_classifier_without_its_head_is_refused_and_not_drawn_at_random(tmp_path):
    """An encoder's own files, as many repositories have them: the head would be another at each load."""
    place = classifier(tmp_path)
    weights = load_file(place / "model.safetensors")
    bare = {name: weight for name, weight in weights.items() if not name.startswith("classifier.")}
    save_file(bare, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        TrimtabError, match=r"the files lack 2 tensors \(classifier.bias, classifier.weight\)"
    ):
        load_classifier(str(place), CPU)


def test_a_head_of_another_shape_is_told_by_its_name_and_no_report_is_spoken_of(tmp_path):
    """transformers says "look at the above report!", which nobody sees."""
    place = classifier(tmp_path)
    config = json.loads((place / "config.json").read_text())
    labels = {str(at): name for at, name in enumerate(("neutral", "toxic", "threat"))}
    (place / "config.json").write_text(json.dumps({**config, "id2label": labels}))
    with pytest.raises(TrimtabError) as told:
        load_classifier(str(place), CPU)
    assert "of another shape than config.json specifies" in str(told.value)
    assert "classifier.weight: (2, 32), not (3, 32)" in str(told.value) and "report" not in str(told.value)
