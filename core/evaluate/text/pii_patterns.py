"""Patterns for each kind of PII, with checks that reject lookalikes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from core.evaluate.text.id_checksums import NATIONAL_IDS, is_card, is_iban, is_ssn

BEFORE, AFTER = 32, 16  # characters around a match in which a lookalike shows


def _always(text: str) -> bool:
    return True


class Clues(NamedTuple):
    """What tells quickly that rules match nothing in a text: the text in lower case and its number of digits,
    both None for a text with more than ASCII, in which a letter has several forms."""

    lower: str | None
    digits: int | None

    @classmethod
    def of(cls, text: str) -> Clues:
        """Return the clues in a text."""
        if not text.isascii():
            return cls(None, None)
        return cls(text.lower(), sum(map(text.count, "0123456789")))


@dataclass(frozen=True)
class Rule:
    """One form of one kind: what matches ``pattern`` (its group ``piece``, if it has one), ``holds``, and has
    neither ``not_after`` before it nor ``not_before`` behind it, but ``only_after``, if given. A match in
    ASCII has at least ``digits`` digits, and one of ``words``, in lower case, if there are any."""

    kind: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = _always
    not_after: re.Pattern[str] | None = None
    only_after: re.Pattern[str] | None = None
    not_before: re.Pattern[str] | None = None
    digits: int = 0
    words: tuple[str, ...] = ()

    def may_match(self, clues: Clues) -> bool:
        """Tell whether a text with these clues may have a match."""
        if clues.lower is None or clues.digits is None:
            return True
        lower = clues.lower
        return clues.digits >= self.digits and (not self.words or any(word in lower for word in self.words))

    def accepts(self, text: str, start: int, end: int) -> bool:
        """Tell whether ``text[start:end]`` is a match, by its own form and by its context."""
        before, after = text[max(0, start - BEFORE) : start], text[end : end + AFTER]
        return (
            self.holds(text[start:end])
            and not (self.not_after and self.not_after.search(before))
            and (not self.only_after or self.only_after.search(before) is not None)
            and not (self.not_before and self.not_before.match(after))
        )


def _is_phone(text: str) -> bool:
    """Tell whether this is a telephone number.

    E.164 allows 15 digits; fewer than 8 could be any number. A single repeated digit is a placeholder.
    """
    digits = [character for character in text if character.isdigit()]
    return 8 <= len(digits) <= 15 and len(set(digits)) > 1


_DATE = re.compile(r"(?:19|20)\d\d[\-/. ]\d|\d{1,2}[./\-]\d{1,2}[./\-](?:19|20)\d\d\b")


def _is_announced_phone(text: str) -> bool:
    """Tell whether this is a telephone number after a word like "call", where seven digits are enough; a date
    is not one."""
    return 7 <= sum(character.isdigit() for character in text) <= 15 and not _DATE.match(text)


def _is_ipv4(text: str) -> bool:
    """Tell whether this is an IPv4 address and not a network mask."""
    return not text.startswith("255.") and _is_address(text, 4)


def _is_large_ipv4(text: str) -> bool:
    """Tell whether at least two groups are too large for a version number."""
    return _is_ipv4(text) and sum(int(part) > 31 for part in text.split(".")) >= 2


def _is_ipv6(text: str) -> bool:
    """Tell whether this is an IPv6 address; ``a[::2]`` and ``b[1::2]`` are slices, so one group needs three
    digits."""
    long = any(len(group) >= 3 for group in text.split(":"))
    return long and any(character.isdigit() for character in text) and _is_address(text, 6)


def _is_address(text: str, version: int) -> bool:
    """Tell whether this is a valid address that is neither loopback nor unspecified."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.version == version and not (address.is_loopback or address.is_unspecified)


def _is_mailbox(text: str) -> bool:
    """Tell whether this is a person's mailbox: not an account of version control or a no-reply sender."""
    name = text.casefold().split("@")[0]
    return name not in ("git", "hg", "svn", "noreply", "no-reply", "donotreply", "do-not-reply")


def _is_password(text: str) -> bool:
    """Tell whether this is a password: a plain word after "password" is prose or code; letters with digits or
    symbols are a value."""
    letters = any(character.isalpha() for character in text)
    inner = text.rstrip(".!?:")
    return letters and any(character.isdigit() or character in "!@#$%^&*" for character in inner)


def _is_random(text: str) -> bool:
    return any(character.isdigit() for character in text) and any(character.isalpha() for character in text)


# What an identifier follows and a count precedes: neither is a telephone, card or identity number.
_REFERENCE = re.compile(
    r"\b(?:order|invoice|parts?|serial|ticket|tracking|isbn|issn|issue|case|sku|ean|gtin|upc|ref|reference|row|job"
    r"|run|item|model|commit|build|population|resistance|ohms?|scores?|version|between|bbox|matrix|rfc|pr|doi"
    r"|epoch|timestamp|quote|quotation|form|po|article|docket|bug|flight|imei|licen[cs]e|pressure|seed|loss|total|counted|id|ids|isbn-1[03])\b[^\d\n]{0,14}$",
    re.IGNORECASE,
)
_UNITS = re.compile(
    r"\s?(?:rows?|cells?|steps?|units?|tokens?|samples?|points?|items?|people|epochs?|iterations?|parameters?|bytes"
    r"|words?|pixels?|ohms?|k?m?g|ml|votes?|euros?|dollars?|times|documents?|records?|lines?|images?|examples?"
    r"|users?|files?|hours?|minutes?|seconds?|frames?|nodes?|per)\b",
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"(?:\b(?:version|ver|release|releases|build|firmware|driver|upgrade|update|kernel|section|chapter|clause|patch"
    r"|rev|revision|package|install|requires?|runtime|oid)\b[^\d\n]{0,16}|\bv|[=<>~!]=\s?|[<>~^]\s?|[A-Za-z]/|\w-|@|§\s?)$",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"(?:[:=(\[\"'|]\s?|\b(?:ip|ips|ipv4|from|to|at|by|on|via|is|was|host|server|client|router|gateway|machine|device"
    r"|network|proxy|dns|nameserver|peer|visitor|ping|ssh|curl|telnet|address|addr|inet|src|dst|blocked|connect(?:ed)?"
    r"|login)\s|^)$",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"\b(?:ssh|scp|rsync|clone)\b[^\n]{0,12}$|://\S{0,24}$")

_GAP = r"[ .\-/]?"
_NOT_IN_NUMBER = r"(?<![\w.+\-/])(?<!\d )"
_PHONE_END = r"(?![0-9A-Za-zÀ-ɏ_\-]|\.\d| \d)"
_PHONE = (
    r"(?<![0-9A-Za-zÀ-ɏ_.+\-/])(?:"  # other scripts put no space before a number
    rf"\+[1-9]\d{{0,2}}(?:[ .\-/]{{0,3}}\(?\d{{1,5}}\)?){{2,6}}"  # +44 20 7946 0958
    rf"|\(\d{{2,5}}\)[ .\-]?\d{{2,4}}(?:[ .\-]?\d{{2,4}}){{1,3}}"  # (555) 010-0199
    rf"|(?:1{_GAP})?[2-9]\d{{2}}(?P<gap>[.\-])\d{{3}}(?P=gap)\d{{4}}"  # 555-010-0199
    rf"|00[1-9]\d{{0,2}}(?:[ .\-/]?\d{{2,5}}){{2,5}}"  # 0049 30 123456
    rf"|0[1-9](?P<pair>[ .])\d\d(?:(?P=pair)\d\d){{3}}"  # 06 12 34 56 78
    rf"|(?!\d{{5}}-\d{{4}}\b)0\d{{1,4}}[ /\-]\d{{3,8}}(?:[ \-]\d{{2,6}}){{0,3}}"  # 020 7946 0958, 030/123456
    rf"){_PHONE_END}"
)
_CALL = (
    r"(?i:\b(?:phones?|telephone|tel|tél|telefon|telefono|teléfono|mobile?|cell(?:phone)?|handy|fax|call|ring|dial"
    r"|whatsapp|number is|reach (?:me|us|him|her|them) (?:at|on)|ph)\b)"
)
_CALLED = rf"{_CALL}[^\d\n+]{{0,16}}(?P<piece>(?<![\w.\-/])\(?\d(?:[ .\-/()]{{0,2}}\d){{6,14}}){_PHONE_END}"
_LABEL = r"[^\W_](?:[^\W_]|-){0,62}"
_HOST = rf"(?:{_LABEL}\.){{1,8}}(?:[^\W\d_]{{2,24}}|xn--[a-z0-9\-]{{2,30}})"
_EMAIL = rf"(?<![\w.+\-])(?<!\w')[^\W_][\w.+\-']{{0,63}}@{_HOST}(?![\w\-]|:[~/])"
_AT = r"(?:\s?[\[({<]\s?(?:at|AT|@)\s?[\])}>]\s?| AT )"
_DOT = r"(?:\s?[\[({<]\s?(?:dot|DOT|punkt|\.)\s?[\])}>]\s?| DOT |\.)"
_TLD = r"(?:com|org|net|edu|gov|info|io|co|de|fr|es|it|nl|pl|uk|eu|ru|ch|at)"
_WRITTEN_EMAIL = (
    rf"(?<![\w.+\-'])[^\W_][\w.+\-']{{0,63}}(?:{_AT}{_LABEL}(?:{_DOT}{_LABEL}){{1,4}}"
    rf"| at [\w\-]{{2,40}} dot {_TLD})(?![\w\-])"
)
_IBAN = r"(?<!\w)[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}(?!\w)"
_CARD = r"(?<![\w.\-])\d(?:[ \-]?\d){12,18}(?![\w\-]|\.\d)"
_SSN = rf"{_NOT_IN_NUMBER}\d{{3}}-\d{{2}}-\d{{4}}{_PHONE_END}"
_NAMED_SSN = (
    r"(?i:\b(?:ssn?|social security|(?:my|your|his|her) social)\b)"
    r"[^\d\n]{0,24}(?P<piece>\d{3} ?\d\d ?\d{4})(?![\w\-])"
)
_IPV6 = r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?(?![\w:])"
_IPV4 = r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\w)"

_CAPITAL = r"[A-ZÀ-ÖØ-ÞŁŚŻ][\w'’]{1,20}"
_STREETS = (
    r"(?:[Ss]treet|St|[Rr]oad|Rd|[Aa]venue|Ave|[Ll]ane|Ln"
    r"|Boulevard|Blvd|Terrace|Crescent|Gardens|Parkway|Highway)"
)
_ODD_STREETS = r"(?:Drive|Dr|Court|Ct|Square|Sq|Close|Way|Place|Pl|Mews)"  # words of other titles, too
_STREET_END = (
    r"(?=\s*(?:$|[,.;:!?)\n])| (?:is|was|in|near|and|on|at|for|by|from|with|[NS]?[EWNS]|Apt|Flat|Unit)\b)"
)
_PARTICLES = r"(?:(?:de|du|des|la|le|los|las|del|della|dei|di|da|do|das|l'|d'|d’)\s?){0,3}"
_STREET = (
    rf"(?<![\w.])\d{{1,5}}[A-Za-z]?,? (?:(?:{_CAPITAL}\.?|[NS]?[EWNS]|\d{{1,3}}(?:st|nd|rd|th)) ){{1,4}}?"
    rf"(?:{_STREETS}\b(?: [NS]?[EW]\b)?(?:{_STREET_END}|(?= [A-Z]))|{_ODD_STREETS}\b{_STREET_END})"
    r"|(?<!\w)(?!Park|Sitz|Steh|Stell|Spiel|Arbeits|Schul)[A-ZÄÖÜ][a-zäöüß]{2,20}(?:straße|strasse|str\.|weg|platz|allee|gasse"
    r"|straat|laan|gracht|plein|kade) \d{1,4}[a-z]?(?![\w%])"
    rf"|(?<![\w.])\d{{1,4}}(?: bis| ter)?,? (?:rue|avenue|boulevard|bd|place|chemin|allée|quai|impasse) "
    rf"{_PARTICLES}"
    rf"{_CAPITAL}(?: {_CAPITAL}){{0,2}}"
    r"|(?<!\w)(?:Rue|Avenue|Boulevard|Via|Viale|Piazza|Corso|Calle|Avenida|Plaza"
    r"|Paseo|Rua|Travessa|ul\.|ulica|al\.) "
    rf"{_PARTICLES}{_CAPITAL}(?: {_PARTICLES}{_CAPITAL}){{0,2}},? \d{{1,4}}[a-z]?(?![\w%])"
)
_BORN = (
    r"(?i:\b(?:dates? of birth|d\.?o\.?b\b\.?|birth ?date|birthday|born(?! to| of| again)|geboren|geb\."
    r"|geburtsdatum"
    r"|née? le|date de naissance"
    r"|nacid[oa]|fecha de nacimiento|nat[oa] il|data di nascita|nascid[oa]|data de nascimento|urodzon[ya]"
    r"|data urodzenia|geboortedatum|дата рождения|родил(?:ся|ась)))"
)
_YEAR = r"(?:19|20)\d\d"
_MONTH = r"[^\W\d_]{3,10}\.?"
_BIRTHDAY = (
    rf"{_BORN}[^\d\n.;]{{0,24}}?(?P<piece>(?<!\w)(?:{_YEAR}[\-./]\d{{1,2}}[\-./]\d{{1,2}}"
    rf"|\d{{1,2}}[\-./] ?(?:\d{{1,2}}|[A-Za-z]{{3}})[\-./] ?(?:{_YEAR}|\d\d)"
    rf"|\d{{1,2}}(?:st|nd|rd|th|er|\.)? (?:of |de )?{_MONTH}(?: de)?,? {_YEAR}"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? {_YEAR}))(?![\w\-])"
)
_KEYS = (
    r"(?<![\w\-])(?:hf_[A-Za-z0-9]{16,}|sk-(?=[\w\-]{0,200}\d)[\w\-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w\-]{16,}|xox[abprs]-[\w\-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w\-]{30,}|[rs]k_(?:live|test)_\w{16,}"
    r"|eyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]{8,})|-----BEGIN (?:[A-Z]{2,10} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)
_VALUE = r"(?P<piece>(?![$<{%*(])[^\s\"'`(),;<>{}\[\]]{6,64}+)(?![(\[{])"
_PASSWORD = (
    r"(?i:(?<![^\W_])(?:password|passwort|passwd|passphrase|pwd|contraseña|mot de passe|hasło|senha"
    r"|пароль))[\"']?"
    rf"(?:\s{{0,2}}[:=]\s{{0,2}}| (?:is|ist|est|es) )[\"'`]?{_VALUE}"
)
_BARE_PASSWORD = (  # "password Qwerty!2345"
    r"(?i:\b(?:password|passwort|passwd|pwd) )(?P<piece>(?=\S{0,30}\d)(?=\S{0,30}[A-Za-z])"
    r"(?=\S{0,30}[!@#$%^&*])"
    r"[\w!@#$%^&*+\-.]{8,64}+)(?![(\[{])"
)
_PIN = r"\b(?:PIN|Pin|pin code|cvv|CVV|cvc|CVC)(?: is|:| code:?)? ?(?P<piece>(?<!\d)\d{3,8}+)(?![\w.])"
_TOKEN = (
    r"(?i:(?<![^\W_])(?:token|secret|api[_\- ]?key|access[_\- ]?key|secret[_\- ]?key|auth[_\- ]?key"
    r"|bearer))[\"']?"
    r"\s{0,2}[:=]?\s{0,2}[\"'`]?(?P<piece>[\w./+\-]{16,128}+)(?![(\[{.])"
)
_LOGIN_URL = r"\b[A-Za-z][\w+.\-]{1,20}://[^\s/:@]{0,64}:(?!\$)(?P<piece>[^\s/@]{3,64})@"


def _list_beginnings(words: str) -> tuple[str, ...]:
    """Return the letters with which each alternative of a pattern begins; one with other letters than ASCII
    is in no text of ASCII."""
    matches = (re.match(r"[a-z ]+(?![?a-z ])|[a-z ]+(?=[a-z ]\?)", phrase) for phrase in words.split("|"))
    return tuple(match[0] for match in matches if match)


def _make_national_rules() -> tuple[Rule, ...]:
    """Return a rule for each national number: its form and, where needed, a word before it that names it."""
    return tuple(
        Rule(
            "national_id",
            re.compile(
                rf"(?<!\w)(?i:(?:{number.words})(?!\w))[^\d\n]{{0,24}}?"
                rf"(?<!\w)(?P<piece>{number.form})(?![\w\-]| \d)"
                if number.words
                else rf"(?<![\w.\-])(?P<piece>{number.form})(?![\w\-]| \d)"
            ),
            number.is_valid,
            digits=2,
            words=_list_beginnings(number.words),
        )
        for number in NATIONAL_IDS
    )


# The most reliable rules come first: a later rule does not match what an earlier one matched.
_KEY_WORDS = (
    "hf_", "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "akia", "asia",
    "aiza", "k_live_", "k_test_", "eyj", "private key",
)  # fmt: skip
_PASS_WORDS = "password", "passwort", "passwd", "pwd"
_BORN_WORDS = (
    "birth", "born", "d.o", "do.", "dob", "d.ob", "geb", "naissance", "nacid", "nacimiento", "nat", "nasc",
    "urodz",
)  # fmt: skip
_CALL_WORDS = (
    "ph", "tel", "mobil", "cell", "handy", "fax", "call", "ring", "dial", "whatsapp", "number is", "reach ",
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    Rule("secret", re.compile(_KEYS), words=_KEY_WORDS),
    Rule("secret", re.compile(_LOGIN_URL), words=("://",)),
    Rule(
        "secret",
        re.compile(_PASSWORD),
        _is_password,
        words=(*_PASS_WORDS, "passphrase", "mot de passe", "senha"),
    ),
    Rule("secret", re.compile(_TOKEN), _is_random, digits=1, words=("token", "secret", "key", "bearer")),
    Rule("secret", re.compile(_BARE_PASSWORD), digits=1, words=_PASS_WORDS),
    Rule("secret", re.compile(_PIN), digits=3, words=("pin", "cvv", "cvc")),
    Rule("email", re.compile(_EMAIL), _is_mailbox, _LOGIN, words=("@",)),
    Rule("email", re.compile(_WRITTEN_EMAIL), words=("at", "@")),
    Rule("iban", re.compile(_IBAN), is_iban, digits=2),
    Rule("card", re.compile(_CARD), is_card, _REFERENCE, digits=13),
    *_make_national_rules(),
    Rule("ssn", re.compile(_SSN), is_ssn, _REFERENCE, not_before=_UNITS, digits=9, words=("-",)),
    Rule("ssn", re.compile(_NAMED_SSN), is_ssn, digits=9, words=("ss", "social")),
    Rule("date_of_birth", re.compile(_BIRTHDAY), digits=3, words=_BORN_WORDS),
    Rule("ipv6", re.compile(_IPV6), _is_ipv6, digits=1, words=(":",)),
    Rule("ipv4", re.compile(_IPV4), _is_large_ipv4, _VERSION, digits=4, words=(".",)),
    Rule("ipv4", re.compile(_IPV4), _is_ipv4, _VERSION, _NETWORK, digits=4, words=(".",)),
    Rule("phone", re.compile(_PHONE), _is_phone, _REFERENCE, not_before=_UNITS, digits=8),
    Rule("phone", re.compile(_CALLED), _is_announced_phone, not_before=_UNITS, digits=7, words=_CALL_WORDS),
    Rule("address", re.compile(_STREET), digits=1),
)
