"""A base may be called anything: what generate and merge print of it is obeyed by no terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import TrimtabError
from core.train.base import base_model
from core.train.commands import generate_text, merge_adapter
from tests.hostile import TEXTS, harm


def adapter(folder: Path, base: str) -> None:
    """What is taken for one until its base is loaded."""
    config = {"peft_type": "LORA", "base_model_name_or_path": base}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").touch()


NAMES = [text for text in TEXTS if len(text) < 1000]
COMMANDS = {
    "generate": lambda place: generate_text.main([str(place), "hello"]),
    "merge": lambda place: merge_adapter.main([str(place), str(place / "out")]),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_name_of_a_base_is_only_shown(tmp_path, capsys, monkeypatch, command, name):
    def load(section, device, progress):
        progress(f"loading {section.base} in fp32", 0, 0, "")
        raise TrimtabError.of("the base model cannot be loaded", section.base, section.base)

    monkeypatch.setattr(base_model, "load_section", load)
    adapter(tmp_path, "x" + name)
    assert COMMANDS[command](tmp_path) == 1
    shown = capsys.readouterr()
    assert not harm(shown.out + shown.err)
    if "not a usable adapter" in shown.err:  # longer than any path
        return
    assert "loading x" in shown.err
    assert " in fp32, on " in shown.err.splitlines()[0]  # a line end in a name begins no line of its own


@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_of_a_library_is_no_traceback(tmp_path, capsys, monkeypatch, command):
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    monkeypatch.setattr(base_model, "load_section", lambda *_: (_ for _ in ()).throw(MemoryError("\x1b[2J")))
    adapter(tmp_path, "x")
    assert COMMANDS[command](tmp_path) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"trimtab: trimtab {command} failed: MemoryError") and not harm(shown)
    assert "Traceback" in (tmp_path / f"error-{command}.log").read_text()
