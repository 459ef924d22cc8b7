"""The command line itself: codes, messages, help, and what it does not import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core import paths
from core.cli import exit_codes
from core.cli.main import main
from core.cli.parsers import console_options
from core.cli.parsers.argument_parser import make_parser
from core.errors import Problem, SpecError

VERBS = (
    "run", "check", "pause", "resume", "prune", "stop",
    "status", "best", "logs", "generate", "doctor", "engine",
)  # fmt: skip


def trimtab(*arguments, flags=(), **options):
    """The verbs in a process of their own."""
    program = "import sys; from core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-P", *flags, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(paths.find_root())}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)


def test_help_lists_every_verb_and_every_exit_code(capsys):
    assert main(["--help"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert all(f"    {verb} " in shown for verb in VERBS)
    assert all(f"  {code:<4} {meaning}" in shown for code, meaning in exit_codes.TABLE.items())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    assert main([verb, "--help"]) == exit_codes.OK
    assert "exit codes:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["nonsense", "prune", "pause x", "pause -1", "engine", "run a --detach --headless"]
)
def test_a_wrong_command_line_is_code_2(line, capsys):
    assert main(line.split()) == exit_codes.BAD_INPUT
    assert "usage: trimtab" in capsys.readouterr().err


def test_version(capsys):
    assert main(["--version"]) == exit_codes.OK
    assert capsys.readouterr().out.startswith("trimtab ")


def test_an_error_has_three_parts_and_no_escape_sequence(capsys):
    from core.cli.main import complain

    complain(SpecError(Problem("bad \x1b[31mvalue", "file.toml", "mend it"), Problem("second")))
    shown = capsys.readouterr().err
    assert (
        shown
        == "trimtab: bad \N{REPLACEMENT CHARACTER}[31mvalue\n  file.toml\n  → mend it\ntrimtab: second\n"
    )


def test_all_problems_of_a_file_at_once(tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text('[study]\nname = "../x"\nsamplr = "tpe"\n[model]\nbase = "a"\n[data]\nsource = "b"\n')
    assert main(["check", str(path)]) == exit_codes.BAD_INPUT
    shown = capsys.readouterr().err
    assert shown.count("trimtab: ") == 2 and "did you mean 'sampler'?" in shown


def test_check_prints_a_file_that_reads_back(spec, tmp_path, capsys):
    from core.contract.spec import spec_file

    assert main(["check", str(spec)]) == exit_codes.OK
    again = tmp_path / "again.toml"
    again.write_text(capsys.readouterr().out)
    assert spec_file.load(again) == spec_file.load(spec)


def test_check_counts_one_of_a_thing_in_the_singular(tmp_path, capsys):
    study = '[study]\nname = "s"\ntrials = 1\n[model]\nbase = "org/name"\n[data]\nsource = "org/rows"\n'
    (tmp_path / "one.toml").write_text(f"{study}[space]\nlora_rank = [8]\n")
    assert main(["check", str(tmp_path / "one.toml"), "--scan", "0"]) == exit_codes.OK
    shown = capsys.readouterr().out
    assert "# 1 trial by tpe in a space of 1 dimension,\n# 1 combination; this file is valid" in shown


def test_the_console_without_a_terminal_says_what_to_do(capsys):
    assert main([], console=lambda socket, study: 0) == exit_codes.BAD_INPUT
    assert "the console needs a terminal" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        environment = {**os.environ, "PYTHONPATH": str(paths.find_root())}
        program = "import sys; from core.cli.main import main; sys.exit(main(['status']))"
        done = subprocess.run(
            [sys.executable, "-P", "-u", "-c", program],
            env=environment,
            stdout=closed,
            stderr=subprocess.PIPE,
        )
    told = [line for line in done.stderr.splitlines() if b"so far" not in line]  # of a slow machine
    assert (done.returncode, told) == (exit_codes.OK, [])


def imported(*arguments):
    done = trimtab(*arguments, flags=("-X", "importtime"))
    assert done.returncode == exit_codes.OK, done.stderr
    modules = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "msgspec" in modules
    return modules


def test_status_imports_nothing_heavy(engine):
    heavy = {"optuna", "numpy", "tensorboard", "torch", "textual", "transformers", "sqlalchemy"}
    assert not imported("status") & {*heavy, "pydantic"}
    engine.socket.unlink()
    assert not imported("status") & heavy  # reading the journals needs what checks a study file


def test_check_shows_rows_in_a_process_of_its_own(tmp_path, monkeypatch, capsys):
    """The tokenizer is loaded there: the verbs never load torch."""
    from core.cli.inspect import best_and_generate
    from core.cli.main import main

    file, asked = tmp_path / "s.toml", []
    file.write_text('[study]\nname = "s"\n[model]\nbase = "org/name"\n[data]\nsource = "demo:stdlib"\n')
    monkeypatch.setattr(best_and_generate, "run_with_torch", lambda *given: asked.append(given) or 0)
    assert main(["check", str(file), "--show", "3"]) == 0
    assert asked == [("core.train.commands.show_rows", str(file), "3")]
    assert main(["check", str(file), "--show", "0"]) == 2
    assert "is not above 0" in capsys.readouterr().err


def test_a_check_refuses_to_train_in_fp16_and_says_what_to_use(tmp_path, capsys):
    spec = tmp_path / "s.toml"
    spec.write_text(
        '[study]\nname = "s"\n[model]\nbase = "b"\nprecision = "fp16"\n[data]\nsource = "r.jsonl"\n'
    )
    assert main(["check", str(spec)]) == exit_codes.BAD_INPUT
    told = capsys.readouterr().err
    assert "cannot be trained on a base in fp16" in told and "'nf4'" in told


def test_the_rate_of_the_console_may_stand_before_or_after_the_command(capsys):
    def chosen(*argv: str) -> dict[str, float]:
        return console_options.list_chosen(make_parser().parse_args(list(argv)))

    assert chosen("--rate", "2", "run", "a.toml") == chosen("run", "a.toml", "--rate", "2") == {"rate": 2.0}
    assert chosen() == chosen("run", "a.toml") == {}
    assert main(["--rate", "99"]) == exit_codes.BAD_INPUT
    assert "99 is not a number from 0.1 to 60" in capsys.readouterr().err
