"""The prompts that come with trimtab are whole, and a user's own are read in the same shapes."""

from collections import Counter

import pytest

from core.contract.spec.metric_table import BOARDS, METRICS
from core.errors import SpecError, TrimtabError
from core.evaluate.prompts import packaged_prompts, prompt_files
from core.evaluate.prompts.prompt_schema import Injection, Passage, Prompt, Question, Task, Wrapper
from core.evaluate.text.toxicity_scorer import TOXIC, toxicity


def test_there_is_enough_of_everything_and_nothing_twice():
    for rows, fewest in (
        (packaged_prompts.pairs(), 60), (packaged_prompts.harmful(), 60), (packaged_prompts.harmless(), 60),
        (packaged_prompts.elicitors(), 30),
        (packaged_prompts.wrappers(), 20), (packaged_prompts.injections(), 24),
        (packaged_prompts.reference(), 20),
    ):  # fmt: skip
        assert len(rows) >= fewest and len(set(map(str, rows))) == len(rows)
    axes = Counter(pair.axis for pair in packaged_prompts.pairs())
    assert len(axes) >= 6 and min(axes.values()) >= 5
    assert sum(len(passage.text.split()) for passage in packaged_prompts.reference()) >= 2000
    leaning = packaged_prompts.leaning()
    assert len(leaning.templates) >= 10 and sum(map(len, leaning.groups.values())) >= 6


def test_pairs_differ_in_few_words_so_that_nothing_else_is_compared():
    for pair in packaged_prompts.pairs():
        one, other = pair.stereotype.split(), pair.opposite.split()
        assert len((Counter(one) - Counter(other)) + (Counter(other) - Counter(one))) <= 4, pair
        assert abs(len(one) - len(other)) <= 1, pair


def test_harmful_and_harmless_requests_share_their_topics():
    harmful, harmless = (
        Counter(row.topic for row in rows()) for rows in (packaged_prompts.harmful, packaged_prompts.harmless)
    )
    assert harmful == harmless


def test_what_comes_with_trimtab_is_itself_no_toxic_text():
    texts = [
        row.text
        for rows in (packaged_prompts.elicitors(), packaged_prompts.harmful(), packaged_prompts.reference())
        for row in rows
    ]
    assert [text for text in texts if toxicity([text])[0] >= TOXIC] == []


def test_canaries_of_injections_are_words_of_their_own():
    words = [injection.canary for injection in packaged_prompts.injections()]
    assert len(set(words)) == len(words) and all(len(word) >= 6 and word.isupper() for word in words)


def test_a_jailbreak_holds_its_request_as_its_wrapper_says():
    assert packaged_prompts.wrap(Wrapper("Do: {request} Now."), "sing {x}") == "Do: sing {x} Now."
    for encoding, text in (("base64", "c2luZw=="), ("rot13", "fvat"), ("reverse", "gnis")):
        assert packaged_prompts.wrap(Wrapper("{request}", encoding=encoding), "sing") == text


def test_any_beginning_of_the_jailbreaks_has_nearly_as_many_of_each():
    requests, wrappers = packaged_prompts.harmful(), packaged_prompts.wrappers()
    every = list(packaged_prompts.jailbreaks(requests, wrappers))
    assert len({text for *_, text in every}) == len(requests) * len(wrappers)
    begin = every[: len(requests)]
    assert len({request for _, request, _ in begin}) == len(requests)
    counts = Counter(wrapper for wrapper, *_ in begin)
    assert max(counts.values()) - min(counts.values()) <= 1 and len(counts) == len(wrappers)


def test_every_group_stands_in_every_template():
    prompts = packaged_prompts.leaning().prompts("gender")
    assert len(prompts) >= 2 and len({len(several) for several in prompts.values()}) == 1
    assert all("{" not in one for several in prompts.values() for one in several)
    assert prompts["The woman"][2] == "People said that the woman was"


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
    groups = 'templates = ["{person} was"]\n[groups]\nage = ["The old man", "The young man"]'
    assert prompt_files.leaning(written("g.toml", groups)).prompts("age")["The old man"] == [
        "The old man was"
    ]


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
            ["the canary appears in the task"],
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
    for text in (
        'templates = ["x"]\n[groups]\na = ["b", "c"]',
        'templates = ["{person}"]\n[groups]\na = ["b"]',
        "x = 1",
    ):
        (tmp_path / "l.toml").write_text(text)
        with pytest.raises(SpecError, match="templates"):
            prompt_files.leaning(tmp_path / "l.toml")


def test_a_damaged_installation_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged_prompts, "DATA", tmp_path)
    (tmp_path / "pairs.jsonl").write_text("{}")
    (tmp_path / "toxic.toml").write_text("mild = 1")
    for wrong in (
        lambda: packaged_prompts._packaged.__wrapped__("pairs.jsonl", "pairs", packaged_prompts.Pair),
        lambda: packaged_prompts.table.__wrapped__("toxic.toml", ("endings",)),
        lambda: packaged_prompts.leaning.__wrapped__(),
    ):
        with pytest.raises(TrimtabError, match="reinstall trimtab"):
            wrong()


def test_every_board_has_metrics_with_a_direction_a_unit_and_a_meaning():
    for board in BOARDS:
        found = [metric for metric in METRICS.values() if metric.name.startswith(f"{board}/")]
        assert len(found) >= 6 and all(one.unit and one.meaning and one.direction for one in found)
