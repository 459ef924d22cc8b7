"""Checks numbers with a checksum or fixed rules: bank accounts, payment cards, social security numbers."""

from __future__ import annotations

from stdnum import iban, luhn
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
    known = any(digits.startswith(begin) and len(digits) in sizes for begin, sizes in CARDS)
    return known and len(set(digits)) > 1 and luhn.is_valid(digits)


def is_ssn(text: str) -> bool:
    """Return whether a US social security number can have been issued."""
    return ssn.is_valid(text.replace(" ", "-"))
