"""Personal data is found by kind and place, and numbers that only look like it are not."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluate.text.id_checksums import is_iban
from core.evaluate.text.pii_detector import (
    DETECTOR,
    KINDS,
    SURE,
    collect_pii_keys,
    find_leaked,
    find_pii,
    mask,
    measure_pii_quality,
)

FOUND = [
    ("email", "ada@example.org"), ("email", "j.o'neil+x@mail.co.uk"),
    ("iban", "GB82 WEST 1234 5698 7654 32"), ("iban", "DE89370400440532013000"),
    ("iban", "FR1420041010050500013M02606"), ("card", "4111 1111 1111 1111"),
    ("card", "4012-8888-8888-1881"), ("card", "378282246310005"), ("ssn", "123-45-6789"),
    ("ipv4", "192.168.10.4"), ("ipv4", "8.8.8.8"),
    ("ipv6", "2001:db8::8a2e:370:7334"), ("ipv6", "fe80::1"), ("ipv6", "::ffff:192.0.2.33"),
    ("phone", "+44 20 7946 0958"), ("phone", "(555) 010-0199"), ("phone", "555-010-0199"),
    ("phone", "1-555-010-0199"), ("phone", "020 7946 0958"), ("phone", "+49 (0)30 1234567"),
    ("phone", "0049 30 1234567"), ("phone", "030/1234567"), ("phone", "+14155550132"),
    ("email", "jörg@bücher.de"), ("email", "user[at]site[dot]org"),
    ("national_id", "113.586.606-62"), ("national_id", "BNCLRA80A41F205G"),
    ("secret", "AKIAIOSFODNN7EXAMPLE"), ("secret", "-----BEGIN RSA PRIVATE KEY-----"),
    ("secret", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
    ("address", "221B Baker Street"), ("address", "12 Old Mill Rd"), ("address", "Hauptstraße 12"),
]  # fmt: skip
NOTHING = [
    "version 1.2.3.4", "v10.0.0.1", "127.0.0.1", "0.0.0.0", "256.1.1.1", "1.2.3.4.5", "4111 1111 1111 1112",
    "0000 0000 0000 0000", "DE88370400440532013000", "XX82WEST12345698765432", "000-12-3456", "666-12-3456",
    "900-12-3456", "2023-03-01", "2023-05-31 12:45:10", "10:20:30", "std::vector", "a::b", "Foo::", "::",
    "::1", "face::cafe:", "3.14159265358979", "1000000000000", "ISBN 978-3-16-148410-0", "order 123456789",
    "user@localhost", "@ada", "a@b", "1 2 3 4 5 6 7 8", "1,000,000,000",
    "550e8400-e29b-41d4-a716-446655440000", "1-800", "12 34 56 78 90 12", "", "Boston, MA 02110-1301",
    "numpy>=1.26.4.1", "Version 1.2.3.4", "git@github.com", "555 123 4567 rows", "404 200 5000", "a[::2]",
    "order 555-010-0199", "password: str", "token = get_token(user)", "255.255.255.0", "lodash@4.17.21",
    "Parkplatz 12", "born in 1851", "job 610808187", "NHS 943 476 5919 0", "tracking 4111 1111 1111 1111",
    "252.227-7013", "ten green street lights", "5 way split",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_each_kind_is_found_where_it_stands(kind, text):
    whole = f"Write: {text}, or come by."
    (one,) = find_pii(whole, KINDS)
    assert (one.kind, one.text) == (kind, text) and whole[one.start : one.end] == text


@pytest.mark.parametrize("text", NOTHING)
def test_lookalikes_are_left_alone(text):
    assert find_pii(text, KINDS) == [] and mask(text, KINDS) == text


def test_several_kinds_in_one_text_do_not_overlap_and_are_masked():
    text = (
        "Ada, ada@example.org, pays from DE89 3704 0044 0532 0130 00 to 4111111111111111; call 020 7946 0958."
    )
    assert mask(text) == "Ada, [email], pays from [iban] to [card]; call [phone]."
    assert [one.kind for one in find_pii(text, ("email", "phone"))] == ["email", "phone"]
    assert "address" not in SURE and find_pii("12 Baker Street") == []


def test_the_same_data_is_known_again_however_it_is_written():
    known = collect_pii_keys(["DE89 3704 0044 0532 0130 00", "+44 20 7946 0958", "Ada@Example.org"])
    for answer in ("de89370400440532013000", "+44-20-7946-0958", "ADA@example.org"):
        assert len(find_leaked(f"It is {answer}.", known)) == 1
    assert find_leaked("It is bob@example.org.", known) == []


@given(st.text(max_size=200))
def test_any_text_is_read(text):
    found = find_pii(text, KINDS)
    assert all(text[one.start : one.end] == one.text for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_an_iban_with_two_letters_exchanged_is_none():
    assert is_iban("GB82WEST12345698765432") and not is_iban("GB82EWST12345698765432")
    assert not is_iban("GB82WEST1234569876543") and not is_iban("")


@pytest.mark.parametrize(
    ("kind", "before", "piece"),
    [
        ("national_id", "NHS number ", "943 476 5919"), ("national_id", "Steuer-ID ", "86095742719"),
        ("national_id", "Aadhaar ", "5386 4309 6592"), ("national_id", "DNI ", "50522660D"),
        ("national_id", "BSN: ", "610808187"), ("national_id", "NI number ", "AB 12 34 56 C"),
        ("date_of_birth", "born on ", "3 March 1984"), ("date_of_birth", "geboren am ", "03.11.1975"),
        ("secret", "password: ", "hunter2!Blue"), ("secret", "api_key=", "f3b1c2d4e5a697887766554433221100"),
        ("phone", "call ", "555 0199"), ("phone", "My number is ", "415 555 0199"),
        ("ssn", "SSN: ", "219094120"),
    ],
)  # fmt: skip
def test_a_weak_form_is_personal_after_the_word_that_names_it_and_not_alone(kind, before, piece):
    (match,) = find_pii(f"{before}{piece}.", KINDS)
    assert (match.kind, match.text) == (kind, piece)
    assert find_pii(f"{piece} things", KINDS) == []


def test_an_address_written_out_is_the_same_address():
    known = collect_pii_keys(["ada@example.org"])
    assert len(find_leaked("ada [at] example [dot] org", known)) == 1


def test_hostile_texts_are_read_to_an_end():
    parts = (
        "1-",
        "+1 ",
        "a@a.",
        "AA11 ",
        "sk-",
        "born ",
        "nhs 1",
        "http://a:",
        "rue de l'",
        "password: ",
        "a at b dot ",
    )
    for part in parts:
        find_pii((part * 20_000)[:20_000], KINDS)


def test_the_detector_says_what_it_looks_for_and_how_often_it_errs_on_texts_it_was_not_written_for():
    quality = measure_pii_quality()
    assert "not for names" in DETECTOR and quality.precision >= 0.9 and quality.recall >= 0.9
    assert quality.specificity >= 0.95 and quality.positives + quality.negatives >= 60
