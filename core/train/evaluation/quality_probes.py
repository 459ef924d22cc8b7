"""The probes of the quality board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from core.contract.metric_score import Score
from core.contract.spec.metric_table import SLICE
from core.contract.wire.evidence_answer import Sample
from core.evaluate.metrics import answer_metrics, generation_speed, likelihood_metrics, validation_slices
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.prompts.prompt_schema import Question
from core.train.data.dataset import MASKED, Data, Row, cut
from core.train.evaluation.eval_inputs import PromptEncoder
from core.train.evaluation.metric_probe import (
    NOTHING,
    Ask,
    Probe,
    ProbeResult,
    Readings,
    Texts,
    seeded_sample,
    select_fitting,
)
from core.train.evaluation.probe_scoring import change_from

WRITTEN = ("quality/bleu", "quality/chrf", "quality/exact", "quality/f1")
SPEED = ("quality/tokens_per_s", "quality/latency_s")
TOKENS = 48  # longest answer
NO_CHOICES = (
    "there are no multiple-choice questions: add the columns choices and answer to the rows, or put "
    "questions.jsonl into the folder of evaluate.prompts"
)
NO_QUESTION = "the rows are plain text, without questions to answer"


def probes(encoder: PromptEncoder, library: Library, data: Data, samples: int, seed: int) -> Iterator[Probe]:
    """All probes of the board, those by likelihood first."""
    yield _choice(encoder, [*library.questions, *data.questions], samples, seed)
    yield _slices(encoder, data, samples, seed)
    yield _forgetting(encoder, library, samples, seed)
    yield _completions(encoder, data, samples, seed)


def _choice(encoder: PromptEncoder, pool: Sequence[Question], samples: int, seed: int) -> Probe:
    """Multiple-choice questions from the user's prompt file and from rows of the data with choices."""
    asked = seeded_sample(pool, samples, seed, "choice")
    rows = [
        [encoder.row(f" {choice}", question.question) for choice in question.choices] for question in asked
    ]
    sizes = [[len(choice.encode()) or 1 for choice in question.choices] for question in asked]

    def score(answers: Readings, base: Sequence[float]) -> ProbeResult:
        likelihoods = [[-reading.loss for reading in sample] for sample in answers]
        right = [question.right for question in asked[: len(answers)]]
        result = likelihood_metrics.choice(likelihoods, right, sizes[: len(answers)])
        each = [
            likelihood_metrics.choice([likelihood], [at], [size]).value
            for likelihood, at, size in zip(likelihoods, right, sizes, strict=False)
        ]
        samples = [
            Sample(question.question, question.choices[_best(likelihood, size)], 1.0 - (hit or 0.0))
            for question, likelihood, size, hit in zip(asked, likelihoods, sizes, each, strict=False)
        ]
        return ProbeResult().add("quality/choice", result, [hit or 0.0 for hit in each], samples)

    return Probe(("quality/choice",), _row_asks(rows), score, why_none=NO_CHOICES)


def _best(likelihoods: Sequence[float], sizes: Sequence[int]) -> int:
    return max(range(len(likelihoods)), key=lambda at: likelihoods[at] / sizes[at])


def _slices(encoder: PromptEncoder, data: Data, samples: int, seed: int) -> Probe:
    """The loss of all rows and of each slice, by the columns that name slices and by length."""
    rows = seeded_sample([cut(row, encoder.context) for row in data.validation], samples, seed, "slices")
    known = validation_slices.group_rows([row.parts for row in rows], [len(row.ids) for row in rows])

    def score(answers: Readings, base: Sequence[float]) -> ProbeResult:
        losses = [reading.loss for (reading,) in answers]
        tokens = [float(reading.tokens) for (reading,) in answers]
        means = [loss / max(1.0, count) for loss, count in zip(losses, tokens, strict=True)]
        scores = validation_slices.losses(losses, tokens, known)
        rows_of = {name: {at for at in known[name] if at < len(answers)} for name in scores}
        samples = [
            Sample(encoder.text(row.ids), "", mean, ", ".join(name for name in scores if at in rows_of[name]))
            for at, (row, mean) in enumerate(zip(rows, means, strict=False))
        ]
        name, worst = validation_slices.worst(scores)
        result = ProbeResult().add("quality/loss", likelihood_metrics.loss(losses, tokens), means, samples)
        result.add("quality/worst_slice", worst.noting(f"slice {name}") if name else worst, samples=samples)
        for slice_name, loss in scores.items():
            result.add(
                f"{SLICE}{slice_name}",
                loss,
                [mean if at in rows_of[slice_name] else NOTHING for at, mean in enumerate(means)],
            )
        result.weights = dict.fromkeys(result.values, tokens)
        _insert_slice_list(result, scores, base)
        return result

    return Probe(("quality/loss", "quality/worst_slice"), _row_asks([[row] for row in rows]), score)


def _insert_slice_list(result: ProbeResult, scores: Mapping[str, Score], base: Sequence[float]) -> None:
    """Put a sample before the worst rows that lists all slices: loss, interval, rows, change from the
    base."""
    samples = result.worst.get("quality/worst_slice")
    if not samples or not scores:
        return
    lines = []
    for name, score in sorted(scores.items(), key=lambda pair: -(pair[1].value or 0.0)):
        metric = f"{SLICE}{name}"
        change = change_from(metric, result.values[metric], base, result.weights[metric])
        against = (
            "" if change is None or change.value is None else f"; {_format_signed(change)} against the base"
        )
        lines.append(f"{name}: {score}{against}")
    note = f"all {len(scores)} slices, worst first, in nats/token"
    samples.insert(0, Sample(note, "\n".join(lines), samples[0].score, note))


def _format_signed(change: Score) -> str:
    ends = f" ({change.low:+.3g} to {change.high:+.3g})" if change.interval else ""
    return f"{change.value:+.3g}{ends}"


def _forgetting(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    passages = seeded_sample(library.reference, samples, seed, "forgetting")
    rows = [[encoder.row(passage.text)] for passage in passages]

    def score(answers: Readings, base: Sequence[float]) -> ProbeResult:
        """The values are losses, since a trial is compared with the base's losses."""
        losses, tokens = [reading.loss for (reading,) in answers], [reading.tokens for (reading,) in answers]
        before = list(base[: len(losses)]) or losses  # of the base itself: no change
        if len(before) < len(losses):
            return ProbeResult().add(
                "quality/forgetting", Score.unsaid("the base was not scored", len(losses))
            )
        rises = [(now - old) / max(1, count) for now, old, count in zip(losses, before, tokens, strict=True)]
        samples = [Sample(passage.text, "", rise) for passage, rise in zip(passages, rises, strict=False)]
        result = likelihood_metrics.forgetting(losses, before, tokens)
        return ProbeResult().add("quality/forgetting", result, losses, samples)

    return Probe(("quality/forgetting",), _row_asks(rows), score)


def _completions(encoder: PromptEncoder, data: Data, samples: int, seed: int) -> Probe:
    """Generated completions of the first answer of each validation row, after everything before it."""
    rows = [pair for row in data.validation if (pair := _split_question(row)) is not None]
    pairs = seeded_sample(rows, samples, seed, "completions")
    asks = [[Ask(prompt=prompt)] for prompt, _ in pairs]
    kept, note, why = select_fitting(asks, TOKENS, encoder.context)
    right = {id(ask): encoder.text(answer).strip() for (ask,), (_, answer) in zip(asks, pairs, strict=True)}

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        completions = [encoder.text(completion.ids).strip() for (completion,) in answers]
        wanted = [right[id(ask)] for (ask,) in kept[: len(answers)]]
        overlaps = [
            answer_metrics.overlap(text, other) for text, other in zip(completions, wanted, strict=True)
        ]
        hits = [
            float(answer_metrics.normalize(text) == answer_metrics.normalize(other))
            for text, other in zip(completions, wanted, strict=True)
        ]
        asked = [encoder.text(ask.prompt) for (ask,) in kept[: len(answers)]]
        samples = [
            Sample(prompt, answer, 1.0 - value, f"expected: {good}")
            for prompt, answer, value, good in zip(asked, completions, overlaps, wanted, strict=True)
        ]
        result = ProbeResult()
        result.add("quality/bleu", answer_metrics.bleu(completions, wanted), samples=samples)
        result.add("quality/chrf", answer_metrics.chrf(completions, wanted), samples=samples)
        result.add("quality/exact", answer_metrics.exact(completions, wanted), hits, samples)
        result.add("quality/f1", answer_metrics.f1(completions, wanted), overlaps, samples)
        flat = [completion for (completion,) in answers]
        result.add(
            SPEED[0],
            generation_speed.speed(
                [len(completion.ids) for completion in flat], [completion.took_s for completion in flat]
            ),
        )
        return result.add(SPEED[1], generation_speed.latency([completion.first_s for completion in flat]))

    why = why if rows else NO_QUESTION
    return Probe((*WRITTEN, *SPEED), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _split_question(row: Row) -> tuple[list[int], list[int]] | None:
    """What precedes the first answer, and that answer; None if the row asks nothing."""
    first = next((at for at, label in enumerate(row.labels) if label != MASKED), 0)
    after = [at for at, label in enumerate(row.labels) if at > first and label == MASKED]
    return (row.ids[:first], row.ids[first : min(after, default=len(row.ids))]) if first > 1 else None


def _row_asks(rows: Sequence[Sequence[Row]]) -> list[list[Ask]]:
    return [[Ask(row) for row in sample] for sample in rows]
