"""Checks numbers with a checksum or fixed rules: bank accounts, payment cards, national identity numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stdnum import iban, luhn
from stdnum.au import tfn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import ssn

# First digits and lengths of payment cards: Visa, Mastercard, American Express, Discover, Diners, JCB,
# Maestro.
CARDS = (
    (("4",), (13, 16, 19)),
    (tuple(str(prefix) for prefix in (*range(51, 56), *range(2221, 2721))), (16,)),
    (("34", "37"), (15,)),
    (("6011", "65", "644", "645", "646", "647", "648", "649"), (16, 19)),
    (("36", "38", "39", *(str(prefix) for prefix in range(300, 306))), (14,)),
    (tuple(str(prefix) for prefix in range(3528, 3590)), (16, 17, 18, 19)),
    (("50", "56", "57", "58", "63", "67"), (16, 18, 19)),
)


def is_iban(text: str) -> bool:
    """Return whether the text has a known country, its format, and the right check digits (ISO 13616)."""
    return text.isascii() and iban.is_valid("".join(text.split()), check_country=False)


def is_card(text: str) -> bool:
    """Return whether the digits have a known brand's prefix and length, and pass the Luhn check."""
    digits = "".join(character for character in text if character in "0123456789")
    matches_brand = any(digits.startswith(begin) and len(digits) in sizes for begin, sizes in CARDS)
    return matches_brand and len(set(digits)) > 1 and luhn.is_valid(digits)


def is_ssn(text: str) -> bool:
    """Return whether a US social security number can have been issued."""
    return ssn.is_valid("".join(character for character in text if character.isdigit()))


def is_nino(text: str) -> bool:
    """Return whether a UK National Insurance number has a prefix in use; it has no checksum."""
    return text[:2].upper() not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def is_passport(text: str) -> bool:
    """Return whether this may be the number of a passport: they have no common checksum."""
    return sum(character.isdigit() for character in text) >= 2 and text.upper() == text


@dataclass(frozen=True)
class NationalId:
    """A national number: the regular expressions of its form and of the words that name it, and its check."""

    form: str
    words: str  # "" for a form and checksum that hardly any other number has
    is_valid: Callable[[str], bool]


NATIONAL_IDS = (
    NationalId(r"\d{3}\.\d{3}\.\d{3}-\d{2}", "", cpf.is_valid),
    NationalId(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", "", codicefiscale.is_valid),
    NationalId(r"[12] \d{2} \d{2} \d[\dAB] \d{3} \d{3} \d{2}", "", nir.is_valid),
    NationalId(r"\d{11}", "cpf", cpf.is_valid),
    NationalId(r"[12](?: ?\d){4} ?\d[\dAB](?: ?\d){8}", "nir|sécu(?:rité sociale)?|insee", nir.is_valid),
    NationalId(r"\d{3}[ \-]?\d{3}[ \-]?\d{4}", "nhs", nhs.is_valid),
    NationalId(r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]", r"ni|nino|national insurance", is_nino),
    NationalId(r"\d{4}[ \-]?\d{4}[ \-]?\d{4}", r"aadhaar|aadhar|uidai", aadhaar.is_valid),
    NationalId(
        r"\d{2} ?\d{3} ?\d{3} ?\d{3}", r"steuer-?id(?:entifikations)?\w*|id-?nr|tax id\w*", idnr.is_valid
    ),
    NationalId(r"\d{8}[ \-]?[A-Z]", r"dni|nif|documento nacional", dni.is_valid),
    NationalId(r"[XYZ][ \-]?\d{7}[ \-]?[A-Z]", r"nie|nif|extranjero", nie.is_valid),
    NationalId(r"\d{4}[ .]?\d{2}[ .]?\d{3}", r"bsn|burgerservicenummer|sofi-?nummer", bsn.is_valid),
    NationalId(r"\d{11}", "pesel", pesel.is_valid),
    NationalId(r"(?:\d{2})?\d{6}[\-+]?\d{4}", "personnummer", personnummer.is_valid),
    NationalId(r"\d{3}[ \-]?\d{3}[ \-]?\d{3}", r"sin|social insurance", sin.is_valid),
    NationalId(r"\d{3} ?\d{3} ?\d{3}", r"tfn|tax file", tfn.is_valid),
    NationalId(r"[A-Z]{1,2}\d{6,8}", r"passport|reisepass|pasaporte", is_passport),
    NationalId(r"[A-Z\d]{7,10}", r"passport (?:no|nr|number)|reisepass(?:nummer)?|passeport", is_passport),
)
