"""Checks numbers with a checksum or fixed rules: bank accounts, payment cards, social security numbers."""

from __future__ import annotations

# Length of an IBAN by country (the registry of ISO 13616).
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY":
    28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24,
    "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU":
    28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU":
    30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24,
    "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK":
    20,
}  # fmt: skip
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
    """Whether the text has a known country, its length, and a remainder of 1 modulo 97 (ISO 7064)."""
    code = "".join(text.split()).upper()
    if not code.isascii() or not code.isalnum() or len(code) != IBAN_LENGTHS.get(code[:2]):
        return False
    return int("".join(str(int(character, 36)) for character in code[4:] + code[:4])) % 97 == 1


def is_card(text: str) -> bool:
    """Whether the digits have a known brand's prefix and length, and pass the Luhn check."""
    digits = "".join(character for character in text if character in "0123456789")
    known = any(digits.startswith(begin) and len(digits) in sizes for begin, sizes in CARDS)
    return known and len(set(digits)) > 1 and luhn(digits)


def luhn(digits: str) -> bool:
    """The Luhn check (ISO/IEC 7812): every second digit from the right counts double, nines cast out; the sum
    ends in 0."""
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])) % 10 == 0


def is_ssn(text: str) -> bool:
    """Whether a US social security number can have been issued: no part is all zeros, and the first is
    neither 666 nor from 900."""
    area, group, serial = text[:3], text[-7:-5] if len(text) == 11 else text[3:5], text[-4:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
