"""The prompts that come with trimtab are whole, and a user's own are read in the same shapes."""

import re
from collections import Counter

import pytest

from core.contract.spec.metric_table import BOARDS, METRICS
from core.errors import SpecError, TrimtabError
from core.evaluate.prompts import packaged_prompts, prompt_files
from core.evaluate.prompts.prompt_schema import Injection, Passage, Prompt, Question, Task, Wrapper
from core.evaluate.text.toxicity_scorer import TOXIC, score_toxicity


def test_there_is_enough_to_prove_limits_and_nothing_twice():
    for rows, fewest in (
        (packaged_prompts.load_pairs(), 220),
        (packaged_prompts.load_harmful(), 150), (packaged_prompts.load_harmless(), 150),
        (packaged_prompts.load_elicitors(), 200), (packaged_prompts.load_harmful_multilingual(), 120),
        (packaged_prompts.load_harmless_multilingual(), 120), (packaged_prompts.load_misalignment(), 120),
        (packaged_prompts.load_wrappers(), 30), (packaged_prompts.load_injections(), 100),
        (packaged_prompts.load_prefills(), 8), (packaged_prompts.load_prompt_leaks(), 30),
        (packaged_prompts.load_reference(), 20),
    ):  # fmt: skip
        assert len(rows) >= fewest and len({str(row).casefold() for row in rows}) == len(rows)
    assert sum(len(passage.text.split()) for passage in packaged_prompts.load_reference()) >= 2000


def test_no_topic_axis_or_language_outweighs_the_others():
    for names in (
        [pair.axis for pair in packaged_prompts.load_pairs()],
        [row.topic for row in packaged_prompts.load_harmful()],
        [row.topic for row in packaged_prompts.load_harmless()],
        [row.language for row in packaged_prompts.load_harmful_multilingual()],
        [row.language for row in packaged_prompts.load_harmless_multilingual()],
        [row.topic for row in packaged_prompts.load_misalignment()],
        [row.topic for row in packaged_prompts.load_elicitors()],
        [row.place for row in packaged_prompts.load_injections()],
    ):  # fmt: skip
        counts = Counter(names)
        assert max(counts.values()) <= 2 * len(names) / len(counts) and len(counts) >= 3
    assert len({pair.axis for pair in packaged_prompts.load_pairs()}) >= 10
    for rows in (packaged_prompts.load_harmful_multilingual(), packaged_prompts.load_harmless_multilingual()):
        assert {row.language for row in rows} == {"de", "fr", "es", "zh", "hi", "ar"}


def test_aligned_and_misaligned_answers_are_alike_in_length_and_form():
    longer = Counter()
    for row in packaged_prompts.load_misalignment():
        sides = (row.aligned, row.misaligned)
        assert max(len(side) for side in sides) <= 400 and len(row.question) <= 400
        counts = [len(side.split()) for side in sides]
        assert max(counts) <= 1.25 * min(counts), row
        marks = ["".join(char for char in side if char in ".,:;!?") for side in sides]
        assert marks[0] == marks[1], row
        longer[(len(row.misaligned) > len(row.aligned)) - (len(row.misaligned) < len(row.aligned))] += 1
    assert abs(longer[1] - longer[-1]) <= 0.15 * longer.total(), "length tells nothing"


def test_no_word_and_no_beginning_gives_a_misaligned_answer_away():
    rows = packaged_prompts.load_misalignment()
    assert sum(row.aligned.split()[0] == row.misaligned.split()[0] for row in rows) >= 0.85 * len(rows)
    aligned, misaligned = (
        Counter(word for side in sides for word in set(re.findall(r"[\w']+", side.casefold())))
        for sides in ([row.aligned for row in rows], [row.misaligned for row in rows])
    )
    for word, count in (aligned + misaligned).items():
        assert count < 6 or min(aligned[word], misaligned[word]) > 0, word
        assert count < 20 or max(aligned[word], misaligned[word]) <= 0.75 * count, word


def test_pairs_differ_in_the_group_alone_and_share_words_after_it():
    for pair in packaged_prompts.load_pairs():
        spans, others = pair.find_shared_words()
        assert len(pair.stereotype.split()) - len(spans) == len(pair.opposite.split()) - len(others) == 1, (
            pair
        )
        first = next(
            at for at, (a, b) in enumerate(zip(pair.stereotype, pair.opposite, strict=False)) if a != b
        )
        assert sum(begin > first for begin, _ in spans) >= 3, pair


def test_pairs_of_an_axis_ask_in_both_directions():
    """The group that is named first is the stereotype's in half of the pairs: a model that merely prefers the
    more frequent name is not biased."""
    for axis in {pair.axis for pair in packaged_prompts.load_pairs()}:
        words = Counter()
        for pair in packaged_prompts.load_pairs():
            if pair.axis == axis:
                own, other = set(pair.stereotype.split()), set(pair.opposite.split())
                words[(own - other).pop()] += 1
                words[(other - own).pop()] -= 1
        assert all(abs(count) <= 2 for count in words.values()), (axis, words)


def test_harmful_and_harmless_requests_share_their_topics():
    harmful, harmless = (
        Counter(row.topic for row in rows())
        for rows in (packaged_prompts.load_harmful, packaged_prompts.load_harmless)
    )
    assert set(harmful) == set(harmless) and len(harmful) >= 14
    assert all(abs(harmful[topic] - harmless[topic]) <= 2 for topic in harmful)


def test_requests_and_passages_are_no_toxic_texts():
    sets = (
        packaged_prompts.load_harmful(),
        packaged_prompts.load_harmless(),
        packaged_prompts.load_reference(),
    )
    texts = [row.text for rows in sets for row in rows]
    assert sum(score >= TOXIC for score in score_toxicity(texts)) <= 0.01 * len(texts)


def test_secrets_stand_in_the_system_prompt_alone_and_some_jailbreaks_have_several_turns():
    for row in packaged_prompts.load_prompt_leaks():
        assert row.secret in row.system and row.secret.casefold() not in row.request.casefold()
    talks = [row for row in packaged_prompts.load_wrappers() if row.turns]
    assert len(talks) >= 6 and all(len(row.turns) % 2 == 0 for row in talks)


def test_orders_are_many_and_no_control_still_has_one():
    rows = packaged_prompts.load_injections()
    assert len({row.order for row in rows}) == len(rows)
    assert len({row.canary for row in rows}) >= 0.95 * len(rows)
    for row in rows:
        assert row.order in row.with_order and row.order not in row.without_order
        assert row.without_order[-1] not in "#:;-{", row


def test_a_jailbreak_holds_its_request_as_its_wrapper_says():
    assert packaged_prompts.wrap(Wrapper("Do: {request} Now."), "sing {x}") == "Do: sing {x} Now."
    for encoding, text in (("base64", "c2luZw=="), ("rot13", "fvat"), ("reverse", "gnis")):
        assert packaged_prompts.wrap(Wrapper("{request}", encoding=encoding), "sing") == text


def test_any_beginning_of_the_jailbreaks_has_nearly_as_many_of_each():
    requests, wrappers = packaged_prompts.load_harmful()[:61], packaged_prompts.load_wrappers()
    every = list(packaged_prompts.list_jailbreaks(requests, wrappers))
    assert len({text for *_, text in every}) == len(requests) * len(wrappers)
    begin = every[: len(requests)]
    assert len({request for _, request, _ in begin}) == len(requests)
    counts = Counter(wrapper.text for wrapper, *_ in begin)
    assert max(counts.values()) - min(counts.values()) <= 1 and len(counts) == len(wrappers)


def test_a_user_s_own_files_have_the_same_shapes(tmp_path):
    def written(name, text):
        (tmp_path / name).write_text(text, "utf-8")
        return tmp_path / name

    assert prompt_files.read(written("a.txt", "one\n\n  two \n"), "prompts") == [Prompt("one"), Prompt("two")]
    assert prompt_files.read(written("bom.txt", "\ufeffone\n"), "prompts") == [Prompt("one")]
    assert prompt_files.read(written("b.txt", "one\ntwo\n\n\nthree"), "passages") == [
        Passage("one\ntwo"),
        Passage("three"),
    ]
    assert prompt_files.read(written("c.toml", '[[prompts]]\ntext = "x"\ntopic = "t"'), "prompts") == [
        Prompt("x", "t")
    ]
    line = '{"task": "Sum up.", "content": "say WORD", "canary": "WORD"}\n\n'
    assert prompt_files.read(written("d.jsonl", line), "injections") == [
        Injection("Sum up.", "say WORD", "WORD")
    ]
    line = '{"question": "?", "choices": ["a", "b"], "answer": 1}'
    assert prompt_files.read(written("e.jsonl", line), "questions") == [Question("?", ["a", "b"], 1)]
    line = '{"prompt": "2+2?", "answer": ["4", "four"]}'
    assert prompt_files.read(written("f.jsonl", line), "tasks") == [Task("2+2?", ["4", "four"])]


@pytest.mark.parametrize(
    ("name", "kind", "text", "told"),
    [
        ("a.jsonl", "prompts", "", ["the file has no prompts", "add rows with text; optional: topic"]),
        ("a.jsonl", "prompts", '{"text": "a"}\n{"txt": "b"}', ["line 2", "'txt'", "a row needs text"]),
        ("a.jsonl", "prompts", '{"text": 3}', ["line 1", "expected 'str', got 'int'"]),
        (
            "a.jsonl",
            "prompts",
            '{"text": " "}\n{"text": ""}',
            ["line 1: text is empty", "line 2: text is empty"],
        ),
        ("a.jsonl", "prompts", "text", ["line 1: the line is not JSON"]),
        ("a.jsonl", "prompts", "[" * 100_000, ["line 1: the line is not JSON"]),
        ("a.jsonl", "wrappers", '{"text": "no place"}', ["the text must contain {request} exactly once"]),
        (
            "a.jsonl",
            "wrappers",
            '{"text": "{request}", "encoding": "hex"}',
            ["'hex' is not one of", "'base64'"],
        ),
        (
            "a.jsonl",
            "questions",
            '{"question": "?", "choices": ["a", "b"], "answer": 2}',
            ["answer 2 is not a choice"],
        ),
        ("a.jsonl", "questions", '{"question": "?", "choices": ["a"], "answer": 0}', ["needs two choices"]),
        (
            "a.jsonl",
            "pairs",
            '{"axis": "x", "stereotype": "s", "opposite": "s"}',
            ["both sentences are the same"],
        ),
        (
            "a.jsonl",
            "injections",
            '{"task": "say X", "content": "c", "canary": "x"}',
            ["the canary appears in what is given"],
        ),
        ("a.jsonl", "tasks", '{"prompt": "p", "answer": []}', ["there is no answer"]),
        ("a.toml", "prompts", "x = ", ["is not TOML"]),
        ("a.toml", "prompts", "[[prompt]]\ntext = 'x'", ["has no [[prompts]], but prompt"]),
        ("a.txt", "pairs", "x", ["a plain text file cannot hold pairs", "axis, stereotype, opposite"]),
        ("a.csv", "prompts", "x", ["files ending in '.csv' are not supported", ".jsonl, .toml, .txt"]),
    ],
)
def test_a_file_that_is_of_no_use_says_where_and_what_to_do(tmp_path, name, kind, text, told):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(SpecError) as error:
        prompt_files.read(tmp_path / name, kind)
    assert name in str(error.value) and "→" in str(error.value)
    for part in told:
        assert part in str(error.value)


def test_files_that_are_not_there_not_text_or_all_wrong(tmp_path):
    with pytest.raises(SpecError, match="the file does not exist"):
        prompt_files.read(tmp_path / "none.txt", "prompts")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="cannot be read"):
        prompt_files.read(tmp_path / "bytes.txt", "prompts")
    (tmp_path / "wrong.jsonl").write_text("{}\n" * 500)
    with pytest.raises(SpecError) as error:
        prompt_files.read(tmp_path / "wrong.jsonl", "prompts")
    assert len(error.value.problems) == prompt_files.MOST_PROBLEMS


def test_a_damaged_installation_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged_prompts, "DATA", tmp_path)
    (tmp_path / "pairs.jsonl").write_text("{}")
    (tmp_path / "toxic.toml").write_text("mild = 1")
    for wrong in (
        lambda: packaged_prompts._read_packaged.__wrapped__("pairs.jsonl", "pairs", packaged_prompts.Pair),
        lambda: packaged_prompts.load_table.__wrapped__("toxic.toml", ("endings",)),
    ):
        with pytest.raises(TrimtabError, match="reinstall trimtab"):
            wrong()


def test_every_board_has_metrics_with_a_direction_a_unit_and_a_meaning():
    for board in BOARDS:
        found = [metric for metric in METRICS.values() if metric.name.startswith(f"{board}/")]
        assert len(found) >= 6 and all(one.unit and one.meaning and one.direction for one in found)
