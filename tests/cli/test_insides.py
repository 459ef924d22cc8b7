"""`trimtab insides` says what the page of a trial's insides says; an engine is not needed."""

from __future__ import annotations

import json

import msgspec
import pytest

from core.cli import exit_codes
from core.cli.main import main
from tests.cli import studies
from tests.hostile import harm, hostile
from tests.looked import sample


@pytest.fixture
def folder(engine, tmp_path):
    engine.state = studies.state(studies.created(folder=str(tmp_path)), *studies.trial(0), *studies.trial(1))
    (tmp_path / "trials" / "0").mkdir(parents=True)
    return tmp_path


def keep(folder, found) -> None:
    (folder / "trials" / "0" / "insides.json").write_bytes(msgspec.json.encode(found))


def test_losses_and_attention_beside_the_base(folder, capsys):
    keep(folder, sample(0, layers=3))
    assert main(["insides", "0"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "trial 0 of small at step 400, on 8 validation rows with 428 target tokens; base → trial" in shown
    assert "warning: attention collapses on few tokens" in shown
    assert "the top 10 % of tokens account for 29% → 41% of it" in shown
    assert "  words            300 tokens   80% →  82% of the loss    2.100 →   1.600 nats/token" in shown
    assert "    6.90 →   6.40  os.path.join(first, second, ⟦third⟧) and so on a…" in shown
    assert "first  20% →  20%   special   6% →   5%" in shown


def test_json_has_names_for_all(folder, capsys):
    keep(folder, sample(0, layers=3))
    assert main(["insides", "0", "--json"]) == exit_codes.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["study"], found["trial"], found["step"], found["state"]) == ("small", 0, 400, "running")
    assert found["kinds"][0]["name"] == "first" and found["worst"][0]["base_loss"] == 3.1
    assert len(found["layers"]) == 3 and len(found["layers"][2]["base_entropy"]) == 9


def test_nothing_yet_and_no_such_trial(folder, capsys):
    assert main(["insides", "1"]) == exit_codes.OK
    assert "no data yet" in capsys.readouterr().out
    assert main(["insides", "1", "--json"]) == exit_codes.OK
    assert "first and last evaluation" in json.loads(capsys.readouterr().out)["why_none"]
    assert main(["insides", "9"]) == exit_codes.BAD_INPUT


def test_hostile_text_does_nothing_to_a_terminal(folder, capsys):
    keep(folder, msgspec.structs.replace(hostile(sample(0, layers=2)), why_none=""))
    main(["insides", "0"])
    assert not harm(capsys.readouterr().out)
    keep(folder, msgspec.structs.replace(sample(0), layers=(), why_no_attention="\x1b[2Jnone"))
    main(["insides", "0"])
    shown = capsys.readouterr().out
    assert "none" in shown and not harm(shown)
