"""``trimtab clean`` writes cleaned copies of a study's rows, lists every change and overwrites nothing."""

from __future__ import annotations

import json
import random

import pytest

from core.cli import exit_codes
from core.cli.main import main
from core.contract.spec import spec_file
from core.data.repair.pii_placeholders import PART, Placeholders

DRAW = random.Random(5)
WORDS = ["".join(DRAW.choices("etaoinshrd", k=DRAW.randint(2, 8))) for _ in range(2000)]


def fine(count):
    return [
        {"prompt": f"Go on, {n}.", "completion": " ".join(DRAW.choices(WORDS, k=40)), "id": n, "rate": "Å"}
        for n in range(count)
    ]


def nearly(row):
    return row | {"completion": row["completion"].replace(" ", " new ", 1)}


@pytest.fixture
def clean(tmp_path, capsys):
    """Write rows and a study, clean them, and return the exit code, what was printed, and the folder."""

    def cleaned(lines, *arguments, more="", out="out"):
        source = tmp_path / "rows.jsonl"
        rows = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        source.write_text("".join(f"{row}\n" for row in rows))
        spec = tmp_path / "study.toml"
        spec.write_text(
            f'[study]\nname = "s"\n[model]\nbase = "org/name"\n[data]\nsource = "rows.jsonl"\n{more}'
        )
        before = source.read_bytes()
        code = main(["clean", str(spec), *(["-o", str(tmp_path / out)] if out else []), *arguments])
        assert source.read_bytes() == before
        return code, capsys.readouterr(), tmp_path / (out or "none")

    return cleaned


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_copies_are_dropped_rows_are_split_and_each_change_is_listed(clean):
    rows = fine(60)
    extra = [rows[0], nearly(rows[3]), {"prompt": "p", "completion": " "}, {"other": 1}]
    code, printed, out = clean([*rows, *extra])
    train, held = read(out / "train.jsonl"), read(out / "validation.jsonl")
    assert code == exit_codes.OK and sorted(row["id"] for row in [*train, *held]) == list(range(60))
    assert len(held) == 6 and all(row in rows for row in [*train, *held])
    assert out.stat().st_mode & 0o777 == 0o700, "rows may be private"
    changes = read(out / "changes.jsonl")
    assert [(change["row"], change.get("copy_of")) for change in changes] == [
        (61, 1), (62, 4), (63, None), (64, None),
    ]  # fmt: skip
    assert [change["detail"] for change in changes[:3]] == [
        "exact duplicate", "near duplicate", "nothing is trained on",
    ]  # fmt: skip
    assert "dropped: near duplicate: 1 rows" in printed.out


def test_the_written_study_is_valid_and_uses_the_new_files(clean):
    _, printed, out = clean(fine(30), more='deduplicate = "near"\nallow = ["leakage"]\n')
    spec = spec_file.load(out / "study.toml")
    assert spec.study.name == "s-clean" and spec.data.source == str(out / "train.jsonl")
    assert spec.data.validation == str(out / "validation.jsonl")
    assert not spec.data.allow and not spec.data.deduplicate
    assert f"next: trimtab check {out}/study.toml" in printed.out


def test_the_same_value_gets_the_same_placeholder_and_no_value_is_in_any_file(clean):
    secret = {
        "prompt": "Whom do I ask?",
        "completion": "Ask jane.miller@example.org, or Jane.Miller@example.org.",
    }
    other = {"prompt": "Her card?", "completion": "4111 1111 1111 1111", "note": "jane.miller@example.org"}
    code, printed, out = clean([*fine(30), secret, other], "--anonymise", "--salt", "pepper")
    written = "".join(path.read_text() for path in out.iterdir())
    assert code == exit_codes.OK and "miller" not in written.lower() and "1111" not in written
    assert "pepper" not in printed.out + written
    rows = [*read(out / "train.jsonl"), *read(out / "validation.jsonl")]
    (asked,) = [row for row in rows if row["prompt"] == "Whom do I ask?"]
    (card,) = [row for row in rows if row["prompt"] == "Her card?"]
    placeholder = card["note"]
    assert asked["completion"] == f"Ask {placeholder}, or {placeholder}."
    assert placeholder.startswith("[EMAIL_") and card["completion"].startswith("[CARD_")
    assert "email: 2" in [change["detail"] for change in read(out / "changes.jsonl")]


def test_another_salt_gives_other_placeholders_and_a_random_one_is_printed(clean):
    row = {"prompt": "Whom?", "completion": "jane@example.org"}
    seen = set()
    for name in ("a", "b"):
        _, printed, out = clean([*fine(30), row], "--anonymise", out=name)
        assert "salt: " in printed.out
        seen.add((out / "train.jsonl").read_text().partition("[EMAIL_")[2][:8])
    assert len(seen) == 2


def test_a_long_text_is_anonymised_to_its_end():
    from collections import Counter

    text = "word " * (PART // 4) + "jane@example.org"
    kinds = Counter()
    assert "jane" not in Placeholders("x").replace(text, kinds) and kinds["email"] == 1


def test_encoding_is_repaired_and_numbers_keep_their_digits(clean):
    rows = [
        *fine(30),
        '{"prompt": "cafÃ©", "completion": "Itâ€™s fine", "x": 1.10, "big": 123456789012345678901234}',
    ]
    _, _, out = clean(rows)
    text = (out / "train.jsonl").read_text() + (out / "validation.jsonl").read_text()
    assert '"prompt":"café","completion":"It’s fine","x":1.10,"big":123456789012345678901234' in text


@pytest.mark.parametrize(("how", "turns"), [("keep", 4), ("truncate", 2), ("drop", 0)])
def test_long_chats_are_kept_shortened_by_whole_turns_or_dropped(clean, how, turns):
    messages = [
        {"role": role, "content": f"{role} " * size}
        for role, size in (("user", 5), ("assistant", 5), ("user", 200), ("assistant", 50))
    ]
    rows = [
        *(
            {"messages": messages[:1] + [{"role": "assistant", "content": f"{n} {WORDS[n]}"}]}
            for n in range(30)
        )
    ]
    _, _, out = clean([*rows, {"messages": messages}], "--long", how, more="[train]\nsequence_length = 100\n")
    all_rows = [*read(out / "train.jsonl"), *read(out / "validation.jsonl")]
    kept = [row["messages"] for row in all_rows if row["messages"][1]["content"].startswith("assistant")]
    assert [len(row) for row in kept] == ([turns] if turns else [])


def test_a_long_chat_is_shortened_in_any_layout(clean):
    turns = [("human", "hi"), ("gpt", "yes"), ("human", "long " * 200), ("gpt", "no")]
    chat = [{"from": role, "value": text} for role, text in turns]
    short = [[chat[0], {"from": "gpt", "value": WORDS[at]}] for at in range(30)]
    more = "[train]\nsequence_length = 100\n"
    rows = [{"conversations": row} for row in (*short, chat)]
    _, printed, out = clean(rows, "--long", "truncate", more=more)
    written = read(out / "train.jsonl") + read(out / "validation.jsonl")
    assert {"conversations": chat[:2]} in written and "truncated: 1 rows" in printed.out
    rows = [{"conversations": json.dumps(row)} for row in (*short, chat)]
    _, printed, out = clean(rows, "--long", "truncate", more=more, out="json")
    written = read(out / "train.jsonl") + read(out / "validation.jsonl")
    assert chat[:2] in [json.loads(row["conversations"]) for row in written]


@pytest.mark.parametrize("sizes", [(1, 1, 200, 1, 1, 200), (1, 1, 1, 500)])
def test_a_shortened_chat_ends_in_an_answer_and_fits(clean, sizes):
    roles = ("user", "assistant") * 3
    chat = [{"role": role, "content": "word " * size} for role, size in zip(roles, sizes, strict=False)]
    short = [[chat[0], {"role": "assistant", "content": WORDS[at]}] for at in range(30)]
    rows = [{"messages": row} for row in (*short, chat)]
    _, _, out = clean(rows, "--long", "truncate", more="[train]\nsequence_length = 100\n")
    written = read(out / "train.jsonl") + read(out / "validation.jsonl")
    assert {"messages": chat[:2]} in written


def test_only_what_is_trained_on_makes_a_row_long(clean):
    rows = [row | {"html": "x" * 5000, "text": "y " * 5000} for row in fine(30)]
    for how in ("drop", "truncate"):
        _, printed, out = clean(rows, "--long", how, more="[train]\nsequence_length = 200\n", out=how)
        assert "no row had to be changed" in printed.out and not (out / "changes.jsonl").exists()
        assert "no row had to be changed" in (out / "study.toml").read_text().splitlines()[0]


def test_a_long_plain_text_is_cut_at_a_space(clean):
    rows = [{"content": f"{at} {' '.join(WORDS[at * 5 : at * 5 + 5])}"} for at in range(30)]
    _, _, out = clean(
        [*rows, {"content": "äöü " * 500}], "--long", "truncate", more="[train]\nsequence_length = 100\n"
    )
    written = read(out / "train.jsonl") + read(out / "validation.jsonl")
    (cut,) = [row["content"] for row in written if row["content"].startswith("äöü")]
    assert cut == " ".join(["äöü"] * 57)  # 399 of 400 bytes


def test_when_no_training_row_is_left_it_is_said_where_they_went(clean, tmp_path):
    row = fine(1)[0]
    code, printed, out = clean([row, row, {"other": 1}])
    assert code == exit_codes.FAILURE and not out.exists()
    told = "no training row is left (dropped: exact duplicate: 1; dropped: no prompt: 1; for validation: 1)"
    assert told in printed.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "study.toml"]


def test_training_rows_that_are_validation_rows_are_dropped(clean, tmp_path):
    rows = fine(30)
    held = [*rows[:2], nearly(rows[2]), *fine(5)]
    (tmp_path / "v.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    _, printed, out = clean(rows, more='validation = "v.jsonl"\n')
    assert [row["id"] for row in read(out / "train.jsonl")] == list(range(3, 30))
    assert len(read(out / "validation.jsonl")) == 8 and "dropped: also a validation row: 3" in printed.out
    _, printed, out = clean(rows, "--duplicates", "exact", more='validation = "v.jsonl"\n', out="exact")
    assert "dropped: also a validation row: 2" in printed.out


def test_copies_that_are_kept_are_on_one_side(clean):
    rows = fine(20)
    _, printed, out = clean([*rows, *map(nearly, rows), *rows], "--duplicates", "keep")
    train, held = ({row["id"] for row in read(out / name)} for name in ("train.jsonl", "validation.jsonl"))
    assert held and not train & held and "no row had to be changed" in printed.out


def test_rows_of_a_group_are_on_one_side(clean):
    rows = [row | {"group": f"g{row['id'] // 5}"} for row in fine(60)]
    paraphrase, other = rows[0] | {"prompt": "Continue!"}, nearly(rows[6]) | {"group": "g0"}
    _, printed, out = clean([*rows, paraphrase, paraphrase, other])
    train, held = (read(out / name) for name in ("train.jsonl", "validation.jsonl"))
    assert held and not {row["group"] for row in train} & {row["group"] for row in held}
    assert (train + held).count(paraphrase) == 1 and other not in train + held
    assert "exact duplicate: 1" in printed.out and "near duplicate: 1" in printed.out


def test_a_copy_of_a_dropped_row_is_kept(clean, tmp_path):
    row = fine(1)[0]
    words = row["completion"].split()
    (tmp_path / "eval.jsonl").write_text(json.dumps({"question": " ".join(words[:13])}) + "\n")
    other = row | {"completion": " ".join([words[0], "else", *words[2:]]), "id": 99}
    _, printed, out = clean([row, other, *fine(30)[1:]], "--against", str(tmp_path / "eval.jsonl"))
    assert "dropped: contains evaluation data: 1" in printed.out and "near duplicate" not in printed.out
    assert 99 in {row["id"] for row in read(out / "train.jsonl") + read(out / "validation.jsonl")}


def test_only_rows_that_match_are_cleaned(clean):
    rows = [row | {"language": "de" if row["id"] % 2 else "en"} for row in fine(40)]
    _, _, out = clean(rows, more='where = { language = "de" }\n')
    written = read(out / "train.jsonl") + read(out / "validation.jsonl")
    assert sorted(row["id"] for row in written) == list(range(1, 40, 2))


def test_rows_with_evaluation_data_are_dropped(clean, tmp_path):
    rows = fine(30)
    (tmp_path / "eval.jsonl").write_text(json.dumps({"question": rows[7]["completion"]}) + "\n")
    _, printed, out = clean(rows, "--against", str(tmp_path / "eval.jsonl"))
    assert "dropped: contains evaluation data: 1" in printed.out
    assert 7 not in {row["id"] for row in read(out / "train.jsonl") + read(out / "validation.jsonl")}


def test_a_dry_run_writes_nothing(clean, tmp_path):
    rows = fine(30)
    code, printed, _ = clean([*rows, rows[0]], "--dry-run", out="")
    assert code == exit_codes.OK and "dropped: exact duplicate: 1 rows" in printed.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "study.toml"]


def test_nothing_is_overwritten(clean, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for out in ("full", "rows.jsonl", "."):
        code, printed, _ = clean(fine(5), out=out)
        assert code == exit_codes.BAD_INPUT and "nothing is overwritten" in printed.err
    code, printed, _ = clean(fine(5), out="")
    assert code == exit_codes.BAD_INPUT and "-o FOLDER" in printed.err


@pytest.mark.parametrize(
    ("data", "out", "told"),
    [
        ('source = "rows"\n', "rows/out", "it lies within the source"),
        ('source = "none.jsonl"\n', "out", "not cleaned: the file does not exist"),
        ('source = "org/rows"\n', "out", "not cleaned: only local files"),
        (
            'mixture = [{ name = "a", source = "rows/a.jsonl" }, { name = "b", source = "rows/b.jsonl" }]\n',
            "out",
            "a mixture are not cleaned",
        ),
    ],
)
def test_what_cannot_be_cleaned_is_refused_with_a_reason(tmp_path, capsys, data, out, told):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in fine(5)))
    head = '[study]\nname = "s"\n[model]\nbase = "org/name"\n[data]\n'
    (tmp_path / "study.toml").write_text(head + data)
    code = main(["clean", str(tmp_path / "study.toml"), "-o", str(tmp_path / out)])
    assert code == exit_codes.BAD_INPUT and told in capsys.readouterr().err
    assert not (tmp_path / out).exists()


def test_a_file_that_breaks_off_leaves_nothing_behind(clean, tmp_path):
    code, printed, out = clean([*fine(5), "{broken"])
    assert code == exit_codes.FAILURE and "line 6" in printed.err and not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "study.toml"]
