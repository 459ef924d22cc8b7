"""The probes of the quality board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.contract.evidence import Sample
from core.contract.score import Score
from core.evaluate import answers as answering
from core.evaluate import likelihood, speed
from core.evaluate.library import Library
from core.train.asking import Asking
from core.train.data import MASKED, Data, Row, cut
from core.train.probe import Ask, Found, Probe, Readings, Texts, chosen, fitting

WRITTEN = ("quality/bleu", "quality/chrf", "quality/exact", "quality/f1")
SPEED = ("quality/tokens_per_s", "quality/latency_s")
TOKENS = 48  # of an answer
NO_CHOICES = "there are no questions with choices: put questions.jsonl into the folder of evaluate.prompts"
NO_QUESTION = "the rows are plain text: nothing is asked, so nothing is answered"


def probes(asking: Asking, library: Library, data: Data, samples: int, seed: int) -> Iterator[Probe]:
    """Those by likelihood first."""
    yield _choice(asking, library, samples, seed)
    yield _slices(asking, data, samples, seed)
    yield _forgetting(asking, library, samples, seed)
    yield _completions(asking, data, samples, seed)


def _choice(asking: Asking, library: Library, samples: int, seed: int) -> Probe:
    asked = chosen(library.questions, samples, seed, "choice")
    rows = [[asking.row(f" {one}", question.question) for one in question.choices] for question in asked]
    sizes = [[len(one.encode()) or 1 for one in question.choices] for question in asked]

    def score(found: Readings, base: Sequence[float]) -> Found:
        likely = [[-one.loss for one in several] for several in found]
        right = [question.answer for question in asked[: len(found)]]
        whole = likelihood.choice(likely, right, sizes[: len(found)])
        each = [
            likelihood.choice([one], [at], [size]).value
            for one, at, size in zip(likely, right, sizes, strict=False)
        ]
        samples = [
            Sample(question.question, question.choices[_best(one, size)], 1.0 - (hit or 0.0))
            for question, one, size, hit in zip(asked, likely, sizes, each, strict=False)
        ]
        return Found().add("quality/choice", whole, [one or 0.0 for one in each], samples)

    return Probe(("quality/choice",), _rated(rows), score, why_none=NO_CHOICES)


def _best(likely: Sequence[float], sizes: Sequence[int]) -> int:
    return max(range(len(likely)), key=lambda at: likely[at] / sizes[at])


def _slices(asking: Asking, data: Data, samples: int, seed: int) -> Probe:
    """By the column that tells of a slice; without one, by length."""
    rows = chosen([cut(one, asking.context) for one in data.validation], samples, seed, "slices")
    middle = sorted(len(one.ids) for one in rows)[len(rows) // 2] if rows else 0
    parts = [one.part or f"{'under' if len(one.ids) < middle else 'from'} {middle} tokens" for one in rows]

    def score(found: Readings, base: Sequence[float]) -> Found:
        losses, tokens = [one.loss for (one,) in found], [one.tokens for (one,) in found]
        slices = likelihood.by_slice(losses, tokens, parts[: len(found)])
        name, worst = likelihood.worst_slice(slices)
        means = [loss / max(1, count) for loss, count in zip(losses, tokens, strict=True)]
        samples = [
            Sample(asking.text(row.ids), "", mean, part)
            for row, mean, part in zip(rows, means, parts, strict=False)
        ]
        told = worst.noting(f"slice {name}") if name else worst
        return Found().add("quality/worst_slice", told, samples=samples)

    return Probe(("quality/worst_slice",), _rated([[one] for one in rows]), score)


def _forgetting(asking: Asking, library: Library, samples: int, seed: int) -> Probe:
    passages = chosen(library.reference, samples, seed, "forgetting")
    rows = [[asking.row(one.text)] for one in passages]

    def score(found: Readings, base: Sequence[float]) -> Found:
        """The values are losses: the base's own are what a trial is compared with."""
        losses, tokens = [one.loss for (one,) in found], [one.tokens for (one,) in found]
        before = list(base[: len(losses)]) or losses  # of the base itself: 0
        if len(before) < len(losses):
            return Found().add("quality/forgetting", Score.unsaid("the base was not scored", len(losses)))
        rises = [(now - old) / max(1, count) for now, old, count in zip(losses, before, tokens, strict=True)]
        samples = [Sample(one.text, "", rise) for one, rise in zip(passages, rises, strict=False)]
        whole = likelihood.forgetting(losses, before, tokens)
        return Found().add("quality/forgetting", whole, losses, samples)

    return Probe(("quality/forgetting",), _rated(rows), score)


def _completions(asking: Asking, data: Data, samples: int, seed: int) -> Probe:
    """The first answer of each validation row, after all that stands before it."""
    rows = [pair for one in data.validation if (pair := _question(one)) is not None]
    pairs = chosen(rows, samples, seed, "completions")
    asks = [[Ask(prompt=prompt)] for prompt, _ in pairs]
    kept, note, why = fitting(asks, TOKENS, asking.context)
    right = {id(ask): asking.text(answer).strip() for (ask,), (_, answer) in zip(asks, pairs, strict=True)}

    def score(found: Texts, base: Sequence[float]) -> Found:
        said = [asking.text(one.ids).strip() for (one,) in found]
        wanted = [right[id(ask)] for (ask,) in kept[: len(found)]]
        overlaps = [answering.overlap(one, other) for one, other in zip(said, wanted, strict=True)]
        hits = [
            float(answering.normalised(one) == answering.normalised(other))
            for one, other in zip(said, wanted, strict=True)
        ]
        asked = [asking.text(ask.prompt) for (ask,) in kept[: len(found)]]
        samples = [
            Sample(prompt, answer, 1.0 - value, f"right: {good}")
            for prompt, answer, value, good in zip(asked, said, overlaps, wanted, strict=True)
        ]
        whole = Found()
        whole.add("quality/bleu", answering.bleu(said, wanted), samples=samples)
        whole.add("quality/chrf", answering.chrf(said, wanted), samples=samples)
        whole.add("quality/exact", answering.exact(said, wanted), hits, samples)
        whole.add("quality/f1", answering.f1(said, wanted), overlaps, samples)
        flat = [one for (one,) in found]
        whole.add(SPEED[0], speed.speed([len(one.ids) for one in flat], [one.took_s for one in flat]))
        return whole.add(SPEED[1], speed.latency([one.first_s for one in flat]))

    why = why if rows else NO_QUESTION
    return Probe((*WRITTEN, *SPEED), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _question(row: Row) -> tuple[list[int], list[int]] | None:
    """What stands before the first answer, and that; None where nothing is asked."""
    first = next((at for at, label in enumerate(row.labels) if label != MASKED), 0)
    after = [at for at, label in enumerate(row.labels) if at > first and label == MASKED]
    return (row.ids[:first], row.ids[first : min(after, default=len(row.ids))]) if first > 1 else None


def _rated(rows: Sequence[Sequence[Row]]) -> list[list[Ask]]:
    return [[Ask(row) for row in several] for several in rows]
