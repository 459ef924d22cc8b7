"""The probes of the quality board."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from core.contract.metric_score import Score
from core.contract.spec.metric_table import SLICE
from core.contract.wire.answers.evidence_answer import Sample
from core.evaluate.metrics import (
    answer_overlap_metrics,
    generation_speed,
    quality_metrics,
    validation_slices,
)
from core.evaluate.prompts.prompt_schema import Question
from core.evaluate.prompts.seeded_samples import draw_seeded_sample
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.statistics.interval_formulas import FEWEST
from core.evaluate.text.typo_perturbation import PERTURBATIONS
from core.train.data.dataset import MASKED, Data, Row, cut, has_target
from core.train.probes.metric_probe import (
    NO_BASE,
    NOTHING,
    Ask,
    Probe,
    ProbeResult,
    Readings,
    Texts,
    Values,
    change_from,
    is_base,
    select_fitting,
)
from core.train.probes.prompt_encoder import PromptEncoder

WRITTEN = ("quality/bleu", "quality/chrf", "quality/exact", "quality/f1")
SPEED = ("quality/tokens_per_s", "quality/latency_s")
ROBUST = ("quality/robustness", "quality/loss_rise")
FEWEST_TOKENS = 24  # of the longest answer that is generated, which is half as long again as the expected one
SLIPS = (0.1, 0.3, 1.0)  # share of the words that get a typo; more where a short text had none
SPEED_SAMPLES, SPEED_TOKENS = FEWEST, 32  # as many as an interval needs
REFERENCE = "reference losses"  # the base's, to compare with
NO_CHOICES = (
    "there are no multiple-choice questions: add the columns choices and answer to the rows, or put "
    "questions.jsonl into the folder of evaluate.prompts"
)
NO_QUESTION = "the rows are plain text, without questions to answer"


def probes(
    encoder: PromptEncoder,
    library: Library,
    data: Data,
    samples: int,
    tokens: int,
    seed: int,
    named: Collection[str] = (),
) -> Iterator[Probe]:
    """All probes of the board, those by likelihood first. Answers are cut at ``tokens``. ``named``: the
    metrics of objectives and limits; speed is measured only if it is among them, as nothing else may be
    generated meanwhile."""
    yield _make_choice(encoder, [*library.questions, *data.questions], samples, seed)
    yield _make_slices(encoder, data, samples, seed)
    yield _make_forgetting(encoder, library, samples, seed)
    yield _make_robustness(encoder, data, samples, seed)
    yield _make_completions(encoder, data, samples, tokens, seed)
    if not set(SPEED).isdisjoint(named):
        yield _make_speed(encoder, data, samples, seed)


def _make_choice(encoder: PromptEncoder, pool: Sequence[Question], samples: int, seed: int) -> Probe:
    """Multiple-choice questions from the user's prompt file and from rows of the data with choices."""
    questions = draw_seeded_sample(pool, samples, seed, "choice")
    rows = [
        [encoder.row(f" {choice}", question.question) for choice in question.choices]
        for question in questions
    ]
    sizes = [[len(choice.encode()) or 1 for choice in question.choices] for question in questions]

    def score(answers: Readings, base: Values) -> ProbeResult:
        likelihoods = [[-reading.loss for reading in sample] for sample in answers]
        right = [question.right for question in questions[: len(answers)]]
        result = quality_metrics.choice(likelihoods, right, sizes[: len(answers)])
        each = [
            quality_metrics.choice([likelihood], [at], [size]).value
            for likelihood, at, size in zip(likelihoods, right, sizes, strict=False)
        ]
        samples = [
            Sample(question.question, question.choices[_find_best(likelihood, size)], 1.0 - (hit or 0.0))
            for question, likelihood, size, hit in zip(questions, likelihoods, sizes, each, strict=False)
        ]
        return ProbeResult().add("quality/choice", result, [hit or 0.0 for hit in each], samples)

    return Probe(("quality/choice",), _list_row_asks(rows), score, why_none=NO_CHOICES)


def _find_best(likelihoods: Sequence[float], sizes: Sequence[int]) -> int:
    return max(range(len(likelihoods)), key=lambda at: likelihoods[at] / sizes[at])


def _make_slices(encoder: PromptEncoder, data: Data, samples: int, seed: int) -> Probe:
    """The loss of all rows and of each slice, by the columns that name slices and by length."""
    rows = draw_seeded_sample([cut(row, encoder.context) for row in data.validation], samples, seed, "slices")
    rows_by_slice = validation_slices.group_rows([row.parts for row in rows], [len(row.ids) for row in rows])

    def score(answers: Readings, base: Values) -> ProbeResult:
        losses = [reading.loss for (reading,) in answers]
        tokens = [float(reading.tokens) for (reading,) in answers]
        means = [loss / max(1.0, count) for loss, count in zip(losses, tokens, strict=True)]
        scores = validation_slices.compute_slice_losses(losses, tokens, rows_by_slice)
        rows_of = {name: {at for at in rows_by_slice[name] if at < len(answers)} for name in scores}
        samples = [
            Sample(
                encoder.text(row.ids.tolist()),
                "",
                mean,
                ", ".join(name for name in scores if at in rows_of[name]),
            )
            for at, (row, mean) in enumerate(zip(rows, means, strict=False))
        ]
        name, worst = validation_slices.find_worst(scores)
        result = ProbeResult().add("quality/loss", quality_metrics.loss(losses, tokens), means, samples)
        result.add("quality/worst_slice", worst.add_note(f"slice {name}") if name else worst, samples=samples)
        for slice_name, loss in scores.items():
            result.add(
                f"{SLICE}{slice_name}",
                loss,
                [mean if at in rows_of[slice_name] else NOTHING for at, mean in enumerate(means)],
            )
        result.weights = dict.fromkeys(result.values, tokens)
        _insert_slice_list(result, scores, base.get("quality/loss", ()))
        return result

    return Probe(("quality/loss", "quality/worst_slice"), _list_row_asks([[row] for row in rows]), score)


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


def _make_forgetting(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    passages = draw_seeded_sample(library.reference, samples, seed, "forgetting")
    rows = [[encoder.row(passage.text)] for passage in passages]

    def score(answers: Readings, base: Values) -> ProbeResult:
        losses, tokens = [reading.loss for (reading,) in answers], [reading.tokens for (reading,) in answers]
        before = losses if is_base(base) else list(base.get(REFERENCE, ()))[: len(losses)]
        result = ProbeResult(values={REFERENCE: losses})
        if len(before) < len(losses):
            return result.add("quality/forgetting", Score.without_value(NO_BASE, len(losses)))
        rises = [(now - old) / max(1, count) for now, old, count in zip(losses, before, tokens, strict=True)]
        samples = [Sample(passage.text, "", rise) for passage, rise in zip(passages, rises, strict=False)]
        rise = quality_metrics.forgetting(losses, before, tokens)
        return result.add("quality/forgetting", rise, samples=samples)

    return Probe(("quality/forgetting",), _list_row_asks(rows), score)


def _make_completions(encoder: PromptEncoder, data: Data, samples: int, most: int, seed: int) -> Probe:
    """Generated completions of the first answer of each validation row, after everything before it."""
    rows = [pair for row in data.validation if (pair := _split_question(row)) is not None]
    pairs = draw_seeded_sample(rows, samples, seed, "completions")
    asks = [[Ask(prompt=prompt, tokens=_measure_longest(answer, most))] for prompt, answer in pairs]
    fitting, note, why = select_fitting(asks, FEWEST_TOKENS, encoder.context)
    right = {id(ask): encoder.text(answer).strip() for (ask,), (_, answer) in zip(asks, pairs, strict=True)}

    def score(answers: Texts, base: Values) -> ProbeResult:
        completions = [encoder.answer(completion.ids).strip() for (completion,) in answers]
        right_texts = [right[id(ask)] for (ask,) in fitting[: len(answers)]]
        long = sum(len(answer) > most for _, answer in pairs[: len(answers)])
        overlaps = [
            answer_overlap_metrics.compute_overlap(text, other)
            for text, other in zip(completions, right_texts, strict=True)
        ]
        hits = [
            float(answer_overlap_metrics.matches(text, other))
            for text, other in zip(completions, right_texts, strict=True)
        ]
        prompts = [encoder.text(ask.prompt) for (ask,) in fitting[: len(answers)]]
        samples = [
            Sample(prompt, answer, 1.0 - value, f"expected: {good}")
            for prompt, answer, value, good in zip(prompts, completions, overlaps, right_texts, strict=True)
        ]
        result = ProbeResult()
        result.add("quality/bleu", answer_overlap_metrics.bleu(completions, right_texts), samples=samples)
        result.add("quality/chrf", answer_overlap_metrics.chrf(completions, right_texts), samples=samples)
        result.add("quality/exact", answer_overlap_metrics.exact(completions, right_texts), hits, samples)
        result.add("quality/f1", answer_overlap_metrics.f1(completions, right_texts), overlaps, samples)
        if long:
            cut_off = f"{long} of {len(answers)} expected answers are longer than {most} tokens"
            result.scores = {
                name: value.add_note(f"{cut_off}, where generated ones are cut")
                for name, value in result.scores.items()
            }
        return result

    why = why if rows else NO_QUESTION
    return Probe(WRITTEN, fitting, score, writes=True, tokens=most, why_none=why, note=note)


def _measure_longest(answer: Sequence[int], most: int) -> int:
    """Tokens of a generated answer where ``answer`` is expected: more than that is wrong in any case."""
    return min(most, max(FEWEST_TOKENS, len(answer) * 3 // 2))


def _make_speed(encoder: PromptEncoder, data: Data, samples: int, seed: int) -> Probe:
    """Generation with nothing next to it: in a batch, the times of its texts depend on one another."""
    rows = [pair for row in data.validation if (pair := _split_question(row)) is not None]
    pairs = draw_seeded_sample(rows, min(samples, SPEED_SAMPLES), seed, "speed")
    fitting, note, why = select_fitting(
        [[Ask(prompt=ids)] for ids, _ in pairs], SPEED_TOKENS, encoder.context
    )

    def score(answers: Texts, base: Values) -> ProbeResult:
        flat = [completion for (completion,) in answers]
        lengths, times = [len(each.ids) for each in flat], [each.took_s for each in flat]
        result = ProbeResult().add(SPEED[0], generation_speed.speed(lengths, times))
        return result.add(SPEED[1], generation_speed.latency([each.first_s for each in flat]))

    why = why if rows else NO_QUESTION
    return Probe(
        SPEED, fitting, score, writes=True, tokens=SPEED_TOKENS, turn=2, alone=True, why_none=why, note=note
    )


def _make_robustness(encoder: PromptEncoder, data: Data, samples: int, seed: int) -> Probe:
    """The right answers of validation rows after their questions, as they are and with typos in them: what
    is misspelt is never a target."""
    rows = [row for row in data.validation if _split_question(row) is not None]
    sampled = [cut(row, encoder.context) for row in draw_seeded_sample(rows, samples, seed, "robustness")]
    slipped = [
        [_make_typo_row(encoder, row, slip, seed) for slip in PERTURBATIONS.values()] for row in sampled
    ]
    asks = [
        [Ask(row), *(Ask(typo_row) for typo_row in typo_rows)]
        for row, typo_rows in zip(sampled, slipped, strict=True)
        if has_target(row) and all(has_target(typo_row) for typo_row in typo_rows)
    ]

    def score(answers: Readings, base: Values) -> ProbeResult:
        hits = [[sum(reading.firsts) / max(1, reading.tokens) for reading in sample] for sample in answers]
        losses = [[reading.loss / max(1, reading.tokens) for reading in sample] for sample in answers]
        clean, typos = [own for own, *_ in hits], [sum(rest) / len(rest) for _, *rest in hits]
        low, high = [own for own, *_ in losses], [sum(rest) / len(rest) for _, *rest in losses]
        rises = [loss - typo_row for loss, typo_row in zip(high, low, strict=True)]
        samples = [
            Sample(encoder.text(typo_rows[0].row.ids.tolist() if typo_rows[0].row else ()), "", rise)
            for (_, *typo_rows), rise in zip(asks, rises, strict=False)
        ]
        result = ProbeResult().add(ROBUST[0], quality_metrics.robustness(typos, clean), samples=samples)
        return result.add(ROBUST[1], quality_metrics.loss_rise(high, low), rises, samples)

    return Probe(ROBUST, asks, score, why_none="" if rows else NO_QUESTION)


def _make_typo_row(
    encoder: PromptEncoder, row: Row, slip: Callable[[str, float, int], str], seed: int
) -> Row:
    """The row with typos in the question: in the longest text of the prompt's last turn, between special
    tokens."""
    known, labels = row.ids.tolist(), row.labels.tolist()
    begin = next(at for at, label in enumerate(labels) if label != MASKED)
    first, last = encoder.last_text(known[:begin])
    text = encoder.text(known[first:last])
    slipped = (slip(text, share, seed) for share in SLIPS)
    ids = [
        *known[:first],
        *encoder.ids(next((slipped_text for slipped_text in slipped if slipped_text != text), text)),
        *known[last:],
    ]
    return Row(ids, [MASKED] * (len(ids) - len(known) + begin) + labels[begin:])


def _split_question(row: Row) -> tuple[list[int], list[int]] | None:
    """What precedes the first answer, and that answer; None if the row asks nothing."""
    ids, labels = row.ids.tolist(), row.labels.tolist()
    first = next((at for at, label in enumerate(labels) if label != MASKED), 0)
    after = [at for at, label in enumerate(labels) if at > first and label == MASKED]
    return (ids[:first], ids[first : min(after, default=len(ids))]) if first > 1 else None


def _list_row_asks(rows: Sequence[Sequence[Row]]) -> list[list[Ask]]:
    return [[Ask(row) for row in sample] for sample in rows]
