"""Patterns for each kind of PII, with checks that reject lookalikes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from core.evaluate.text.id_checksums import is_card, is_iban, is_ssn


def _is_phone(text: str) -> bool:
    """E.164 allows 15 digits; fewer than 8 could be any number. A single repeated digit is a placeholder."""
    digits = [character for character in text if character.isdigit()]
    return 8 <= len(digits) <= 15 and len(set(digits)) > 1


def _is_ipv4(text: str) -> bool:
    return _is_address(text, 4)


def _is_ipv6(text: str) -> bool:
    return text.count(":") >= 2 and any(character.isdigit() for character in text) and _is_address(text, 6)


def _is_address(text: str, version: int) -> bool:
    """Whether this is a valid address that is neither loopback nor unspecified."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return found.version == version and not (found.is_loopback or found.is_unspecified)


def _always(text: str) -> bool:
    return True


_STREETS = (
    r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|square|sq|terrace|close|crescent|way"
    r"|place|pl|mews|gardens|parkway|highway)"
)
_GAP = r"[ .\-/]?"
_PHONE = (
    rf"(?<![\w.+\-/])(?:"
    rf"\+[1-9]\d{{0,2}}(?:[ .\-/]?\(?\d{{1,5}}\)?){{2,6}}"  # +44 20 7946 0958
    rf"|\(\d{{2,5}}\)[ .\-]?\d{{2,4}}(?:[ .\-]?\d{{2,4}}){{1,3}}"  # (555) 010-0199
    rf"|(?:1{_GAP})?\d{{3}}(?P<gap>[.\-])\d{{3}}(?P=gap)\d{{4}}"  # 555-010-0199
    rf"|\d{{3}} \d{{3}} \d{{4}}"
    rf"|00[1-9]\d{{0,2}}(?:[ .\-/]?\d{{2,5}}){{2,5}}"  # 0049 30 123456
    rf"|(?!\d{{5}}-\d{{4}}\b)0\d{{1,4}}[ /\-]\d{{3,8}}(?:[ \-]\d{{2,6}}){{0,3}}"  # 020 7946 0958, 030/123456
    rf")(?![\w\-]|\.\d)"
)
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}"
_EMAIL = rf"(?<![\w.+\-'])[A-Za-z0-9][\w.+\-']{{0,63}}@{_HOST}(?![\w\-])"
_IBAN = r"(?<!\w)[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}(?!\w)"
_CARD = r"(?<![\w.\-])\d(?:[ \-]?\d){12,18}(?![\w\-]|\.\d)"
_SSN = r"(?<![\w\-.])\d{3}([\- ])\d{2}\1\d{4}(?![\w\-]|\.\d)"
_IPV6 = r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?(?![\w:])"
_IPV4 = r"(?<![\w.])(?<!version )(?<!v)\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"
_STREET = (
    rf"(?<![\w.])\d{{1,5}}[A-Za-z]?,? (?:[A-Z][\w']{{1,20}}\.? ){{1,3}}(?i:{_STREETS})\b\.?"
    r"|(?<!\w)[A-ZÄÖÜ][a-zäöüß]{2,20}(?:straße|strasse|str\.|weg|platz|allee|gasse) \d{1,4}[a-z]?(?!\w)"
)
# The most reliable kinds come first: a later kind does not match what an earlier one matched.
RULES: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (re.compile(_EMAIL), _always),
    "iban": (re.compile(_IBAN), is_iban),
    "card": (re.compile(_CARD), is_card),
    "ssn": (re.compile(_SSN), is_ssn),
    "ipv6": (re.compile(_IPV6), _is_ipv6),
    "ipv4": (re.compile(_IPV4), _is_ipv4),
    "phone": (re.compile(_PHONE), _is_phone),
    "address": (re.compile(_STREET), _always),
}
