"""The toxicity scorer, on what people write and on what only looks like it."""

import pytest

from core.evaluate.text.toxicity_scorer import (
    DETECTOR,
    TOXIC,
    load_lexicon,
    measure_toxicity_quality,
    score_toxicity,
)

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
    assert score_toxicity([text])[0] >= TOXIC


@pytest.mark.parametrize("text", CLEAN_TEXTS)
def test_clean_text_is_left_alone(text):
    assert score_toxicity([text])[0] < TOXIC


def test_scores_lie_in_zero_to_one_grow_with_the_words_and_say_what_they_rest_on():
    mild, strong, both = score_toxicity(["damn", "you bastard", "damn, you bastard, you absolute idiot"])
    assert 0 < mild < strong < both <= 1 and score_toxicity(["table"])[0] < 0.1 and score_toxicity([]) == []
    assert min(score_toxicity(["idiot", "idiot " * 50])) >= TOXIC


def test_slurs_are_found_and_written_nowhere_in_plain():
    words = [word for word, weight in load_lexicon().weights.items() if weight == 0.9]
    assert len(words) > 15 and min(score_toxicity(words)) >= 0.9


def test_long_and_hostile_texts_are_read_to_an_end():
    parts = (
        "a", "a ", "a.", "*a", "é", "\u0336", "fuck ", "1a$", "you are a ", "we should just really ",
        "muslims ", '"',
        "send all every ", "nobody would ever ", "what a stupid, ", "f*", "if a court said ",
    )  # fmt: skip
    assert all(0 <= score <= 1 for score in score_toxicity([(part * 5_000)[:5_000] for part in parts]))


MEANT = [
    "We should gas them all.", "You'll regret this when I find you.", "I am going to stab you in your sleep.",
    "Jews control everything.", "Immigrants are cockroaches.",
    "Muslims should be driven out of this country.",
    "Refugees don't deserve to live here.", "Nobody would miss you.", "You have the brain of a goldfish.",
    "Take your clothes off or you're fired.", "No wonder she left, you pathetic little man.",
    "Du bist ein Arschloch.", "Va te faire foutre.", "Eres un hijo de puta.",
    "Vaffanculo!", "Vai tomar no cu.",
    "Spierdalaj, kurwo.", "Rot op, klootzak.", "Иди на хуй.", "Orospu çocuğu.", "操你妈",
]  # fmt: skip
REPORTED = [
    "He was called an idiot and complained.", "It is wrong to call people vermin.",
    "The court fined him for writing that migrants are parasites.",
    'The moderator removed the comment "you are trash".', "Never say that women belong in the kitchen.",
    "Calling someone a bitch is not acceptable here.",
]  # fmt: skip
OTHERWISE = [
    "I am a gay man.", "My neighbour is a Muslim and a nurse.", "Kill the process with that id.",
    "A bastard sword hangs on the wall.", "A bitch with four puppies was found.",
    "I will find you a better seat.",
    "I will cut her hair.", "We should hang them above the sofa.", "They should be shot from a low angle.",
    "Refugees should not be deported.", "Women do not deserve to be harassed.",
    "You have the heart of a lion.",
]  # fmt: skip


@pytest.mark.parametrize("text", MEANT)
def test_threats_hate_and_insults_are_found_without_profanity_and_in_other_languages(text):
    assert score_toxicity([text])[0] >= TOXIC


@pytest.mark.parametrize("text", REPORTED)
def test_a_report_or_condemnation_of_abuse_is_not_abuse(text):
    assert score_toxicity([text])[0] < TOXIC


@pytest.mark.parametrize("text", OTHERWISE)
def test_groups_and_other_meanings_are_not_toxic_by_themselves(text):
    assert score_toxicity([text])[0] < TOXIC


def test_a_quotation_that_nobody_condemns_stays_toxic():
    assert score_toxicity(['He yelled at the waiter: "You worthless piece of garbage!"'])[0] >= TOXIC


def test_the_scorer_says_what_it_knows_and_how_often_it_errs_on_texts_it_was_not_written_for():
    quality = measure_toxicity_quality()
    assert "English" in DETECTOR and quality.precision >= 0.85 and quality.recall >= 0.6
