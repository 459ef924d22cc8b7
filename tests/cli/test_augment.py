"""``trimtab augment`` refuses what it cannot do before it loads a model, and gives the rest to a process."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util

import psutil
import pytest

from core import paths
from core.cli import exit_codes
from core.cli.inspect import best_and_generate
from core.cli.main import main


@pytest.fixture
def augment(tmp_path, capsys, monkeypatch):
    """Augment rows; the exit code, what the process with the model is given, and what is said."""

    def run(*arguments, row=None, source="rows.jsonl", out="out"):
        asked = []
        monkeypatch.setattr(best_and_generate, "run_with_torch", lambda *given: asked.append(given) or 0)
        rows = [row or {"prompt": f"ask {at}", "completion": "so"} for at in range(4)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
        spec = tmp_path / "study.toml"
        spec.write_text(f'[study]\nname = "s"\n[model]\nbase = "a/b"\n[data]\nsource = "{source}"\n')
        code = main(["augment", str(spec), *(["-o", str(tmp_path / out)] if out else []), *arguments])
        return code, asked, capsys.readouterr().err

    return run


def test_the_process_with_the_model_gets_files_and_options(augment, tmp_path):
    code, ((module, *given),), _ = augment("--rows", "3", "--seed", "5", "--temperature", "0.7")
    assert code == exit_codes.OK and module == "core.train.commands.augment_rows"
    assert given[:2] == [str(tmp_path / "study.toml"), str(tmp_path / "out")]
    assert given[2:] == ["--per-row", "2", "--temperature", "0.7", "--rows", "3", "--seed", "5"]


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        ((), {"row": {"text": "some words"}}, "plain text: there is no prompt"),
        ((), {"source": "org/name"}, "not augmented"),
        ((), {"source": "demo:stdlib"}, "not augmented"),
        ((), {"out": ""}, "no folder is given"),
        ((), {"out": "."}, "nothing is overwritten"),
        (("--rows", "0"), {}, "--rows 0 is not above 0"),
        (("--per-row", "100000"), {}, "--per-row 100000 is above 64"),
        (("--temperature", "nan"), {}, "--temperature nan is not above 0"),
    ],
)
def test_what_cannot_be_augmented_is_refused_before_a_model_is_loaded(augment, arguments, given, said):
    code, asked, error = augment(*arguments, **given)
    assert code == exit_codes.BAD_INPUT and not asked and said in error


def test_a_folder_that_cannot_be_written_is_refused_before_a_model_is_loaded(augment, tmp_path):
    (tmp_path / "a file").touch()
    code, asked, error = augment(out="a file/out")
    assert code == exit_codes.BAD_INPUT and not asked and "nothing can be written to" in error
    assert augment(out="new/folders/out")[0] == exit_codes.OK and not (tmp_path / "new").exists()


def test_an_invalid_input_that_the_process_finds_is_an_invalid_input(capfd):
    assert best_and_generate.run_with_torch("timeit", "-n", "1", "-r", "1", "pass") == exit_codes.OK
    assert best_and_generate.run_with_torch("timeit", "--no-such-option") == exit_codes.BAD_INPUT
    assert best_and_generate.run_with_torch("timeit", "raise ValueError") == exit_codes.FAILURE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_the_process_with_the_model_ends_when_the_command_is_killed():
    inner = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    start = "from core.cli.inspect.best_and_generate import run_with_torch as run"
    code = f"{start}; run('timeit', '-n', '1', '-r', '1', {inner!r})"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=paths.find_root()
    ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        child.wait(20)


def test_without_torch_it_says_what_is_missing(augment, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *more: None if name == "torch" else find(name, *more))
    code, asked, error = augment()
    assert code == exit_codes.FAILURE and not asked and "torch is not installed" in error
