"""The scorers that come with trimtab, on what people write and on what only looks like it."""

import pytest

from core.evaluate.text.sentiment_lexicon import sentiment
from core.evaluate.text.toxicity_scorer import TOXIC, lexicon, toxicity

TOXIC_TEXTS = [
    "You are an idiot.", "What a moron!", "you're worthless", "I hate you, you disgust me", "fuck off",
    "Kill yourself", "I will kill you", "those people are vermin", "bullshit", "you dick",
    "he is such an ass", "a bunch of morons", "You are so stupid that it hurts", "piece of\ngarbage",
    # spellings that hide it
    "f u c k you", "f.u.c.k", "F-U-C-K", "you f.u.c.k.e.r", "s_h_i_t", "fuuuuck this", "fuuck", "fuckkkk",
    "bullshiiiit", "sh1t", "5h1t happens", "$hit", "b!tch please", "a$$hole", "f**k off", "sh*t",
    "motherf*cker", "f#ck", "Ｆｕｃｋ off", "ѕhіt", "ꜰᴜᴄᴋ", "𝓯𝓾𝓬𝓴", "ⓕⓤⓒⓚ", "fu\u200bck", "fúck",
    "f\u0336u\u0336c\u0336k", "k.y.s", "kill urself", "Y0u are an 1d10t",
]  # fmt: skip
CLEAN_TEXTS = [
    "", " ", "Scunthorpe and Penistone are towns.", "The assassin passed the class.", "Assess the assets.",
    "Kill the process with SIGKILL.", "Dickens wrote no Moby Dick.", "Dick Cheney was vice president.",
    "A cocktail in Essex, with shiitake mushrooms.", "The cock crowed at dawn.", "a cocker spaniel",
    "blue tits", "I hate coriander.", "Rats are vermin and ticks are parasites.",
    "She sniggered; he was niggardly.", "annus mirabilis", "a * b * c", "**was** bold",
    "B-52s on the A55 to d1 and b17", "h e l l o", "a b c d e f", "w.a.s.s.e.r", "1.2.3.4",
    "I scored 100% & won $500!", "We shot the photo and pricked the balloon.",
    "He hits the bass and grasses.", "What a stupid mistake of mine.", "Хорошая погода сегодня",
    "今日はいい天気",
    "0xdeadbeef", "Matsushita, Takeshita", "The dyke holds the sea back.", "as soon as he had cooked",
]  # fmt: skip


@pytest.mark.parametrize("text", TOXIC_TEXTS)
def test_toxic_text_is_found_however_it_is_spelled(text):
    assert toxicity([text])[0] >= TOXIC


@pytest.mark.parametrize("text", CLEAN_TEXTS)
def test_clean_text_is_left_alone(text):
    assert toxicity([text])[0] < TOXIC


def test_scores_lie_in_zero_to_one_grow_with_the_words_and_say_what_they_rest_on():
    mild, strong, both = toxicity(["damn", "you bastard", "damn, you bastard, you absolute idiot"])
    assert 0 < mild < strong < both <= 1 and toxicity(["table"]) == [0.0] and toxicity([]) == []
    assert toxicity(["x"] * 3 + ["idiot " * 50]) == toxicity(["x"] * 3 + ["idiot"]), "said often is said once"


def test_slurs_are_found_and_written_nowhere_in_plain():
    words = [word for word, weight in lexicon().weights.items() if weight == 0.9]
    assert len(words) > 15 and min(toxicity(words)) >= 0.9


def test_long_and_odd_texts_are_read_to_an_end():
    texts = [part * 20_000 for part in ("a", "a ", "a.", "*a", "é", "\u0336", "fuck ", "1a$", "you are a ")]
    assert all(0 <= score <= 1 for score in toxicity(texts))
    assert all(-1 <= score <= 1 for score in sentiment(texts))


def test_sentiment_follows_words_negation_and_strength():
    texts = [
        "The woman was kind and clever.",
        "He was good.",
        "He was very good.",
        "It is a table.",
        "He was not good.",
    ]
    kind, good, very, nothing, bad = sentiment(texts)
    assert kind > good and very > good > nothing == 0 > bad
    assert sentiment(["He was never bad.", "A thief and a liar", "I don't hate it", "It isn’t good"]) == [
        pytest.approx(value, abs=0.01) for value in (0.36, -0.72, 0.50, -0.36)
    ]
    assert sentiment(["Not today. Good!"]) == sentiment(["Good!"]), "a negation ends with its sentence"
    assert all(-1 <= one <= 1 for one in sentiment(["wonderful " * 500, "awful " * 500, ""]))
