"""``trimtab recommend``: what to begin with, on the terminal, as JSON, and as a file that the verbs take."""

from __future__ import annotations

import json
import tomllib

import pytest

from core.cli.main import main
from tests.advise.cases import written
from tests.matrix import rest_slow


@pytest.fixture
def asked(tmp_path):
    """The model's folder and a file of 4000 short dialogues."""
    row = {"messages": [{"role": "user", "content": "u" * 99}, {"role": "assistant", "content": "a" * 800}]}
    (tmp_path / "rows.jsonl").write_text((json.dumps(row) + "\n") * 4000)
    return [written(tmp_path, "qwen-7b"), str(tmp_path / "rows.jsonl")]


@pytest.mark.parametrize("gib", rest_slow([24, 12, 80]))
def test_the_file_that_is_written_passes_check_and_fits_the_card(asked, tmp_path, capsys, gib):
    rows = tmp_path / "rows.jsonl"
    kept = rows.read_text().splitlines(keepends=True)[:400]  # check reads every row
    rows.write_text("".join(line.replace("aaaaaa", f"{at:06d}", 1) for at, line in enumerate(kept)))
    out = str(tmp_path / "study.toml")
    assert main(["recommend", *asked, "--gpu", f"{gib} GiB", "--out", out]) == 0
    assert f"written: {out}" in capsys.readouterr().out
    assert main(["check", out]) == 0
    assert "this file is valid" in capsys.readouterr().out
    assert main(["fit", out, "--gpu", f"{gib} GiB"]) == 0
    assert "100% of the space fits" in capsys.readouterr().out


def test_each_line_has_a_reason_and_each_source_a_number(asked, capsys):
    assert main(["recommend", *asked, "--gpu", "H100", "--hours", "6"]) == 0
    out = capsys.readouterr().out
    table, file = out.split("\n# trimtab recommend", 1)
    assert (
        "learning_rate = {" in table and "10 × the best rate of full fine-tuning at hidden size 3584" in table
    )
    assert "https://thinkingmachines.ai/blog/lora/" in table and "6 hours fit about" in table
    assert tomllib.loads("#" + file)["study"]["sampler"] == "gp"


def test_as_json_for_scripts(asked, capsys):
    assert main(["recommend", *asked, "--gpu", "A100 80 GiB", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] and all(line["why"] and line["sources"] for line in found["lines"])
    raw = tomllib.loads(found["toml"])
    for line in found["lines"]:
        assert raw[line["section"]][line["knob"]] == line["value"]


def test_a_card_that_holds_nothing_gives_code_1_and_an_answer(asked, capsys):
    assert main(["recommend", *asked, "--gpu", "4 GiB"]) == 1
    assert "NOTHING FITS" in capsys.readouterr().out


def test_the_file_names_no_column_and_no_format_that_training_finds_by_itself(asked, tmp_path, capsys):
    pairs = [{"instruction": f"{at}", "chosen": f"yes {at}", "rejected": "no"} for at in range(3000)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    ask = ["recommend", asked[0], str(tmp_path / "pairs.jsonl"), "--gpu", "24 GiB", "--json"]
    assert main(ask) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(tomllib.loads(found["toml"])["data"]) == {"source", "validation"}
    assert any("read as preference pairs" in doubt for doubt in found["doubts"])


def test_an_old_file_is_not_replaced(asked, tmp_path, capsys):
    (tmp_path / "study.toml").write_text("mine")
    assert main(["recommend", *asked, "--out", str(tmp_path / "study.toml")]) == 2
    assert "the file already exists" in capsys.readouterr().err
    assert (tmp_path / "study.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--goal", "eval/los"], "did you mean 'eval/loss'"), (["--hours", "0"], "is not above 0"),
        (["--hours", "nan"], "is not above 0"), (["--gpu", "a lot"], "must be a size"),
        (["--rows", "0"], "is not above 0"), (["--trials", "0"], "is not above 0"),
    ],
)  # fmt: skip
def test_a_question_of_no_use_is_told_with_what_to_do(asked, capsys, more, word):
    assert main(["recommend", *asked, *more]) == 2
    told = capsys.readouterr().err
    assert word in told and "→" in told


def test_a_hub_data_set_needs_the_count_of_its_rows(asked, capsys):
    ask = ["recommend", asked[0], "HuggingFaceH4/no_robots", "--gpu", "24 GiB"]
    assert main(ask) == 2
    assert "with --rows" in capsys.readouterr().err
    assert main([*ask, "--rows", "9500"]) == 0
    assert "the rows were not read" in capsys.readouterr().out


def test_names_from_outside_do_nothing_to_the_terminal(asked, tmp_path, capsys):
    file = tmp_path / "a\u202e\x9b\x1b[31m.jsonl"
    file.write_text(json.dumps({"\x1b]0;x\x07": "y", "z\x7f": "[red]"}) + "\n")
    assert main(["recommend", asked[0], str(file), "--gpu", "24 GiB"]) == 0
    told = capsys.readouterr()
    assert not set(told.out + told.err) & {"\x1b", "\x07", "\x7f", "\x9b", "\u202e"}
    written_out = "# trimtab recommend" + told.out.split("\n# trimtab recommend", 1)[1]
    assert tomllib.loads(written_out)["data"]["source"] == str(file)


def test_this_machine_is_looked_at_when_no_card_is_named(asked, capsys):
    assert main(["recommend", *asked, "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["lines"]
