"""The probes of the quality board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from core.contract.board_score import Score
from core.contract.spec.metric_table import SLICE
from core.contract.wire.evidence_answer import Sample
from core.evaluate.metrics import answer_metrics as answering
from core.evaluate.metrics import generation_speed, likelihood_metrics, validation_slices
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.prompts.prompt_schema import Question
from core.train.data.dataset import MASKED, Data, Row, cut
from core.train.evaluation.eval_inputs import Asking
from core.train.evaluation.metric_probe import NOTHING, Ask, Found, Probe, Readings, Texts, chosen, fitting
from core.train.evaluation.probe_scoring import changed

WRITTEN = ("quality/bleu", "quality/chrf", "quality/exact", "quality/f1")
SPEED = ("quality/tokens_per_s", "quality/latency_s")
TOKENS = 48  # of an answer
NO_CHOICES = (
    "there are no questions with choices: give the rows columns choices and answer, or put questions.jsonl "
    "into the folder of evaluate.prompts"
)
NO_QUESTION = "the rows are plain text: nothing is asked, so nothing is answered"


def probes(asking: Asking, library: Library, data: Data, samples: int, seed: int) -> Iterator[Probe]:
    """Those by likelihood first."""
    yield _choice(asking, [*library.questions, *data.questions], samples, seed)
    yield _slices(asking, data, samples, seed)
    yield _forgetting(asking, library, samples, seed)
    yield _completions(asking, data, samples, seed)


def _choice(asking: Asking, pool: Sequence[Question], samples: int, seed: int) -> Probe:
    """Questions of the user's file of prompts, and rows of the data that have choices."""
    asked = chosen(pool, samples, seed, "choice")
    rows = [[asking.row(f" {one}", question.question) for one in question.choices] for question in asked]
    sizes = [[len(one.encode()) or 1 for one in question.choices] for question in asked]

    def score(found: Readings, base: Sequence[float]) -> Found:
        likely = [[-one.loss for one in several] for several in found]
        right = [question.right for question in asked[: len(found)]]
        whole = likelihood_metrics.choice(likely, right, sizes[: len(found)])
        each = [
            likelihood_metrics.choice([one], [at], [size]).value
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
    """The loss of all rows, and of each slice: by the columns that tell of one, and by length."""
    rows = chosen([cut(one, asking.context) for one in data.validation], samples, seed, "slices")
    known = validation_slices.followed([one.parts for one in rows], [len(one.ids) for one in rows])

    def score(found: Readings, base: Sequence[float]) -> Found:
        losses, tokens = [one.loss for (one,) in found], [float(one.tokens) for (one,) in found]
        means = [loss / max(1.0, count) for loss, count in zip(losses, tokens, strict=True)]
        scores = validation_slices.losses(losses, tokens, known)
        rows_of = {name: {at for at in known[name] if at < len(found)} for name in scores}
        samples = [
            Sample(asking.text(row.ids), "", mean, ", ".join(one for one in scores if at in rows_of[one]))
            for at, (row, mean) in enumerate(zip(rows, means, strict=False))
        ]
        name, worst = validation_slices.worst(scores)
        whole = Found().add("quality/loss", likelihood_metrics.loss(losses, tokens), means, samples)
        whole.add("quality/worst_slice", worst.noting(f"slice {name}") if name else worst, samples=samples)
        for one, loss in scores.items():
            whole.add(
                f"{SLICE}{one}",
                loss,
                [mean if at in rows_of[one] else NOTHING for at, mean in enumerate(means)],
            )
        whole.weights = dict.fromkeys(whole.values, tokens)
        _list(whole, scores, base)
        return whole

    return Probe(("quality/loss", "quality/worst_slice"), _rated([[one] for one in rows]), score)


def _list(whole: Found, scores: Mapping[str, Score], base: Sequence[float]) -> None:
    """Put one sample that lists all slices before the worst rows: loss, interval, rows, change from the
    base."""
    samples = whole.worst.get("quality/worst_slice")
    if not samples or not scores:
        return
    lines = []
    for name, score in sorted(scores.items(), key=lambda pair: -(pair[1].value or 0.0)):
        metric = f"{SLICE}{name}"
        change = changed(metric, whole.values[metric], base, whole.weights[metric])
        against = "" if change is None or change.value is None else f"; {_moved(change)} against the base"
        lines.append(f"{name}: {score}{against}")
    note = f"all {len(scores)} slices, the worst first: nats/token"
    samples.insert(0, Sample(note, "\n".join(lines), samples[0].score, note))


def _moved(change: Score) -> str:
    ends = f" ({change.low:+.3g} to {change.high:+.3g})" if change.interval else ""
    return f"{change.value:+.3g}{ends}"


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
        whole = likelihood_metrics.forgetting(losses, before, tokens)
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
        whole.add(
            SPEED[0], generation_speed.speed([len(one.ids) for one in flat], [one.took_s for one in flat])
        )
        return whole.add(SPEED[1], generation_speed.latency([one.first_s for one in flat]))

    why = why if rows else NO_QUESTION
    return Probe((*WRITTEN, *SPEED), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _question(row: Row) -> tuple[list[int], list[int]] | None:
    """What stands before the first answer, and that; None where nothing is asked."""
    first = next((at for at, label in enumerate(row.labels) if label != MASKED), 0)
    after = [at for at, label in enumerate(row.labels) if at > first and label == MASKED]
    return (row.ids[:first], row.ids[first : min(after, default=len(row.ids))]) if first > 1 else None


def _rated(rows: Sequence[Sequence[Row]]) -> list[list[Ask]]:
    return [[Ask(row) for row in several] for several in rows]
