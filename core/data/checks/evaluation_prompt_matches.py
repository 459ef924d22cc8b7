"""Finds rows that equal a prompt of the study's own evaluation, on which a board then measures memory.

A prompt and a row are compared by the word n-grams that they share (Brown et al. 2020, appendix C); a
Chinese, Japanese or Korean character counts as a word. N-grams are compared by their hashes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.data.checks.check_finding import EXAMPLES, Example, Finding, Severity, make_finding
from core.data.checks.masked_excerpt import excerpt_masked
from core.data.stream.hash_filter import HashFilter
from core.data.stream.row_batches import RowBatch
from core.data.stream.word_hashes import Words, hash_grams, hash_words
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.text.refusal_classifier import Stance, classify_answer

NAME = "rows that equal evaluation prompts"
REMEDY = "drop these rows: safety and security boards do not measure prompts that were trained on"
WORDS = 3  # of an n-gram
FEWEST = 4  # words of a prompt that is looked for: shorter ones occur by chance
MATCHED = 2  # fewest n-grams that a row shares with a prompt that it equals
CACHED = 1000
SHARED = 0.6  # of a prompt's n-grams: a changed word in ten leaves five of eight
HARMFUL = "harmful requests"


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
    """The n-grams of all prompts. A look-up takes time linear in the length of the texts."""

    def __init__(self, prompts: Mapping[str, Iterable[str]]) -> None:
        self.prompts = {name: list(texts) for name, texts in prompts.items()}
        listed = [(name, text) for name, texts in self.prompts.items() for text in texts]
        words = hash_words([text for _, text in listed])
        grams = hash_grams(words, WORDS)
        self._sets = [name for name, _ in listed]
        self._sizes = [len(np.unique(grams.hashes[grams.text == at])) for at in range(len(listed))]
        long = np.bincount(words.text, minlength=len(listed)) >= FEWEST
        self._holders = defaultdict[int, set[int]](set)
        for gram, prompt in zip(grams.hashes.tolist(), grams.text.tolist(), strict=True):
            if long[prompt]:
                self._holders[gram].add(prompt)
        self._best = lru_cache(CACHED)(self._find_best)  # many rows share a system prompt
        self._filter = HashFilter(np.fromiter(self._holders, np.uint64, len(self._holders)))

    def match_texts(self, grams: Words) -> dict[int, str]:
        """Return the set of the prompt that each text equals most, or contains, by the index of the text;
        ``grams`` are the n-grams of all texts."""
        hits = self._filter.find(grams.hashes)
        shared = defaultdict[int, set[int]](set)
        for gram, text in zip(grams.hashes[hits].tolist(), grams.text[hits].tolist(), strict=True):
            shared[text].add(gram)
        matches = {
            text: self._best(frozenset(shared_grams))
            for text, shared_grams in shared.items()
            if len(shared_grams) >= MATCHED
        }
        return {text: prompts for text, prompts in matches.items() if prompts is not None}

    def _find_best(self, grams: frozenset[int]) -> str | None:
        counts = Counter(prompt for gram in grams for prompt in self._holders.get(gram, ()))
        covered = {prompt: number / self._sizes[prompt] for prompt, number in counts.items()}
        best = max(covered, key=lambda prompt: covered[prompt], default=None)
        return self._sets[best] if best is not None and covered[best] >= SHARED else None


@dataclass(frozen=True)
class Match:
    """A row that equals a prompt of ``prompts``; ``is_answered``: its answer gives what was asked."""

    example: Example
    prompts: str
    is_answered: bool


def match_batch(batch: RowBatch, index: PromptIndex, shown: int = EXAMPLES) -> Iterator[Match]:
    """Yield the match of each row's first text that equals a prompt; the first ``shown`` have an excerpt."""
    seen_prompts = set[int]()
    for text, prompts in sorted(index.match_texts(batch.triples).items()):
        at = int(batch.row_of[text])
        row = batch.rows[at]
        if at in seen_prompts or row.texts is None:
            continue
        seen_prompts.add(at)
        answered = any(classify_answer(answer) is Stance.COMPLIANCE for answer in row.texts.answers)
        excerpt = excerpt_masked(batch.texts[text]) if len(seen_prompts) <= shown else ""
        yield Match(Example(row.number, excerpt), prompts, answered)


def describe_matches(matches: list[Match], rows: int) -> Finding:
    """Return the finding for all matches among ``rows`` rows."""
    sets = Counter(match.prompts for match in matches)
    answered = sum(match.is_answered for match in matches if match.prompts == HARMFUL)
    details = [f"{name} in {number}" for name, number in sets.most_common()]
    details += [f"{answered} of the {HARMFUL} are answered"] if answered else []
    return make_finding(
        NAME, [match.example for match in matches], rows, Severity.HIGH, REMEDY, detail=", ".join(details)
    )
