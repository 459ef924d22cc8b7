"""Whose word counts for an adapter: files beside it may come from anybody, and none of them may run code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.contract.spec import spec_file
from core.errors import TrimtabError
from core.train.adapters import saved_adapter_loader
from core.train.commands import generate_text, merge_adapter
from core.train.tracing import trace_model
from tests.stranger import needs_root

CODE = "from pathlib import Path\nPath({marker!r}).write_text('it ran')\n"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.fixture
def hostile(tmp_path: Path, marker: Path) -> Path:
    """A model repository whose configuration, model and tokenizer are Python code."""
    base = tmp_path / "base"
    base.mkdir()
    classes = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    config = {"model_type": "evil", "architectures": ["Model"], "auto_map": classes}
    (base / "config.json").write_text(json.dumps(config))
    tokens = {"tokenizer_class": "Words", "auto_map": {"AutoTokenizer": ["evil.Words", None]}}
    (base / "tokenizer_config.json").write_text(json.dumps(tokens))
    (base / "evil.py").write_text(CODE.format(marker=str(marker)))
    return base


@pytest.fixture
def make(tmp_path: Path, hostile: Path):
    """STUDY/trials/0/adapter as an engine may name it; keywords change its configuration."""

    def make(trust: bool, **config: object) -> Path:
        adapter = tmp_path / "study" / "trials" / "0" / "adapter"
        adapter.mkdir(parents=True)
        said = {"peft_type": "LORA", "base_model_name_or_path": str(hostile), **config}
        (adapter / "adapter_config.json").write_text(json.dumps(said))
        (adapter / "adapter_model.safetensors").write_bytes(b"")
        raw = {"study": {"name": "s"}, "model": {"base": str(hostile), "trust_remote_code": trust}}
        spec = spec_file.parse({**raw, "data": {"source": "x/y"}})
        (tmp_path / "study" / "study.toml").write_text(spec_file.write(spec))
        return adapter

    return make


@pytest.mark.parametrize("trust", [True, False])
def test_no_code_runs_because_a_file_beside_the_adapter_says_so(make, marker, tmp_path, capsys, trust):
    adapter = make(trust)
    assert generate_text.main([str(adapter), "hello"]) == 1
    assert merge_adapter.main([str(adapter), str(tmp_path / "out")]) == 1
    assert not marker.exists()
    if trust:
        told = capsys.readouterr().err
        assert told.count("then add --trust-remote-code") == 2 and "base model runs code" in told


def test_the_users_own_word_lets_it_run(make):
    section, _ = saved_adapter_loader.find_base(make(True), trusted=True)
    assert section.trust_remote_code


def test_a_look_at_a_bases_size_runs_none_of_its_code(hostile, marker):
    with pytest.raises(Exception, match=r"evil|trust_remote_code|config"):
        trace_model.sketch(str(hostile), None, "fp32")
    assert not marker.exists()


@pytest.mark.parametrize(
    "config",
    [
        {"peft_type": "PROMPT_TUNING"},
        {"peft_type": "X"},
        {"megatron_config": {"a": 1}, "megatron_core": "antigravity"},
        {"auto_mapping": {"parent_library": "antigravity", "base_model_class": "X"}},
    ],
)
def test_what_has_peft_import_modules_is_no_adapter(make, config):
    with pytest.raises(TrimtabError, match="it is not a plain LoRA"):
        saved_adapter_loader.find_base(make(False, **config), trusted=False)


def test_pickled_weights_are_never_read(make):
    adapter = make(False)
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(TrimtabError, match="pickled weights are never loaded"):
        saved_adapter_loader.find_base(adapter, trusted=True)


@needs_root
@pytest.mark.parametrize(
    "name", [".", "adapter_config.json", "adapter_model.safetensors", "../../../study.toml"]
)
def test_what_another_user_wrote_is_not_believed(make, name):
    adapter = make(False)
    os.chown(adapter / name, 65534, 65534)
    with pytest.raises(TrimtabError, match="belongs to another user"):
        saved_adapter_loader.find_base(adapter, trusted=False)
