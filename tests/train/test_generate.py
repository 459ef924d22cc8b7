"""A text from a trained adapter, by the command that `trimtab generate` runs."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from core import paths
from core.contract.spec import spec_file
from core.errors import TrimtabError
from core.train.adapters import saved_adapter_loader
from core.train.commands import generate_text


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The study's folder, once the first test has had it trained; tests get copies."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def adapter(bench, kept, tmp_path):
    """A trained trial's adapter, in a study's folder."""
    if not (kept / "study.toml").exists():
        made = bench(train={"steps": 30, "learning_rate": 0.005, "lora_rank": 8, "sequence_length": 64})
        place = kept / "trials"
        place.mkdir()
        made.assign(place, 0)
        made.finish()
        (kept / "study.toml").write_text(spec_file.write(made.spec))
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return tmp_path / "trials" / "0" / "adapter"


def by_peft_alone(folder, adapter, prompt: str, tokens: int) -> str:
    """What plain PEFT and transformers say."""
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter).eval()
    turns = [{"role": "user", "content": prompt}]
    given = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    out = model.generate(**given, max_new_tokens=tokens, do_sample=False)[0]
    return tokenizer.decode(out[given["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_command_says_what_peft_alone_says(adapter, folder, forked):
    command = [
        sys.executable,
        "-P",
        "-m",
        "core.train.commands.generate_text",
        str(adapter),
        "--tokens",
        "12",
        "--",
    ]
    done = subprocess.run(
        [*command, "join the file"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(paths.find_root())},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip("\n") == by_peft_alone(folder, adapter, "join the file", 12).rstrip("\n")
    assert done.stderr.startswith("loading ") and done.stderr.count("\n") == 1  # and no library's chatter
    assert ", on the CPU" in done.stderr or torch.cuda.is_available(), "where it computes is said"


def test_what_is_no_adapter_is_explained(tmp_path, capsys):
    assert generate_text.main([str(tmp_path), "hello"]) == 1
    told = capsys.readouterr().err
    assert "this is not a usable adapter: FileNotFoundError" in told and str(tmp_path) in told


def test_an_adapter_without_its_study_names_its_base(adapter, tmp_path, capsys):
    alone = tmp_path / "moved"
    adapter.rename(alone)
    assert generate_text.main([str(alone), "join the file", "--tokens", "4"]) == 0
    assert capsys.readouterr().out


def test_an_adapter_of_another_base_is_explained(adapter, capsys):
    settings = adapter / "adapter_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "r": 3}))
    assert generate_text.main([str(adapter), "hello"]) == 1
    assert "the adapter does not fit its base" in capsys.readouterr().err


def test_an_adapter_that_is_not_whole_is_refused_and_not_drawn_at_random(adapter, capsys):
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors.pop(next(key for key in tensors if ".lora_A." in key))
    save_file(tensors, file, metadata={"format": "pt"})
    assert generate_text.main([str(adapter), "hello"]) == 1
    assert "missing adapter keys" in capsys.readouterr().err


def test_more_tokens_than_the_model_has_places_or_words_for_are_refused(adapter):
    base = generate_text._load(saved_adapter_loader.find_base(adapter, False)[0], adapter, "cpu")
    base.positions = 20
    with pytest.raises(TrimtabError, match="give --tokens 17 or fewer"):
        generate_text._check_room(base, [1, 2, 3], 18)
    with pytest.raises(TrimtabError, match="give a shorter prompt"):
        generate_text._check_room(base, [1] * 20, 1)
    generate_text._check_room(base, [1, 2, 3], 17)
    with pytest.raises(TrimtabError, match="larger than the embedding"):
        generate_text._check_room(base, [base.vocabulary], 1)


def test_escape_sequences_of_a_model_are_not_obeyed(folder, capsys):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    stream = generate_text.make_streamer(tokenizer)
    stream.put(torch.tensor([tokenizer("the prompt")["input_ids"]]))
    for token in tokenizer("\x1b[2J red\x07 end\nline")["input_ids"]:
        stream.put(torch.tensor([token]))
    stream.end()
    assert capsys.readouterr().out == "\ufffd[2J red\ufffd end\nline\n"


def test_a_prompt_as_it_is_may_not_be_empty(adapter, capsys):
    assert generate_text.main([str(adapter), "", "--raw"]) == 1
    assert "the prompt is empty" in capsys.readouterr().err
