"""Generated answers against the right ones: BLEU, chrF, exact match, token F1."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.contract.board_score import Score
from core.evaluate.statistics.bootstrap import RESAMPLES
from core.evaluate.statistics.confidence_intervals import ONE_SAMPLE, mean, rate

References = Sequence[str | Sequence[str]]  # one right answer each, or several
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def bleu(answers: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus BLEU as sacrebleu computes it (Papineni et al. 2002; Post 2018). 0 to 100, higher is better; the
    interval is the bootstrap's (Koehn 2004)."""
    from sacrebleu import BLEU

    return _corpus(BLEU, answers, references)


def chrf(answers: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus chrF2, F-score of character n-grams (Popović 2015). 0 to 100, higher is better."""
    from sacrebleu import CHRF

    return _corpus(CHRF, answers, references)


def _corpus(kind: Any, answers: Sequence[str], references: Sequence[str]) -> Score:
    fault = _fault(answers, references)
    if fault:
        return Score.unsaid(fault, len(answers))
    metric, count = kind(), len(answers)
    found = metric.corpus_score(list(answers), [list(references)], n_bootstrap=RESAMPLES if count > 1 else 1)
    if count == 1:
        return Score(found.score, None, None, 1, ONE_SAMPLE)
    told = json.loads(found.format(width=6, signature=metric.get_signature().format(), is_json=True))
    if "confidence_mean" not in told:  # sacrebleu says nothing of resamples that are all 0
        return Score(found.score, None, None, count, "too few samples vary")
    middle, half = told["confidence_mean"], told["confidence_var"]
    low, high = middle - half, middle + half
    return Score(found.score, max(0.0, min(low, found.score)), min(100.0, max(high, found.score)), count)


def normalised(answer: str) -> str:
    """As SQuAD compares (Rajpurkar et al. 2016): lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact(answers: Sequence[str], references: References) -> Score:
    """The share of answers that equal one of their right answers, normalised as in SQuAD. Fraction, higher is
    better."""
    fault = _fault(answers, references)
    if fault:
        return Score.unsaid(fault, len(answers))
    return rate(
        [
            any(normalised(answer) == normalised(one) for one in _several(right))
            for answer, right in zip(answers, references, strict=True)
        ]
    )


def f1(answers: Sequence[str], references: References) -> Score:
    """The mean F1 of the words of an answer against its nearest right answer, as in SQuAD. Fraction, higher
    is better."""
    fault = _fault(answers, references)
    if fault:
        return Score.unsaid(fault, len(answers))
    pairs = zip(answers, references, strict=True)
    values = [max((overlap(answer, one) for one in _several(right)), default=0.0) for answer, right in pairs]
    return mean(values, within_one=True)


def overlap(answer: str, right: str) -> float:
    """F1 of the bags of normalised words; 1 when both are empty."""
    one, other = normalised(answer).split(), normalised(right).split()
    if not one or not other:
        return float(one == other)
    common = (Counter(one) & Counter(other)).total()
    return 2 * common / (len(one) + len(other))


def _several(right: str | Sequence[str]) -> Sequence[str]:
    return [right] if isinstance(right, str) else right


def _fault(answers: Sequence[str], references: Sequence[Any]) -> str:
    if len(answers) != len(references):
        return f"the lists differ in length: {len(answers)} and {len(references)}"
    if not answers:
        return "there are no samples"
    return "the model answered nothing" if not any(answer.strip() for answer in answers) else ""
