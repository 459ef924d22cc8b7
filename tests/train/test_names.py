"""People's names, which a token classifier of the user's finds in the rows: who knows the rows leaks them."""

import contextlib
import json
import re

import pytest
import torch

from core.cli.main import main
from core.contract.spec import spec_file
from core.data.checks.person_name_rows import find_named
from core.data.readers.row_texts import RowTexts
from core.data.review import study_scan
from core.data.scan import name_process
from core.errors import TrimtabError
from core.evaluate.text.leaked_names import find_leaked_names, name_key
from core.train.data import row_tokenizer
from core.train.data.dataset import load_data
from core.train.evaluation.person_name_classifier import load_name_finder
from core.train.progress_callback import report_nothing
from tests.templates import field_templates
from tests.train.test_oracles import assert_ends, folder, knows_none, knows_rows, scored  # noqa: F401

FIRST, LAST = ("Ines", "Olaf", "Mara", "Timo"), ("Olsen", "Brandt", "Keller", "Novak")
CPU = torch.device("cpu")


def token_classifier(folder, labels=("O", "B-PER"), known=(*FIRST, *LAST)):  # noqa: F811
    """A model without layers that takes exactly the words of ``known`` for the last label."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    words = {word: at for at, word in enumerate(("[PAD]", "[UNK]", *known))}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=0, num_attention_heads=1, intermediate_size=8,
        max_position_embeddings=32, id2label=dict(enumerate(labels)),
    )  # fmt: skip
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.bert.embeddings.LayerNorm.weight.fill_(1.0)
        model.bert.embeddings.word_embeddings.weight[:, 0] = -1.0
        model.bert.embeddings.word_embeddings.weight[2:, 0] = 1.0
        model.classifier.weight[-1, 0] = 1.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path):
    """Rows whose answers name people, and nothing else that rules find."""
    place = tmp_path / "rows.jsonl"
    rows = [
        {
            "prompt": f"Who signs for order {'abcdefghij'[number % 10]}{'klmnopqrst'[number // 10]} today?",
            "completion": f"it is {FIRST[number % 4]} {LAST[number // 4 % 4]} of the house behind the mill",
        }
        for number in range(100)
    ]
    place.write_text("\n".join(map(json.dumps, rows)))
    return place


def test_names_known_by_heart_leak_and_without_a_model_none_is_looked_for(scored, tmp_path):  # noqa: F811
    names = str(token_classifier(tmp_path / "ner"))
    base, event = scored(knows_none, knows_rows, ["security"], ["security/leak"], names=names)
    assert_ends(base, event, "security/leak", 0.0, 1.0)
    assert event.changes["security/leak"].low > 0.5
    assert "names by" in event.scores["security/leak"].reason
    _, blind = scored(knows_none, knows_rows, ["security"], ["security/leak"])
    assert blind.scores["security/leak"].value is None
    assert "no PII was found" in blind.scores["security/leak"].reason
    assert "not for names" in blind.scores["security/leak"].reason


def test_the_knob_anonymise_replaces_the_names_that_clean_replaces(study, tmp_path, data, monkeypatch):
    model = token_classifier(tmp_path / "ner")
    monkeypatch.setenv("TRIMTAB_CACHE", str(tmp_path / "cache"))
    opened = []

    @contextlib.contextmanager
    def open_here(name):
        """Without a process of its own, which the test of `clean` has."""
        opened.append(name)
        yield load_name_finder(name, CPU)

    monkeypatch.setattr(row_tokenizer, "open_finder", open_here)
    tokenizer = field_templates.tokenizer("bytes", "chatml")
    source = {"source": str(data), "validation": 0.2, "allow": ["leakage"]}
    asked = {"data": source, "space": {"anonymise": ["off", "on"]}, "train": {"sequence_length": 200}}
    spec = study(**asked, evaluate={"names": str(model)})
    loaded = load_data(spec, tokenizer, report_nothing)
    texts = [tokenizer.decode(row.ids) for row in loaded.anonymised]
    assert texts and not any(first in text for text in texts for first in FIRST)
    assert any("placeholders (name: " in note for note in loaded.notes)
    load_data(spec, tokenizer, report_nothing)
    assert opened == [str(model)], "names are looked for once"
    token_classifier(model, known=LAST)
    load_data(spec, tokenizer, report_nothing)
    assert len(opened) == 2, "another model may find other names"
    blind = load_data(study(**asked), tokenizer, report_nothing)
    assert any("only with evaluate.names" in note for note in blind.notes)
    with pytest.raises(TrimtabError, match=r"evaluate\.names"):
        load_data(study(**asked, evaluate={"names": str(tmp_path / "none")}), tokenizer, report_nothing)


def test_clean_and_check_find_names_with_the_model_of_the_study(tmp_path, data, monkeypatch, forked):
    model = str(token_classifier(tmp_path / "ner"))
    study = f'[study]\nname = "s"\n[model]\nbase = "org/m"\n[data]\nsource = "{data}"\n'
    (tmp_path / "study.toml").write_text(f'{study}[evaluate]\nnames = "{model}"\n')
    arguments = ["--anonymise", "--duplicates", "keep", "-o", str(tmp_path / "out")]
    assert main(["clean", str(tmp_path / "study.toml"), *arguments]) == 0
    written = [json.loads(line)["completion"] for line in (tmp_path / "out/train.jsonl").open()]
    placeholders = {re.fullmatch(r"it is (\[NAME_\w{8}\]) of the house .*", text)[1] for text in written}
    assert len(placeholders) == 16, "of four first and four last names"
    rows = [RowTexts(1, ("Who?",), ("it is Ines Olsen",)), RowTexts(2, ("Who?",), ("no one",))]
    found = find_named(rows, load_name_finder(model, CPU), lambda _: None)
    assert (found.hits, found.rows) == (1, 2) and found.examples[0].text == "it is [name]"
    monkeypatch.setattr(name_process, "MODULE", "core.nothing")
    monkeypatch.setattr("core.data.checks.scan_rows.CHECKS", {})
    spec = spec_file.load(tmp_path / "study.toml")
    ((_, scan),) = study_scan.scan_study(spec, {}, 1, lambda _: None)
    assert scan.notes[-1].startswith("names are not looked for: ") and model in scan.notes[-1]


def test_a_name_is_found_whole_wherever_it_stands_in_a_long_text(tmp_path):
    find = load_name_finder(str(token_classifier(tmp_path, known=("Ines", "Olsen", "Mara"))), CPU)
    long = "word " * 60 + "then Ines Olsen, Mara and Mara-Ines Olsens wrote"
    (names,) = find([long])
    assert [name.text for name in names] == ["Ines Olsen"], "a first name alone is no name"
    assert long[names[0].start : names[0].end] == "Ines Olsen"


def test_a_name_that_was_given_is_not_leaked_by_repeating_it():
    known = {name_key("Ines Olsen")}
    assert find_leaked_names("it was INES  Olsen.", "who was it?", known) == ["ines olsen"]
    assert not find_leaked_names("Ines Olsen", "tell me of Ines Olsen", known)
    assert not find_leaked_names("Ines Olsensen, or Ines", "who?", known)


def test_a_model_without_a_label_of_persons_is_refused_with_the_reason(tmp_path):
    place = token_classifier(tmp_path, labels=("O", "B-LOC"))
    with pytest.raises(TrimtabError, match=r"none of the model's labels means a person: O, B-LOC"):
        load_name_finder(str(place), CPU)
    with pytest.raises(TrimtabError, match="could not be loaded"):
        load_name_finder(str(tmp_path / "none"), CPU)
