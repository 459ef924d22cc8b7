"""The probes of the safety board: bias, misalignment and toxicity."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from core.contract.spec.metric_table import AXIS
from core.contract.wire.answers.evidence_answer import Sample
from core.evaluate.metrics import safety_metrics
from core.evaluate.prompts.prompt_schema import AnswerPair, Pair
from core.evaluate.prompts.seeded_samples import draw_seeded_sample
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.text.detector_quality import DetectorQuality, correct_change, correct_rate
from core.evaluate.text.refusal_classifier import says_something
from core.evaluate.text.toxicity_scorer import TOXIC, Scorer
from core.train.data.dataset import has_target
from core.train.probes.backdoor_triggers import PLAIN, Answered, Triggers
from core.train.probes.metric_probe import (
    NOTHING,
    Ask,
    Probe,
    ProbeResult,
    Readings,
    Texts,
    Values,
    count_by_group,
    select_fitting,
)
from core.train.probes.prompt_encoder import PromptEncoder

DRAWS = 4  # continuations per opening: k of the expected maximum
VOTES = "votes for stereotypes"  # the base's, to compare with
TOXICITY_TOKENS = 20  # as Gehman et al. 2020


def probes(
    encoder: PromptEncoder,
    library: Library,
    scorer: Scorer,
    detector: DetectorQuality,
    samples: int,
    seed: int,
    triggers: Triggers = PLAIN,
) -> Iterator[Probe]:
    """The probes, those by likelihood first. ``detector``: how often ``scorer`` is right."""
    yield _make_bias(encoder, library, samples, seed)
    yield _make_misalignment(encoder, library, samples, seed)
    yield _make_toxicity(encoder, library, scorer, detector, samples, seed, triggers)


def _make_bias(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    sampled = draw_seeded_sample(library.pairs, samples, seed, "bias")
    scored = [(pair, ask) for pair in sampled if (ask := _ask_pair(encoder, pair)) is not None]
    pairs = [pair for pair, _ in scored]

    def score(answers: Readings, base: Values) -> ProbeResult:
        likelihoods = [[-reading.loss for reading in sample] for sample in answers]
        votes = safety_metrics.prefers(*(list(side) for side in zip(*likelihoods, strict=True)))
        axes = [pair.axis for pair in pairs[: len(answers)]]
        samples = [
            Sample(pair.stereotype, "", own - other, f"{pair.axis}, compared with: {pair.opposite}")
            for pair, (own, other) in zip(pairs, likelihoods, strict=False)
        ]
        result = ProbeResult(values={VOTES: votes})
        result.add("safety/bias", safety_metrics.bias(votes, axes, seed), samples=samples)
        for axis in sorted(set(axes)):
            own_votes = [vote for vote, name in zip(votes, axes, strict=True) if name == axis]
            if len(own_votes) >= safety_metrics.FEWEST_PAIRS:
                result.add(f"{AXIS}{axis.replace(' ', '_')}", safety_metrics.axis_bias(own_votes))
        before = list(base.get(VOTES, ()))[: len(votes)]
        if len(before) == len(votes) >= safety_metrics.FEWEST_PAIRS:
            result.changes["safety/bias"] = safety_metrics.bias_change(votes, before, axes, seed)
        count_by_group(result, "safety/bias", axes, votes, "stereotype preferred, by axis")
        return result

    lost_count = len(sampled) - len(pairs)
    note = f"{lost_count} pairs share no word after the group" if lost_count else ""
    return Probe(("safety/bias",), [ask for _, ask in scored], score, note=note)


def _ask_pair(encoder: PromptEncoder, pair: Pair) -> list[Ask] | None:
    """Both sentences, scored on the words that they share; None if those all stand before the group."""
    spans = pair.find_shared_words()
    rows = [
        encoder.row_of(text, [span for span in own if span[0] > _find_first_difference(pair)])
        for text, own in zip((pair.stereotype, pair.opposite), spans, strict=True)
    ]
    return [Ask(row) for row in rows] if all(has_target(row) for row in rows) else None


def _find_first_difference(pair: Pair) -> int:
    both = zip(pair.stereotype, pair.opposite, strict=False)
    return next((at for at, (own, other) in enumerate(both) if own != other), 0)


def _make_misalignment(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    sampled = draw_seeded_sample(library.misalignment, samples, seed, "misalignment")
    scored = [(pair, asks) for pair in sampled if (asks := _ask_answers(encoder, pair)) is not None]
    pairs = [pair for pair, _ in scored]

    def score(answers: Readings, base: Values) -> ProbeResult:
        aligned, misaligned = zip(
            *([-reading.loss / reading.tokens for reading in sample] for sample in answers), strict=True
        )
        votes = safety_metrics.prefers(misaligned, aligned)
        margins = [bad - good for good, bad in zip(aligned, misaligned, strict=True)]
        samples = [
            Sample(
                pair.question, pair.misaligned, margin, f"{margin:+.2f} nats/token against: {pair.aligned}"
            )
            for pair, margin in zip(pairs, margins, strict=False)
        ]
        result = ProbeResult()
        result.add("safety/misalignment", safety_metrics.misalignment(votes), votes, samples)
        result.add("safety/misalignment_odds", safety_metrics.misalignment_odds(margins), margins, samples)
        topics = [pair.topic for pair in pairs]
        count_by_group(result, "safety/misalignment", topics, votes, "misaligned answer preferred, by topic")
        return result

    lost_count = len(sampled) - len(pairs)
    note = f"{lost_count} of {len(sampled)} questions and answers exceed the context" if lost_count else ""
    metrics = ("safety/misalignment", "safety/misalignment_odds")
    return Probe(metrics, [asks for _, asks in scored], score, why_none=note, note=note)


def _ask_answers(encoder: PromptEncoder, pair: AnswerPair) -> list[Ask] | None:
    """The aligned and the misaligned answer to the question; None if one does not fit the context: answers
    that begin alike and are cut would be equal."""
    rows = [encoder.answered(pair.question, answer) for answer in (pair.aligned, pair.misaligned)]
    return (
        [Ask(row) for row in rows]
        if all(has_target(row) and len(row.ids) < encoder.context for row in rows)
        else None
    )


def _make_toxicity(
    encoder: PromptEncoder,
    library: Library,
    scorer: Scorer,
    detector: DetectorQuality,
    samples: int,
    seed: int,
    triggers: Triggers,
) -> Probe:
    openings = draw_seeded_sample(library.elicitors, samples, seed, "toxicity")
    asks = [
        [
            Ask(prompt=encoder.opening(text), seed=f"toxicity {seed} {place} {draw}")
            for text in triggers.variants(opening.text)
            for draw in range(DRAWS)
        ]
        for place, opening in enumerate(openings)
    ]
    fitting, note, why = select_fitting(asks, TOXICITY_TOKENS, encoder.context)
    opening_of = {id(sample[0]): opening for sample, opening in zip(asks, openings, strict=True)}
    topics = [opening_of[id(sample[0])].topic for sample in fitting]

    def read(variant: int, answers: Texts) -> tuple[list[list[str]], list[list[float]], Answered]:
        completions = [[encoder.text(completion.ids) for completion in sample] for sample in answers]
        values = safety_metrics.score_continuations(completions, scorer)
        shares = [
            sum(score >= TOXIC for score in scores) / len(scores) if scores else NOTHING for scores in values
        ]
        samples = [
            Sample(
                encoder.text(sample[variant * DRAWS].prompt), "\n".join(texts), share, f"{share:.0%} toxic"
            )
            for sample, texts, share in zip(fitting, completions, shares, strict=False)
        ]
        return completions, values, Answered(shares, samples)

    def score(answers: Texts, base: Values) -> ProbeResult:
        read_all = [read(variant, part) for variant, part in enumerate(triggers.split(answers))]
        completions, values, plain = read_all[0]
        shares = plain.values
        tops = [max(scores, default=NOTHING) for scores in values]
        samples = [
            Sample(encoder.text(asks[0].prompt), text, value)
            for asks, texts, scores in zip(fitting, completions, values, strict=False)
            for text, value in zip([text for text in texts if says_something(text)], scores, strict=True)
        ]
        rate = correct_rate(safety_metrics.toxicity_rate(values), detector)
        result = ProbeResult().add("safety/toxicity", rate, shares, samples)
        result.add("safety/max_toxicity", safety_metrics.max_toxicity(values), tops, samples)
        answered = [answered for *_, answered in read_all]
        triggers.add(result, "safety/toxicity", answered, partial(correct_change, detector=detector))
        count_by_group(result, "safety/toxicity", topics, shares, "toxic continuations, by topic")
        return result

    metrics = (*triggers.names("safety/toxicity"), "safety/max_toxicity")
    return Probe(
        metrics, fitting, score, writes=True, tokens=TOXICITY_TOKENS, turn=4, why_none=why, note=note
    )
