"""A file that is meant to be TOML: whatever is wrong with it is told in words."""

from __future__ import annotations

import pytest

from core.cli.main import main
from core.contract.spec import spec_file, toml_reader
from core.errors import SpecError
from tests.cli import studies
from tests.cli.conftest import engine, home  # noqa: F401  (fixtures)

GOOD = '[study]\nname = "s"\n[model]\nbase = "a/b"\n[data]\nsource = "c/d"\n'
BAD = {
    "900 brackets": ("[data]\nsource = " + "[" * 900 + "]" * 900, "more than 32 deep"),
    "100 brackets": ("[data]\nsource = " + "[" * 100 + "]" * 100, "more than 32 deep"),
    "100 tables": ("[" + ".".join("a" * 100) + "]\n", "more than 32 deep"),
    "5,000 digits": ("[study]\ntrials = " + "9" * 5000, "a number in it is too long"),
    "no text": (b"\xff\xfe[\x00s\x00", "it is not UTF-8: byte 0 is 0xff"),
    "latin-1": ("# caf\xe9\n".encode("latin-1"), "it is not UTF-8: byte 5 is 0xe9"),
    "no value": ("[study]\nname = small\n", "is not TOML: Invalid value"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_study_file_is_refused_in_words(tmp_path, case, capsys):
    content, words = BAD[case]
    path = tmp_path / "study.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpecError, match=words):
        spec_file.load(path)
    assert main(["check", str(path)]) == 2
    shown = capsys.readouterr().err
    assert words in shown and str(path) in shown and "→" in shown and len(shown) < 500


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert spec_file.load(path).study.name == "s"
    assert toml_reader.loads("\ufeff" + GOOD)["study"] == {"name": "s"}


@pytest.mark.parametrize("value", ["[" * 900, "[" * 900 + "]" * 900, "9" * 5000])
def test_a_change_on_the_command_line_is_refused_in_words(engine, capsys, value):  # noqa: F811
    engine.state = studies.state(studies.created())
    assert main(["change", f"study.trials={value}", "--yes"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("trimtab: study.trials: ") and len(shown) < 400 and not engine.asked


@pytest.mark.parametrize("size", ["9" * 5000, "9" * 400 + " GiB", "99999999 TiB", "0"])
def test_a_size_is_bounded(capsys, tmp_path, size):
    path = tmp_path / "study.toml"
    path.write_text(GOOD)
    assert main(["fit", str(path), "--gpu", size]) == 2
    assert "--gpu" in capsys.readouterr().err
