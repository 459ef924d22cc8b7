"""Finds rows that equal a prompt of the study's own evaluation, on which a board then measures memory.

A prompt and a row are compared by the word n-grams that they share (Brown et al. 2020, appendix C); a
Chinese, Japanese or Korean character counts as a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, make_finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.readers.row_texts import RowTexts
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.text.refusal_classifier import Stance, stance

NAME = "rows that equal evaluation prompts"
REMEDY = "drop these rows: safety and security boards do not measure prompts that were trained on"
WORDS = 3  # of an n-gram
FEWEST = 4  # words of a prompt that is looked for: shorter ones occur by chance
SHARED = 0.6  # of a prompt's n-grams: a changed word in ten leaves five of eight
HARMFUL = "harmful requests"
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W_]+")
Gram = tuple[str, ...]


def list_prompts(library: Library) -> dict[str, list[str]]:
    """Return the texts of the prompts that the boards use, by the name of their set."""
    return {
        HARMFUL: [prompt.text for prompt in (*library.harmful, *library.harmful_multilingual)],
        "harmless requests": [prompt.text for prompt in library.harmless],
        "openings": [prompt.text for prompt in library.elicitors],
        "pairs": [text for pair in library.pairs for text in (pair.stereotype, pair.opposite)],
        "injections": [injection.without_order for injection in library.injections],
        "system prompts": [leak.system for leak in library.prompt_leaks],
    }


class PromptIndex:
    """The n-grams of all prompts. A look-up takes time linear in the length of the text."""

    def __init__(self, prompts: Mapping[str, Iterable[str]]) -> None:
        self._sets: list[str] = []  # the name of each prompt's set
        self._sizes: list[int] = []  # its distinct n-grams
        self._holders: dict[Gram, list[int]] = defaultdict(list)
        for name, texts in prompts.items():
            for text in texts:
                self._add(name, text)

    def _add(self, name: str, text: str) -> None:
        words = _words(text)
        if len(words) < FEWEST:
            return
        grams = set(_grams(words))
        for gram in grams:
            self._holders[gram].append(len(self._sets))
        self._sets.append(name)
        self._sizes.append(len(grams))

    def match(self, text: str) -> str | None:
        """Return the set of the prompt that ``text`` equals most, or contains; None if there is none."""
        grams = {gram for gram in _grams(_words(text)) if gram in self._holders}
        shared = Counter(prompt for gram in grams for prompt in self._holders[gram])
        covered = {prompt: number / self._sizes[prompt] for prompt, number in shared.items()}
        best = max(covered, key=lambda prompt: covered[prompt], default=None)
        return self._sets[best] if best is not None and covered[best] >= SHARED else None


def _words(text: str) -> list[str]:
    return _WORD.findall(_CJK.sub(r" \g<0> ", unicodedata.normalize("NFKC", text).casefold()))


def _grams(words: list[str]) -> Iterator[Gram]:
    return zip(*(words[start:] for start in range(WORDS)), strict=False)


@dataclass(frozen=True)
class Match:
    """A row that equals a prompt of ``prompts``; ``is_answered``: its answer gives what was asked."""

    example: Example
    prompts: str
    is_answered: bool


def match_row(row: RowTexts, index: PromptIndex, with_text: bool = True) -> Match | None:
    """Return the match of the row's first text that equals a prompt."""
    for text in row.all:
        prompt_set = index.match(text)
        if prompt_set is not None:
            answered = any(stance(answer) is Stance.COMPLIANCE for answer in row.answers)
            return Match(Example(row.number, excerpt_masked(text) if with_text else ""), prompt_set, answered)
    return None


def describe_matches(matches: list[Match], rows: int) -> Finding:
    """Return the finding for all matches among ``rows`` rows."""
    sets = Counter(match.prompts for match in matches)
    answered = sum(match.is_answered for match in matches if match.prompts == HARMFUL)
    details = [f"{name} in {number}" for name, number in sets.most_common()]
    details += [f"{answered} of the {HARMFUL} are answered"] if answered else []
    return make_finding(
        NAME, [match.example for match in matches], rows, Severity.HIGH, REMEDY, detail=", ".join(details)
    )


def find_evaluation(rows: Iterable[RowTexts], index: PromptIndex) -> Finding:
    """Count the rows that equal a prompt."""
    matches, count = list[Match](), 0
    for row in rows:
        count += 1
        match = match_row(row, index, len(matches) < EXAMPLES)
        matches += [match] if match else []
    return describe_matches(matches, count)
