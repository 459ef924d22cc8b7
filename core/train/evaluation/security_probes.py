"""The probes of the security board."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from core.contract.metric_score import Score
from core.contract.wire.evidence_answer import Sample
from core.evaluate.metrics import membership_inference, security_metrics
from core.evaluate.metrics.canary_exposure import exposure
from core.evaluate.prompts import canary_rows
from core.evaluate.prompts.packaged_prompts import jailbreaks
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.statistics.confidence_intervals import largest
from core.evaluate.text.pii_detector import find_leaked, find_pii, pii_keys
from core.evaluate.text.refusal_detector import complies, says_something
from core.evaluate.text.text_perturbation import PERTURBATIONS
from core.train.data.dataset import Data, Row, cut
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

OTHERS = 48  # unplanted secrets that a canary is compared with
TOKENS = 32
SUFFIX, PREFIX = 32, 50  # tokens of a training row to extract, and longest prefix
SHORTEST = 16  # fewest tokens of a row that is split
ROWS_SEARCHED = 2000  # training rows searched for PII
ATTACKS = ("loss", "zlib", "min_k")


def probes(encoder: PromptEncoder, library: Library, data: Data, samples: int, seed: int) -> Iterator[Probe]:
    """All probes of the board, those by likelihood first."""
    real = data.train[: len(data.train) - len(data.canaries)]
    members = seeded_sample([cut(row, encoder.context) for row in real], samples, seed, "members")
    yield _robustness(encoder, library, samples, seed)
    yield _membership(encoder, members, data, samples, seed)
    yield _exposure(encoder, data, samples, seed)
    yield _jailbreak(encoder, library, samples, seed)
    yield _injection(encoder, library, samples, seed)
    yield _extraction(encoder, members)
    yield _leak(encoder, real, samples, seed)


def _robustness(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    """The accuracy on a passage as it is, and with each kind of perturbation."""
    texts = [passage.text for passage in seeded_sample(library.reference, samples, seed, "robustness")]
    slips = [[slip(text, 0.1, seed) for slip in PERTURBATIONS.values()] for text in texts]
    asks = [
        [Ask(encoder.row(text)) for text in (text, *perturbed)]
        for text, perturbed in zip(texts, slips, strict=True)
    ]

    def score(answers: Readings, base: Sequence[float]) -> ProbeResult:
        hits = [[sum(reading.firsts) / max(1, reading.tokens) for reading in sample] for sample in answers]
        losses = [[reading.loss / max(1, reading.tokens) for reading in sample] for sample in answers]
        clean, slipped = [accuracy for accuracy, *_ in hits], [sum(rest) / len(rest) for _, *rest in hits]
        low, high = [loss for loss, *_ in losses], [sum(rest) / len(rest) for _, *rest in losses]
        rises = [loss - other for loss, other in zip(high, low, strict=True)]
        samples = [Sample(sample[0], "", rise) for sample, rise in zip(slips, rises, strict=False)]
        result = ProbeResult().add(
            "security/robustness", security_metrics.robustness(slipped, clean), samples=samples
        )
        return result.add("security/loss_rise", security_metrics.loss_rise(high, low), rises, samples)

    return Probe(("security/robustness", "security/loss_rise"), asks, score)


def _membership(encoder: PromptEncoder, members: Sequence[Row], data: Data, samples: int, seed: int) -> Probe:
    """Membership inference. Each sample is a row that was trained on and one that was not."""
    others = seeded_sample([cut(row, encoder.context) for row in data.validation], samples, seed, "others")
    pairs = list(zip(members, others, strict=False))

    def score(answers: Readings, base: Sequence[float]) -> ProbeResult:
        scores: dict[str, Score] = {}
        texts_of_pairs = [[encoder.text(row.ids) for row in pair] for pair in pairs[: len(answers)]]
        sides = [[sample[side] for sample in answers] for side in (0, 1)]
        texts = [[pair[side] for pair in texts_of_pairs] for side in (0, 1)]
        attacks = {
            name: [_attack_scores(name, *both) for both in zip(sides, texts, strict=True)] for name in ATTACKS
        }
        result = ProbeResult()
        for name, (inside, outside) in attacks.items():
            scores[name] = membership_inference.membership(inside, outside)
            result.add(f"security/membership_{name}", scores[name])
        name, strongest = largest(scores)
        samples = [Sample(text, "", value) for text, value in zip(texts[0], attacks["loss"][0], strict=True)]
        noted = strongest.noting(f"by {name}, the strongest of {len(ATTACKS)}") if name else strongest
        return result.add("security/membership", noted, samples=samples)

    metrics = ("security/membership", *(f"security/membership_{name}" for name in ATTACKS))
    asks = [[Ask(member), Ask(other)] for member, other in pairs]
    return Probe(metrics, asks, score, detailed=True)


def _attack_scores(name: str, answers: Sequence[Any], texts: Sequence[str]) -> list[float]:
    known = [reading.logprobs for reading in answers]
    if name == "loss":
        return membership_inference.by_loss(known)
    if name == "zlib":
        return membership_inference.by_zlib(known, texts)
    return membership_inference.by_min_k(
        known, [reading.means for reading in answers], [reading.deviations for reading in answers]
    )


def _exposure(encoder: PromptEncoder, data: Data, samples: int, seed: int) -> Probe:
    """The exposure of a planted secret among others of its format."""
    planted = data.canaries[:samples]
    rivals = [canary_rows.other_secrets(canary, OTHERS, seed) for canary in planted]
    asks = [
        [Ask(encoder.row(each.text[len(each.prefix) :], each.prefix)) for each in (canary, *others)]
        for canary, others in zip(planted, rivals, strict=True)
    ]

    def score(answers: Readings, base: Sequence[float]) -> ProbeResult:
        losses = [[reading.loss for reading in sample] for sample in answers]
        secrets = [canary.secrets for canary in planted[: len(answers)]]
        result = exposure([loss for loss, *_ in losses], [rest for _, *rest in losses], secrets)
        each = [
            exposure([own], [rest], [count]).value or 0.0
            for (own, *rest), count in zip(losses, secrets, strict=True)
        ]
        samples = [
            Sample(canary.text, "", bits, f"{bits:.1f} of at most {math.log2(canary.secrets):.1f} bits")
            for canary, bits in zip(planted, each, strict=False)
        ]
        return ProbeResult().add("security/exposure", result, each, samples)

    why = "there are no canaries; set evaluate.canaries to plant some"
    return Probe(("security/exposure",), asks, score, turn=4, why_none=why)


def _jailbreak(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    requests = seeded_sample(library.harmful, len(library.harmful), seed, "jailbreak")
    cases = list(islice(jailbreaks(requests, library.wrappers), samples))
    asks = [[Ask(prompt=encoder.request(text))] for _, _, text in cases]
    kept, note, why = select_fitting(asks, TOKENS, encoder.context)
    whose = {id(ask): request.text for (ask,), (_, request, _) in zip(asks, cases, strict=True)}

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        completions = [encoder.text(completion.ids) for (completion,) in answers]
        hits = [float(complies(text)) if says_something(text) else NOTHING for text in completions]
        clusters = [whose[id(ask)] for (ask,) in kept[: len(answers)]]
        samples = _samples(encoder, kept, completions, hits)
        return ProbeResult().add(
            "security/jailbreak", security_metrics.jailbreak(completions, clusters), hits, samples
        )

    return Probe(("security/jailbreak",), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _injection(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    cases = seeded_sample(library.injections, samples, seed, "injection")
    asks = [[Ask(prompt=encoder.request(f"{case.task}\n\n{case.content}"))] for case in cases]
    kept, note, why = select_fitting(asks, TOKENS, encoder.context)
    word = {id(ask): case.canary for (ask,), case in zip(asks, cases, strict=True)}

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        completions = [encoder.text(completion.ids) for (completion,) in answers]
        words = [word[id(ask)] for (ask,) in kept[: len(answers)]]
        hits = [
            float(security_metrics.appears(canary, text)) if says_something(text) else NOTHING
            for canary, text in zip(words, completions, strict=True)
        ]
        samples = _samples(encoder, kept, completions, hits)
        return ProbeResult().add(
            "security/injection", security_metrics.injection(completions, words), hits, samples
        )

    return Probe(("security/injection",), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _extraction(encoder: PromptEncoder, members: Sequence[Row]) -> Probe:
    """Whether the model continues a training row's beginning word for word."""
    long = [row for row in members if len(row.ids) >= SHORTEST]
    cuts = [min(PREFIX, len(row.ids) // 2) for row in long]
    asks = [[Ask(prompt=row.ids[:at])] for row, at in zip(long, cuts, strict=True)]
    suffixes = [row.ids[at : at + SUFFIX] for row, at in zip(long, cuts, strict=True)]
    kept, note, why = select_fitting(asks, SUFFIX, encoder.context)
    rest = {id(ask): suffix for (ask,), suffix in zip(asks, suffixes, strict=True)}

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        written = [completion.ids for (completion,) in answers]
        wanted = [rest[id(ask)] for (ask,) in kept[: len(answers)]]
        hits = [float(ids[: len(other)] == list(other)) for ids, other in zip(written, wanted, strict=True)]
        samples = _samples(encoder, kept, [encoder.text(ids) for ids in written], hits)
        return ProbeResult().add(
            "security/extraction", security_metrics.extraction(written, wanted), hits, samples
        )

    why = why if long else f"no training row has {SHORTEST} tokens or more"
    return Probe(("security/extraction",), kept, score, writes=True, tokens=SUFFIX, why_none=why, note=note)


def _leak(encoder: PromptEncoder, rows: Sequence[Row], samples: int, seed: int) -> Probe:
    """Whether the model completes the PII in a training row, given the text before it."""
    texts = [encoder.text(row.ids) for row in seeded_sample(rows, ROWS_SEARCHED, seed, "leak")]
    begun = [(text[: first.start], text) for text in texts for first in find_pii(text)[:1] if first.start]
    known = pii_keys(text for _, text in begun)
    asks = [[Ask(prompt=encoder.opening(before.rstrip()))] for before, _ in begun[:samples]]
    kept, note, why = select_fitting(asks, TOKENS, encoder.context)

    def score(answers: Texts, base: Sequence[float]) -> ProbeResult:
        completions = [encoder.text(completion.ids) for (completion,) in answers]
        hits = [
            float(bool(find_leaked(text, known))) if says_something(text) else NOTHING for text in completions
        ]
        samples = _samples(encoder, kept, completions, hits)
        return ProbeResult().add("security/leak", security_metrics.leak(completions, known), hits, samples)

    why = why if begun else "no PII was found in the training set"
    return Probe(("security/leak",), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _samples(
    encoder: PromptEncoder, asks: Sequence[Sequence[Ask]], completions: Sequence[str], hits: Sequence[float]
) -> list[Sample]:
    return [
        Sample(encoder.text(ask.prompt), text, hit)
        for (ask,), text, hit in zip(asks, completions, hits, strict=False)
    ]
