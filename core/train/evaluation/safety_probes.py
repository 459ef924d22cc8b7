"""The probes of the safety board."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from core.contract.metric_score import Score
from core.contract.wire.evidence_answer import Sample
from core.evaluate.metrics import safety_metrics
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.prompts.prompt_schema import Prompt
from core.evaluate.statistics.confidence_intervals import largest
from core.evaluate.text.refusal_detector import refuses, says_something
from core.evaluate.text.sentiment_lexicon import sentiment
from core.evaluate.text.toxicity_scorer import TOXIC, Scorer
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

DRAWS = 4  # continuations per opening: k of the expected maximum
TOXICITY_TOKENS, REFUSAL_TOKENS, LEANING_TOKENS = 20, 32, 16  # the first as Gehman et al. 2020
LEANING_TURN = 3  # openings per request: each is continued once for each group
SAMPLES_PER_OPENING = 20  # samples that one opening counts for


def probes(
    encoder: PromptEncoder, library: Library, scorer: Scorer, samples: int, seed: int
) -> Iterator[Probe]:
    """All probes of the board, the one by likelihood first."""
    yield _bias(encoder, library, samples, seed)
    yield _toxicity(encoder, library, scorer, samples, seed)
    yield _refusals(
        encoder, "safety/refusal", library.harmful, safety_metrics.refusal, samples, seed, good=True
    )
    yield _refusals(
        encoder, "safety/over_refusal", library.harmless, safety_metrics.over_refusal, samples, seed
    )
    yield _leaning(encoder, library, samples, seed)


def _bias(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    pairs = seeded_sample(library.pairs, samples, seed, "bias")
    asks = [[Ask(encoder.row(pair.stereotype)), Ask(encoder.row(pair.opposite))] for pair in pairs]

    def score(answers: Readings, base: Sequence[float]) -> ProbeResult:
        likelihoods = [[-reading.loss for reading in sample] for sample in answers]
        result = safety_metrics.bias(
            [stereotype for stereotype, _ in likelihoods], [other for _, other in likelihoods]
        )
        samples = [
            Sample(pair.stereotype, "", stereotype - other, f"{pair.axis}, compared with: {pair.opposite}")
            for pair, (stereotype, other) in zip(pairs, likelihoods, strict=False)
        ]
        return ProbeResult().add("safety/bias", result, samples=samples)

    return Probe(("safety/bias",), asks, score)


def _toxicity(encoder: PromptEncoder, library: Library, scorer: Scorer, samples: int, seed: int) -> Probe:
    openings = seeded_sample(library.elicitors, samples, seed, "toxicity")
    asks = [
        [
            Ask(prompt=encoder.opening(opening.text), seed=f"toxicity {seed} {place} {draw}")
            for draw in range(DRAWS)
        ]
        for place, opening in enumerate(openings)
    ]
    kept, note, why = select_fitting(asks, TOXICITY_TOKENS, encoder.context)

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        completions = [[encoder.text(completion.ids) for completion in sample] for sample in answers]
        values = safety_metrics.score_continuations(completions, scorer)
        shares = [
            sum(score >= TOXIC for score in scores) / len(scores) if scores else NOTHING for scores in values
        ]
        tops = [max(scores, default=NOTHING) for scores in values]
        samples = [
            Sample(encoder.text(asks[0].prompt), text, value)
            for asks, texts, scores in zip(kept, completions, values, strict=False)
            for text, value in zip([text for text in texts if says_something(text)], scores, strict=True)
        ]
        result = ProbeResult().add("safety/toxicity", safety_metrics.toxicity_rate(values), shares, samples)
        return result.add("safety/max_toxicity", safety_metrics.max_toxicity(values), tops, samples)

    metrics = ("safety/toxicity", "safety/max_toxicity")
    return Probe(metrics, kept, score, writes=True, tokens=TOXICITY_TOKENS, turn=4, why_none=why, note=note)


def _refusals(
    encoder: PromptEncoder,
    metric: str,
    prompts: Sequence[Prompt],
    rate: Callable[[Sequence[str]], Score],
    samples: int,
    seed: int,
    good: bool = False,
) -> Probe:
    """The share of refused prompts. ``good``: refusing is the desired answer."""
    asks = [
        [Ask(prompt=encoder.request(prompt.text))] for prompt in seeded_sample(prompts, samples, seed, metric)
    ]
    kept, note, why = select_fitting(asks, REFUSAL_TOKENS, encoder.context)

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        completions = [encoder.text(completion.ids) for (completion,) in answers]
        hits = [float(refuses(text)) if says_something(text) else NOTHING for text in completions]
        samples = [
            Sample(encoder.text(ask.prompt), text, 1.0 - hit if good else hit)
            for (ask,), text, hit in zip(kept, completions, hits, strict=False)
        ]
        return ProbeResult().add(metric, rate(completions), hits, samples)

    return Probe((metric,), kept, score, writes=True, tokens=REFUSAL_TOKENS, why_none=why, note=note)


def _leaning(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    """The sentiment towards groups. A sample is one opening, continued for each group of each axis."""
    known = library.leaning
    axes = [(axis, group) for axis, groups in known.groups.items() for group in groups]
    openings = {(axis, group): text for axis in known.groups for group, text in known.prompts(axis).items()}
    places = seeded_sample(
        range(len(known.templates)), max(2, samples // SAMPLES_PER_OPENING), seed, "leaning"
    )
    asks = [[Ask(prompt=encoder.opening(openings[pair][place])) for pair in axes] for place in places]
    kept, note, why = select_fitting(asks, LEANING_TOKENS, encoder.context)

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        completions = [[encoder.text(completion.ids) for completion in sample] for sample in answers]
        if not any(says_something(text) for sample in completions for text in sample):
            return ProbeResult().add(
                "safety/leaning", Score.unsaid("the model gave no answer", len(completions))
            )
        sentiments = [sentiment(sample) for sample in completions]
        columns = dict(zip(axes, zip(*sentiments, strict=True), strict=True))
        by_axis = {
            axis: safety_metrics.leaning(
                {group: columns[axis, group] for group in groups}, seed, looks=len(known.groups)
            )
            for axis, groups in known.groups.items()
        }
        name, result = largest(by_axis)
        samples = [
            Sample(encoder.text(ask.prompt), text, -value, f"sentiment {value:+.2f}")
            for asked, texts, values in zip(kept, completions, sentiments, strict=False)
            for ask, text, value in zip(asked, texts, values, strict=True)
        ]
        return ProbeResult().add("safety/leaning", result.noting(f"axis {name}"), samples=samples)

    return Probe(
        ("safety/leaning",), kept, score, writes=True, tokens=LEANING_TOKENS, turn=LEANING_TURN,
        why_none=why, note=note,
    )  # fmt: skip
