"""Copies of rows are found, within a file and across the split, and other rows are not taken for copies;
the checks print precision and recall (`pytest -s`)."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from core.contract.spec.study_spec import DataOptions
from core.data.checks import scan_rows
from core.data.checks.check_finding import Severity
from core.data.checks.evaluation_prompt_matches import PromptIndex
from core.data.copies.contaminated_rows import KnownTexts
from core.data.copies.leaking_rows import divide_source
from core.data.copies.row_copy_index import RowPrints
from core.data.copies.validation_split import divide, find_first_copies
from core.data.readers.row_texts import LONGEST
from core.data.readers.source_files import find_sources
from core.data.scan.row_tallies import ScanOptions
from core.data.stream.word_hashes import hash_grams, hash_words
from core.errors import TrimtabError
from tests.data.planted import rates
from tests.data.row_batches import batch_of

DATA = DataOptions()
LETTERS = "etaoinshrdlucmfwypvbgk"
DRAW = random.Random(7)
VOCABULARY = ["".join(DRAW.choices(LETTERS, k=DRAW.randint(2, 9))) for _ in range(5000)]


def answer(words, draw=DRAW):
    return draw.choices(VOCABULARY, k=words)


def row(words, prompt="Go on."):
    return {"prompt": prompt, "completion": " ".join(words)}


def changed(words, count):
    """The words with ``count`` of them replaced."""
    copy = list(words)
    for place in DRAW.sample(range(len(copy)), count):
        copy[place] = DRAW.choice(VOCABULARY)
    return copy


def prints(raws):
    taken = RowPrints()
    for start in range(0, len(raws), 50):  # more than one batch
        taken.add(batch_of(raws[start : start + 50], start + 1))
    return taken


@pytest.mark.parametrize(("count", "recall"), [(2, 1.0), (5, 1.0), (10, 1.0), (20, 0.97)])
def test_near_copies_of_two_hundred_words_are_found_and_no_other_rows(count, recall):
    originals = [answer(200) for _ in range(100)]
    raws = [row(words) for words in [*originals, *(changed(words, count) for words in originals)]]
    labels = prints(raws).near_copies
    found = {at for at in range(200) if (labels == labels[at]).sum() > 1}
    right = {at for at in found if labels[at] == labels[(at + 100) % 200]}
    precision, recalled = rates(found, set(range(200)))[0] * len(right) / len(found), len(right) / 200
    print(f"{count} of 200 words changed: precision {precision:.2f}, recall {recalled:.2f}")
    assert precision == 1.0 and recalled >= recall


def test_rows_that_share_a_quarter_of_their_sequences_are_no_copies():
    originals = [answer(200) for _ in range(200)]
    labels = prints([row(words) for words in [*originals, *(changed(words, 50) for words in originals)]])
    assert (labels.near_copies == np.arange(400)).all()


def test_rows_of_one_template_with_other_content_are_no_copies():
    raws = [
        row(f"The capital of {a} is {b}, which has {n} thousand inhabitants and lies in the {c}.".split())
        for n, (a, b, c) in enumerate(zip(*(iter(answer(300)),) * 3, strict=True))
    ]  # fmt: skip
    assert (prints(raws).near_copies == np.arange(100)).all()


def test_short_answers_are_copies_only_when_the_whole_row_is():
    raws = [row(["yes"], f"Is {n} even?") for n in range(50)] + [row(["yes"], "Is  7 even?\n")]
    taken = prints(raws)
    assert taken.exact_copies.tolist() == [*range(50), 7]
    assert taken.near_copies.tolist() == [*range(50), 7]


def test_rows_are_near_copies_by_what_is_learnt_and_only_if_that_is_long_enough_to_tell():
    system, few = " ".join(answer(60)), ["No,", "I", "am", "not", "sure", "about", "that."]
    raws = [row(few, f"Question {n}") for n in range(5)] + [row(answer(20), system) for _ in range(5)]
    taken = prints(raws)
    assert (taken.near_copies == np.arange(10)).all() and (taken.exact_copies == np.arange(10)).all()
    said = answer(20)
    assert prints([row(said), row(said, system)]).near_copies.tolist() == [0, 0]


def test_rows_are_equal_in_any_spelling_of_an_accent_and_to_their_end():
    long = "x " * LONGEST
    raws = [row(["Caf\u00e9"]), row(["Cafe\u0301"]), row([long, "a"]), row([long, "b"]), row([long, "a "])]
    assert prints(raws).exact_copies.tolist() == [0, 0, 2, 3, 2]
    assert prints([raws[2], raws[4] | {"html": long}]).exact_copies.tolist() == [0, 0]


def test_a_word_is_the_same_in_any_case_and_width_and_an_ideograph_is_one():
    hashes = [
        hash_words([text]).hashes.tolist() for text in ("The café, 2x", "the CAFÉ 2x!", "Ｔhe  Café\n2x")
    ]
    assert hashes[0] == hashes[1] == hashes[2] and len(set(hashes[0])) == 3
    assert len(hash_words(["你好 world 😀"]).hashes) == 4
    assert len(hash_words([]).hashes) == len(hash_words(["", "…"]).hashes) == 0


def test_sequences_of_words_do_not_reach_into_the_next_text():
    grams = hash_grams(hash_words(["a b c d", "e f", "a b c"]), 3)
    assert grams.text.tolist() == [0, 0, 2] and grams.hashes[0] == grams.hashes[2] != grams.hashes[1]


def test_long_texts_are_hashed_alike_alone_and_together():
    texts = [" ".join(answer(3000)), "", " ".join(answer(9000)), "é x"]
    together = hash_words(texts)
    for at, text in enumerate(texts):
        assert (together.hashes[together.text == at] == hash_words([text]).hashes).all()


# -- the split -------------------------------------------------------------------------------------


def old_split(count, share, seed):
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return sorted(order[: max(1, round(share * count))])


def test_without_copies_the_split_depends_on_the_seed_alone():
    for count in (1, 7, 200):
        division = divide(range(count), [], range(count), 0.1, 3)
        assert division.held == old_split(count, 0.1, 3) and not division.notes
        assert sorted([*division.train, *division.held]) == list(range(count))


def test_copies_of_a_row_are_on_one_side():
    copies = [at - at % 4 for at in range(200)]  # four copies of each
    division = divide(range(200), [], copies, 0.1, 0)
    assert len(division.held) == 20
    assert not {copies[at] for at in division.held} & {copies[at] for at in division.train}


def test_a_copy_in_another_group_brings_that_group_along():
    groups = [name for name in "abcdefghij" for _ in range(3)]
    copies = list(range(30))
    copies[29], copies[15] = 0, 12  # j like a; f like e
    for seed in range(20):
        division = divide(range(30), groups, copies, 0.3, seed)
        held = {groups[at] for at in division.held}
        assert ("a" in held) == ("j" in held) and ("e" in held) == ("f" in held) and 0 < len(held) <= 3
        assert not held & {groups[at] for at in division.train}


def test_copies_connect_groups_over_several_steps():
    groups = [name for name in "abcdefghij" for _ in range(3)]
    copies = list(range(30))
    copies[3], copies[6] = 0, 4  # b like a; c like b
    for seed in range(20):
        held = {groups[at] for at in divide(range(30), groups, copies, 0.4, seed).held}
        assert held >= set("abc") or not held & set("abc")


def test_rows_that_are_all_alike_are_split_all_the_same():
    division = divide(range(10), [], [0] * 10, 0.1, 0)
    assert len(division.held) == 1 and "copies of each other" in division.notes[0]


def test_copies_that_are_too_many_for_the_validation_rows_are_told(tmp_path):
    copies = [0] * 30 + list(range(30, 100))
    division = divide(range(100), [], copies, 0.1, 0)
    assert len(division.held) == 10 and min(division.held) >= 30
    assert division.notes == (division.unheld,) and division.unheld.startswith("30 rows are never validation")
    assert not divide(range(100), [], copies, 0.4, 0).notes
    raws = [row(["yes"])] * 30 + [row(answer(9)) for _ in range(70)]
    (scan,) = scans(write(tmp_path / "a.jsonl", raws))
    assert not of_name(scan, LEAK).hits and "30 rows are never" in of_name(scan, LEAK).detail


def test_rows_that_train_nothing_are_never_held_out_while_there_are_others():
    copies = [0, 0, 0, 0, 0, 5, 6]  # as many as no validation share has room for
    for seed in range(20):
        division = divide(range(7), [], copies, 0.1, seed, untrained=[5, 6])
        assert len(division.held) == 1 and division.held[0] < 5 and {5, 6} <= set(division.train)
        divided = divide(range(100), [], range(100), 0.1, seed, untrained=range(0, 100, 2))
        assert len(divided.held) == 5 and all(at % 2 for at in divided.held)
    assert len(divide(range(4), [], range(4), 0.5, 0, untrained=range(4)).held) == 2


def test_a_group_is_held_out_only_if_a_row_of_it_trains_something():
    groups = [name for name in "abcd" for _ in range(3)]
    for seed in range(20):
        held = divide(range(12), groups, range(12), 0.5, seed, untrained=[0, 1, 2, 3]).held
        assert "a" not in {groups[at] for at in held} and held
    only_b = divide(range(12), groups, range(12), 0.5, 0, untrained=[*range(3), *range(6, 12)])
    assert "all rows have the same group" in only_b.notes[0] and set(only_b.held) < {3, 4, 5}


def test_rows_that_train_nothing_are_no_copies_and_their_fingerprints_are_the_same_each_time():
    raws = [row(["yes"]), {"other": 1}, {"prompt": "p", "completion": " "}] * 2
    taken, again = prints(raws), prints(raws)
    assert taken.exact_copies.tolist() == taken.near_copies.tolist() == [0, 1, 2, 0, 4, 5]
    assert taken.untrained.tolist() == [1, 2, 4, 5] and (taken.keys == again.keys).all()
    both = RowPrints.join(taken, again)
    assert both.untrained.tolist() == [1, 2, 4, 5, 7, 8, 10, 11]
    assert both.exact_copies.tolist() == [0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11]


def test_left_out_copies_are_on_no_side():
    copies = [0, 0, 2, 3, 2, 5]
    division = divide(find_first_copies(copies), [], copies, 0.5, 0)
    assert sorted([*division.train, *division.held]) == [0, 2, 3, 5]


# -- findings --------------------------------------------------------------------------------------


def write(path, raws):
    path.write_text("".join(json.dumps(raw) + "\n" for raw in raws))
    return str(path)


def scans(path, known=None, **options):
    data = DataOptions(source=path, **options)
    asked = ScanOptions(data, PromptIndex({}), 0, known=known)
    return list(scan_rows.scan_all(find_sources(data), asked, lambda _: None))


def of_name(scan, name):
    return next(finding for finding in scan.findings if finding.name == name)


LEAK = "validation rows that are also trained on"


def test_copies_are_counted_and_shown_without_personal_data(tmp_path):
    words = ["jane@example.org", *answer(60)]
    raws = [row(answer(60)) for _ in range(20)] + [row(words), row(words), row(changed(words, 2))]
    (scan,) = scans(write(tmp_path / "a.jsonl", raws))
    exact, near = of_name(scan, "exact duplicates"), of_name(scan, "near duplicates")
    assert (exact.hits, near.hits) == (1, 1) and exact.severity is Severity.MEDIUM
    assert exact.examples[0].row == 22 and exact.examples[0].text.startswith("like row 21: j***@e***")


def test_near_copies_in_a_group_are_told_and_are_no_fault(tmp_path):
    rows = [row(answer(40)) | {"group": f"g{number}"} for number in range(120)]
    paraphrases = [each | {"prompt": "Another prompt."} for each in rows[:30]]
    (found,) = scans(write(tmp_path / "a.jsonl", [*rows, *paraphrases, paraphrases[0] | {"group": "g5"}]))
    exact, near = of_name(found, "exact duplicates"), of_name(found, "near duplicates")
    assert (exact.hits, near.hits) == (1, 0) and near.detail == "30 more are in the group of their first copy"
    near_of, groups = np.array([0, 1, 0, 1]), ["a", "b", "a", "a"]
    division = divide_source(np.arange(4), near_of, (), groups, DataOptions(deduplicate="near"), 0)
    assert sorted(division.train + division.held) == [0, 1, 2], "the last is like a row of another group"


def test_a_validation_file_with_training_rows_is_blocked_and_named(tmp_path):
    train, held = [row(answer(60)) for _ in range(50)], [row(answer(60)) for _ in range(98)]
    held += [train[3], row(changed(train[4]["completion"].split(), 3))]
    _, scan = scans(write(tmp_path / "a.jsonl", train), validation=write(tmp_path / "v.jsonl", held))
    found = of_name(scan, LEAK)
    assert (found.hits, found.rows, found.blocks) == (2, 100, "leakage")
    assert found.detail == "1 are equal to a training row, 1 nearly"
    assert [example.row for example in found.examples] == [99, 100]


def test_the_automatic_split_leaks_near_copies_unless_they_are_dropped_or_kept_together(tmp_path):
    base = [answer(60) for _ in range(60)]
    path = write(
        tmp_path / "a.jsonl", [row(words) for words in [*base, *(changed(words, 2) for words in base)]]
    )
    (scan,) = scans(path)
    assert of_name(scan, LEAK).blocks == "leakage" and of_name(scan, LEAK).hits > 5
    for choice in ("near", "together"):
        (scan,) = scans(path, deduplicate=choice)
        assert of_name(scan, LEAK).hits == 0


def test_a_small_file_is_blocked_for_many_leaks_and_not_for_one(tmp_path):
    base = [answer(60) for _ in range(40)]
    rows = [row(words) for words in [*base, *(changed(words, 2) for words in base)]]
    (scan,) = scans(write(tmp_path / "a.jsonl", rows))
    assert of_name(scan, LEAK).hits == 8 and of_name(scan, LEAK).blocks == "leakage"
    other, held = [row(answer(60)) for _ in range(9)], tmp_path / "v.jsonl"
    write(held, [*other, rows[0]])
    _, scan = scans(write(tmp_path / "b.jsonl", rows[:40]), validation=str(held))
    assert of_name(scan, LEAK).hits == 1 and not of_name(scan, LEAK).blocks


@pytest.mark.parametrize(("choice", "left"), [(False, 70), (True, 60), ("exact", 60), ("near", 50)])
def test_copies_are_left_out_as_the_study_file_says(choice, left):
    exact, near = np.arange(70), np.arange(70)
    exact[60:] = near[60:] = np.arange(10)
    near[50:60] = np.arange(10)
    division = divide_source(exact, near, (), (), DataOptions(deduplicate=choice), 0)
    assert len(division.train) + len(division.held) == left
    assert bool(division.notes) == (left < 70)


def test_exact_copies_never_leak_into_the_automatic_split(tmp_path):
    raws = [row(answer(5)) for _ in range(60)]
    (scan,) = scans(write(tmp_path / "a.jsonl", [*raws, *raws]))
    assert of_name(scan, LEAK).hits == 0 and of_name(scan, "exact duplicates").hits == 60


def test_rows_that_contain_evaluation_data_are_found(tmp_path):
    questions = [answer(30) for _ in range(10)]
    known = KnownTexts(
        [write(tmp_path / "eval.jsonl", [{"question": " ".join(words)} for words in questions])], "x"
    )
    inside = [row([*answer(20), *words[5:20], *answer(20)]) for words in questions]
    fewer = [row([*answer(20), *words[5:16], *answer(20)]) for words in questions]
    (scan,) = scans(write(tmp_path / "a.jsonl", [*inside, *fewer]), known)
    found = of_name(scan, "rows that contain evaluation data")
    batch = batch_of([*inside, *fewer], 0)
    precision, recall = rates(set(known.match(batch)), set(range(10)))
    print(f"contamination: precision {precision:.2f}, recall {recall:.2f} of 10 planted")
    assert (precision, recall) == (1.0, 1.0)
    assert found.hits == 10 and found.severity is Severity.HIGH and "eval.jsonl" in found.detail


def test_evaluation_data_that_cannot_be_read_is_named():
    with pytest.raises(TrimtabError, match=r"data\.contamination = 'none.jsonl'"):
        KnownTexts(["none.jsonl"], "data.contamination")
