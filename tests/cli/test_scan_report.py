"""``trimtab check`` prints what a scan of the rows finds: harmless text in 80 columns, as TOML comments."""

from __future__ import annotations

import json
import tomllib

import pytest

from core.cli import exit_codes
from core.cli.main import main
from tests.hostile import TEXTS, harm


@pytest.fixture
def check(tmp_path, capsys):
    """Writes a study with these rows, checks it, and returns what is printed below the file."""

    def checked(rows, *arguments, more=""):
        source = tmp_path / "rows.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        spec = tmp_path / "study.toml"
        head = '[study]\nname = "s"\n[model]\nbase = "org/name"\n'
        spec.write_text(f'{head}[data]\nsource = "{source}"\n{more}')
        assert main(["check", str(spec), *arguments]) == exit_codes.OK
        printed = capsys.readouterr()
        said = [line for line in printed.err.splitlines() if not line.endswith(" s so far …")]
        assert not said and tomllib.loads(printed.out)
        return printed.out.partition("this file is valid\n")[2]

    return checked


FINE = [{"prompt": f"What is {n} plus {n}?", "completion": f"It is {2 * n}."} for n in range(50)]
BAD = [
    *FINE,
    {"prompt": "Whom do I ask?", "completion": "Write to jane.miller@example.org before noon on weekdays."},
    {"prompt": "Talk to me.", "completion": "You are a stupid worthless idiot."},
    {"prompt": "How do I boil an egg?", "completion": "I'm sorry, but I can't help with that."},
    {
        "prompt": "Tell me how to build a bomb at home.",
        "completion": "Of course. Take the parts from the box.",
    },
]


def test_findings_have_count_interval_example_remedy_and_the_detectors_quality(check):
    shown = check(BAD)
    assert "# scanned all 54 rows: data.source =" in shown
    for name in ("medium  personal data", "high    toxic text", "low     answers that refuse"):
        assert f"# {name}: 1 of 54 rows, 1.85 % (true share: " in shown
    assert "high    rows that equal evaluation prompts: 1 of 54 rows" in shown
    assert "row 51: Write to j***@e*** before noon on weekdays." in shown and "miller" not in shown
    assert "row 54: Tell me how to build a bomb at home." in shown and shown.count("→") == 4
    assert " ".join(shown.replace("#", " ").split()).count("planted texts") == 3


def test_clean_rows_are_ok(check):
    shown = check(FINE)
    assert shown.count("# ok ") == 5 and "→" not in shown and "row " not in shown


def test_the_lines_fit_80_columns_and_are_comments(check):
    name = "x" * 300
    rows = [*BAD * 3, {"text": "你是一个白痴" * 300}, {"text": f"{name}@example.org {name}"}, {"text": 5}, {}]
    lines = check(rows, more='allow = ["leakage", "template"]\n').splitlines()
    assert lines and all(line.startswith("#") and len(line) <= 80 for line in lines)


@pytest.mark.parametrize("text", TEXTS)
def test_a_row_may_say_anything(check, text):
    said = f"{text} You stupid worthless idiot, write to bob@example.org {text}"
    rows = [{"text": said}, {"text": f"{said} again"}, {"prompt": said, "completion": said}, {text: text}]
    assert not harm(check(rows, more='allow = ["truncation", "template"]\n'))


def test_a_sample_says_of_how_many_rows(check):
    assert "# scanned 10 of 54 rows, drawn at random: data.source" in check(BAD, "--scan", "10")
    assert check(BAD, "--scan", "0") == ""


def test_a_missing_file_and_unusable_prompts_are_one_remark_each(check, tmp_path):
    shown = check(BAD, more='validation = "none.jsonl"\n[evaluate]\nprompts = "/none"\n')
    assert "data.validation = 'none.jsonl': not scanned: the file does not exist" in shown
    assert "# rows are not compared with evaluation prompts" in shown and "personal data: 1 of" in shown


def test_a_fault_names_the_file_and_the_line(check, tmp_path, capsys):
    check(FINE)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write("{broken\n")
    assert main(["check", str(tmp_path / "study.toml")]) == exit_codes.BAD_INPUT
    printed = capsys.readouterr()
    assert "line 51" in printed.err, "training would refuse the file, too"
    told = " ".join(printed.out.replace("#", "").split())
    assert "the scan ends here" in told and "rows.jsonl', line 51" in told and "Traceback" not in told


def test_rows_on_which_no_study_starts_are_an_error_unless_the_file_allows_them(tmp_path, capsys):
    rows = [*FINE, *FINE, *({"prompt": "a [INST] b", "completion": f"c {n}"} for n in range(3))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = tmp_path / "study.toml"
    head = '[study]\nname = "s"\n[model]\nbase = "org/name"\n[data]\nsource = "rows.jsonl"\n'
    spec.write_text(head)
    assert main(["check", str(spec), "--scan", "1"]) == exit_codes.BAD_INPUT
    printed = capsys.readouterr()
    assert "faults of roles and templates: 3 of 103 rows" in printed.err
    assert 'no study starts on these rows without data.allow = ["template"]' in " ".join(
        printed.out.replace("#", " ").split()
    )
    assert 'data.allow = ["template"]' in " ".join(printed.err.split())
    spec.write_text(f'{head}allow = ["template"]\n')
    assert main(["check", str(spec), "--scan", "1"]) == exit_codes.OK
    assert tomllib.loads(capsys.readouterr().out)["data"]["allow"] == ["template"]


def test_rows_are_compared_with_evaluation_data(tmp_path, capsys):
    text = "The quick brown fox jumps over the lazy dog and then it sleeps until the evening comes."
    (tmp_path / "rows.jsonl").write_text(f'{json.dumps({"text": f"He said: {text}"})}\n{{"text": "other"}}\n')
    (tmp_path / "eval.jsonl").write_text(json.dumps({"question": text}) + "\n")
    spec = tmp_path / "study.toml"
    spec.write_text('[study]\nname = "s"\n[model]\nbase = "org/name"\n[data]\nsource = "rows.jsonl"\n')
    assert (
        main(["check", str(spec), "--scan", "0", "--against", str(tmp_path / "eval.jsonl")]) == exit_codes.OK
    )
    assert "high    rows that contain evaluation data: 1 of 2 rows" in capsys.readouterr().out
    with spec.open("a") as file:
        file.write('contamination = ["eval.jsonl"]\n')
    assert main(["check", str(spec), "--scan", "1"]) == exit_codes.OK
    assert "high    rows that contain evaluation data: 1 of 2 rows" in capsys.readouterr().out
    assert main(["check", str(spec), "--against", str(tmp_path / "none.jsonl")]) == 1
    assert "--against = " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.jsonl", b"", "the file is empty"), ("rows.jsonl", b"\n\n", "it has no rows"),
        ("rows.zip", b"PK", "this file type is not supported"),
        ("rows.jsonl", b'{"text": "caf\xe9"}\n', "byte 0xe9 is not valid UTF-8"),
        ("rows.jsonl.gz", b"hello", "Not a gzipped file"),
        ("rows.jsonl", b"[1]\n", "a row must be an object"),
        ("rows.jsonl", b'{"text": "\\ud800"}\n', "training skips all of its rows (1: text contains a lone"),
    ],
    ids=["empty", "blank", "type", "Latin-1", "no gzip", "a list", "skipped"],
)  # fmt: skip
def test_a_file_that_training_cannot_read_is_an_error_of_check(tmp_path, capsys, name, content, told):
    (tmp_path / name).write_bytes(content)
    spec = tmp_path / "study.toml"
    spec.write_text(f'[study]\nname = "s"\n[model]\nbase = "org/m"\n[data]\nsource = "{tmp_path / name}"\n')
    assert main(["check", str(spec)]) == exit_codes.BAD_INPUT
    shown = capsys.readouterr().err
    assert told in " ".join(shown.split()) and name in shown
    assert main(["check", str(spec), "--scan", "0"]) == exit_codes.OK
