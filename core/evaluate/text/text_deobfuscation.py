"""Undoes disguised spelling: lookalike letters, digits for letters, spaced and drawn-out words."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 20_000  # characters read of a text

# Letters of other scripts that look Latin: the common ones among Unicode's confusables (UTS 39).
_ALIKE = {
    "a": "аɑαᴀ", "b": "вʙƅь", "c": "сϲᴄ", "d": "ԁᴅ", "e": "еεᴇ", "f": "ƒꜰ", "g": "ɡɢ", "h": "һнʜ",
    "i": "іιıɩɪ", "j": "јᴊ", "k": "кκᴋ", "l": "ӏʟ", "m": "мᴍ", "n": "пηɴ", "o": "оοᴏ", "p": "рρᴘ",
    "q": "ԛ", "r": "ʀг", "s": "ѕꜱ", "t": "тτᴛ", "u": "υᴜц", "v": "νᴠ", "w": "ԝωᴡ", "x": "х", "y": "уʏ",
    "z": "ᴢ",
}  # fmt: skip
_LOOKALIKES = {ord(other): latin for latin, others in _ALIKE.items() for other in others}
_QUOTES = {ord(quote): "'" for quote in "‘’ʼ`´＇"}
_DIGITS = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g"}
_SYMBOLS = {"@": "a", "$": "s", "!": "i", "|": "i", "€": "e", "+": "t", "#": "*", "%": "*", "&": "*"}
_LEET = str.maketrans(_DIGITS | _SYMBOLS)
_EDGES = ".,;:?\"'()[]{}*_~<>"
_SHORT_FORMS = (
    (re.compile(r"\b(you|they|we)'re\b"), r"\1 are"), (re.compile(r"\bur\b|\bu r\b"), "you are"),
    (re.compile(r"\b(i|you|he|she|they|we)'ll\b"), r"\1 will"), (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"\bcan't\b"), "cannot"), (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"), (re.compile(r"\bgonna\b"), "going to"), (re.compile(r"\bu\b"), "you"),
)  # fmt: skip
_DRAWN = re.compile(r"([^\W\d_])\1{2,}")
_VOWELS = re.compile(r"([aeiou])\1+")
_LETTER = r"[a-z0-9@$!*]"
_SPELLED = re.compile(rf"(?<![^\W_])(?:{_LETTER}[ .\-_|,/]{{1,2}}){{2,}}{_LETTER}(?![^\W_])")


def fold(text: str) -> str:
    """Return ``text`` in lower case and Latin letters, without diacritics and invisible characters."""
    text = unicodedata.normalize("NFKC", text[:LONGEST]).casefold().translate(_QUOTES)
    if not text.isascii():
        parts = unicodedata.normalize("NFD", text.translate(_LOOKALIKES))
        text = "".join(
            character for character in parts if unicodedata.category(character) not in ("Mn", "Me", "Cf")
        )
    return text


def list_variants(folded_text: str) -> list[str]:
    """Return variants of a folded text: with contractions expanded, and with disguised words decoded."""
    for form, expanded in _SHORT_FORMS:
        folded_text = form.sub(expanded, folded_text)
    words = folded_text.split()
    first = [_decode(word) for word in words]
    if first == words:
        return [folded_text]
    other = [_decode(word, for_1="l", shortened=r"\1\1") for word in words]
    return [folded_text, " ".join(first), *([" ".join(other)] if other != first else [])]


def _decode(word: str, for_1: str = "i", shortened: str = r"\1") -> str:
    """Return a word with leetspeak decoded: digits and symbols count as letters if the word has two real
    letters or symbols."""
    bare = word.strip(_EDGES).rstrip("!")
    letters = sum(character.isalpha() or character in _SYMBOLS for character in bare)
    if letters >= 2 and not bare.isalpha() and any(character.isalpha() for character in bare):
        bare = bare.replace("1", for_1).translate(_LEET)
    elif not _DRAWN.search(bare):
        return word
    return _DRAWN.sub(shortened, bare)


def join_spelled(folded_text: str) -> list[str]:
    """Return words spelled letter by letter, such as ``f.o.o`` or ``f o o``, joined."""
    joined = []
    for match in _SPELLED.finditer(folded_text):
        letters = "".join(character for character in match[0] if character not in " .-_|,/")
        if any(character.isalpha() for character in letters):
            joined.append(letters.translate(_LEET))
    return joined


def reduce_vowels(word: str) -> str:
    """Return ``word`` with doubled vowels reduced to one, to undo drawn-out spelling."""
    return _VOWELS.sub(r"\1", word)
