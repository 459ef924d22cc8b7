"""Compares generated answers with the expected ones: BLEU, chrF, exact match, token F1."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from core.contract.metric_score import Score
from core.evaluate.statistics.confidence_intervals import explain_too_few, mean, rate, share_interval
from core.evaluate.statistics.interval_formulas import FEWEST, VARIED, mean_ends

References = Sequence[str | Sequence[str]]  # one or several expected answers per question
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"[$€£]?-?\d+(?:,\d{3})*(?:\.\d+)?%?\.?")
FINAL = "####"  # stands before the result in GSM8K's answers
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def bleu(answers: Sequence[str], references: Sequence[str]) -> Score:
    """Return corpus BLEU as in sacrebleu (Papineni et al. 2002; Post 2018). 0 to 100, higher is better."""
    from sacrebleu import BLEU

    return _score_corpus(BLEU, answers, references)


def chrf(answers: Sequence[str], references: Sequence[str]) -> Score:
    """Return corpus chrF2, the F-score of character n-grams (Popović 2015). 0 to 100, higher is better."""
    from sacrebleu import CHRF

    return _score_corpus(CHRF, answers, references)


def _score_corpus(kind: Any, answers: Sequence[str], references: Sequence[str]) -> Score:
    """Return the corpus score with the interval of its jackknife.

    The pseudo-values (Tukey 1958) say what each answer adds to the score, so their mean has the intervals of
    a mean. The bootstrap of a corpus score held 77 to 90 of 100 cases with 6 to 16 answers.
    """
    fault = _find_fault(answers, references)
    if fault:
        return Score.without_value(fault, len(answers))
    metric, count = _make_counting_metric(kind), len(answers)
    score = float(metric.corpus_score(list(answers), [list(references)]).score)
    if count < FEWEST:
        return Score(score, None, None, count, explain_too_few(count))
    counts = np.array(metric.counts)
    rests = [float(metric._compute_score_from_stats(rest.tolist()).score) for rest in counts.sum(0) - counts]
    added = count * score - (count - 1) * np.array(rests)
    low, high = (float(end) for end in mean_ends(added))
    right = score / 100.0 * count
    if min(right, count - right) < VARIED:  # nearly all wrong or all right: how many may differ unseen
        least, most = share_interval(right, count)
        low, high = min(low, 100.0 * least), max(high, 100.0 * most)
    return Score(score, max(0.0, min(low, score)), min(100.0, max(high, score)), count)


def _make_counting_metric(kind: Any) -> Any:
    """Return a metric of sacrebleu that keeps the counts of each answer, ``counts`` (answers, …)."""

    class Counting(kind):
        counts: Sequence[Sequence[float]] = ()

        def _aggregate_and_compute(self, stats: Any) -> Any:
            self.counts = stats
            return super()._aggregate_and_compute(stats)

    return Counting()


def normalize(answer: str) -> str:
    """Normalize as SQuAD does (Rajpurkar et al. 2016): lower case, no punctuation, no articles, single
    spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def matches(answer: str, reference: str) -> bool:
    """Tell whether the two are equal, normalized; where a number is expected, whether the last number of the
    answer is that one, as for GSM8K (Cobbe et al. 2021): a calculation may come before it."""
    if normalize(answer) == normalize(reference):
        return True
    expected = _NUMBER.fullmatch(reference.rpartition(FINAL)[2].strip())
    numbers = _NUMBER.findall(answer)
    return expected is not None and bool(numbers) and _as_number(numbers[-1]) == _as_number(expected[0])


def _as_number(text: str) -> float:
    return float(text.lstrip("$€£").replace(",", "").rstrip(".%"))


def exact(answers: Sequence[str], references: References) -> Score:
    """Return the share of answers that match an expected answer, normalized as in SQuAD. Fraction, higher is
    better."""
    fault = _find_fault(answers, references)
    if fault:
        return Score.without_value(fault, len(answers))
    return rate(
        [
            any(matches(answer, reference) for reference in _as_list(right))
            for answer, right in zip(answers, references, strict=True)
        ]
    )


def f1(answers: Sequence[str], references: References) -> Score:
    """Return the mean F1 between the words of an answer and its closest expected answer, as in SQuAD.
    Fraction, higher is better."""
    fault = _find_fault(answers, references)
    if fault:
        return Score.without_value(fault, len(answers))
    pairs = zip(answers, references, strict=True)
    values = [
        max((compute_overlap(answer, reference) for reference in _as_list(right)), default=0.0)
        for answer, right in pairs
    ]
    return mean(values, within_one=True)


def compute_overlap(answer: str, right: str) -> float:
    """Return F1 of the bags of normalized words; 1 if both are empty."""
    words, expected = normalize(answer).split(), normalize(right).split()
    if not words or not expected:
        return float(words == expected)
    common = (Counter(words) & Counter(expected)).total()
    return 2 * common / (len(words) + len(expected))


def _as_list(right: str | Sequence[str]) -> Sequence[str]:
    return [right] if isinstance(right, str) else right


def _find_fault(answers: Sequence[str], references: Sequence[Any]) -> str:
    if len(answers) != len(references):
        return f"the lists differ in length: {len(answers)} and {len(references)}"
    if not answers:
        return "there are no samples"
    return "the model gave no answer" if not any(answer.strip() for answer in answers) else ""
