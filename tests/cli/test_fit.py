"""``trimtab fit``: what a study takes of memory, and what fits, without loading anything."""

from __future__ import annotations

import json

import pytest

from core.cli.main import main
from core.cli.plan import fit_memory
from core.errors import TrimtabError
from tests.daemon.test_foresight import QWEN
from tests.hostile import harm

STUDY = """
[study]
name = "s"
[model]
base = "{base}"
precision = "bf16"
[data]
source = "rows.jsonl"
[train]
sequence_length = 1024
[space]
batch_size = [1, 32]
[resources]
memory = {memory}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(QWEN))

    def write(memory: str = '"auto"', base: str = "", **changed) -> str:
        place = tmp_path / "study.toml"
        place.write_text(STUDY.format(base=base or tmp_path, memory=memory))
        return str(place)

    return write


def test_the_smallest_and_the_largest_trial_stand_side_by_side(file, capsys):
    assert main(["fit", file(), "--gpu", "24 GiB"]) == 1, "the largest does not fit"
    out = capsys.readouterr().out
    assert "qwen2, 24 layers, 0.49 B parameters, bf16" in out
    assert "limit 23.3 GiB" in out
    assert [line.split()[-2:] for line in out.splitlines() if line.split()[:1] == ["fits"]] == [["yes", "NO"]]
    assert "activations dominate" in out and "it fits with batch_size 16 with 2 × the" in out


def test_as_json_for_scripts(file, capsys):
    assert main(["fit", file(), "--gpu", "24 GiB", "--pack", "1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["smallest"]["fits"] and not found["largest"]["fits"]
    assert 0 < found["share_that_fits"] < 1
    assert sum(found["smallest"]["parts"].values()) == found["smallest"]["peak_bytes"]


@pytest.mark.parametrize(
    ("memory", "gpu", "word"),
    [
        ('"200 MiB"', "24 GiB", "less than an empty process uses"),
        ('"1 GiB"', "24 GiB", "is too small for the base model"),
        ('"-3 GiB"', "24 GiB", "must be a size"),
        ('"auto"', "a lot", "must be a size"),
    ],
)
def test_limits_that_cannot_be_are_told_in_words(file, capsys, memory, gpu, word):
    assert main(["fit", file(memory), "--gpu", gpu]) in (1, 2)
    assert word in capsys.readouterr().err


def test_a_model_without_a_configuration_is_told_with_what_to_do(file, capsys, tmp_path):
    assert main(["fit", file(base=str(tmp_path / "none")), "--gpu", "24 GiB"]) == 1
    told = capsys.readouterr().err
    assert "has no config.json" in told and "→" in told


def test_the_name_of_a_base_is_only_shown(tmp_path, capsys, monkeypatch):
    place = tmp_path / "study.toml"
    place.write_text(STUDY.format(base="a\\u001B]52;c;x\\u0007\\u202E\\nb/c", memory='"auto"'))

    def refuse(base, *_, **__):
        raise TrimtabError.of("there is none", base, base)

    monkeypatch.setattr(fit_memory.config_json_lookup, "read_model", refuse)
    assert main(["fit", str(place), "--gpu", "24 GiB"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("fetching the configuration of a") and not harm(shown)
    assert shown.splitlines()[0].endswith("from the hub …")
