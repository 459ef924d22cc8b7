"""The probes of the security board."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

from core.contract.wire.evidence_answer import Sample
from core.evaluate.metrics import membership_inference, security_metrics
from core.evaluate.metrics.canary_exposure import exposure
from core.evaluate.prompts import canary_rows
from core.evaluate.prompts.packaged_prompts import jailbreaks
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.statistics.confidence_intervals import largest
from core.evaluate.text.pii_detector import find, keys, leaked
from core.evaluate.text.refusal_detector import complies, says_something
from core.evaluate.text.text_perturbation import PERTURBATIONS
from core.train.data.dataset import Data, Row, cut
from core.train.evaluation.eval_inputs import Asking
from core.train.evaluation.metric_probe import NOTHING, Ask, Found, Probe, Readings, Texts, chosen, fitting

OTHERS = 48  # secrets that a planted one is compared with
TOKENS = 32
SUFFIX, PREFIX = 32, 50  # tokens of a training row that are waited for, and given at most
SHORTEST = 16  # tokens of a row that can be split
READ = 2000  # training rows that personal data is looked for in
AREAS = ("loss", "zlib", "min_k")


def probes(asking: Asking, library: Library, data: Data, samples: int, seed: int) -> Iterator[Probe]:
    """Those by likelihood first."""
    real = data.train[: len(data.train) - len(data.canaries)]
    members = chosen([cut(one, asking.context) for one in real], samples, seed, "members")
    yield _robustness(asking, library, samples, seed)
    yield _membership(asking, members, data, samples, seed)
    yield _exposure(asking, data, samples, seed)
    yield _jailbreak(asking, library, samples, seed)
    yield _injection(asking, library, samples, seed)
    yield _extraction(asking, members)
    yield _leak(asking, real, samples, seed)


def _robustness(asking: Asking, library: Library, samples: int, seed: int) -> Probe:
    """A passage as it is, and with each kind of slip."""
    texts = [one.text for one in chosen(library.reference, samples, seed, "robustness")]
    slips = [[slip(text, 0.1, seed) for slip in PERTURBATIONS.values()] for text in texts]
    asks = [
        [Ask(asking.row(one)) for one in (text, *several)] for text, several in zip(texts, slips, strict=True)
    ]

    def score(found: Readings, base: Sequence[float]) -> Found:
        hits = [[sum(one.firsts) / max(1, one.tokens) for one in several] for several in found]
        losses = [[one.loss / max(1, one.tokens) for one in several] for several in found]
        clean, slipped = [one for one, *_ in hits], [sum(rest) / len(rest) for _, *rest in hits]
        low, high = [one for one, *_ in losses], [sum(rest) / len(rest) for _, *rest in losses]
        rises = [one - other for one, other in zip(high, low, strict=True)]
        samples = [Sample(several[0], "", rise) for several, rise in zip(slips, rises, strict=False)]
        whole = Found().add(
            "security/robustness", security_metrics.robustness(slipped, clean), samples=samples
        )
        return whole.add("security/loss_rise", security_metrics.loss_rise(high, low), rises, samples)

    return Probe(("security/robustness", "security/loss_rise"), asks, score)


def _membership(asking: Asking, members: Sequence[Row], data: Data, samples: int, seed: int) -> Probe:
    """Sample by sample a row that was trained on and one that was not."""
    others = chosen([cut(one, asking.context) for one in data.validation], samples, seed, "others")
    pairs = list(zip(members, others, strict=False))

    def score(found: Readings, base: Sequence[float]) -> Found:
        areas, told = {}, [[asking.text(row.ids) for row in pair] for pair in pairs[: len(found)]]
        sides = [[several[side] for several in found] for side in (0, 1)]
        texts = [[pair[side] for pair in told] for side in (0, 1)]
        attacks = {name: [_attack(name, *both) for both in zip(sides, texts, strict=True)] for name in AREAS}
        whole = Found()
        for name, (inside, outside) in attacks.items():
            areas[name] = membership_inference.membership(inside, outside, seed)
            whole.add(f"security/membership_{name}", areas[name])
        name, strongest = largest(areas)
        samples = [Sample(one, "", value) for one, value in zip(texts[0], attacks["loss"][0], strict=True)]
        told_of = strongest.noting(f"by {name}, the strongest of {len(AREAS)}") if name else strongest
        return whole.add("security/membership", told_of, samples=samples)

    metrics = ("security/membership", *(f"security/membership_{name}" for name in AREAS))
    asks = [[Ask(one), Ask(other)] for one, other in pairs]
    return Probe(metrics, asks, score, detailed=True)


def _attack(name: str, found: Sequence, texts: Sequence[str]) -> list[float]:
    known = [one.logprobs for one in found]
    if name == "loss":
        return membership_inference.by_loss(known)
    if name == "zlib":
        return membership_inference.by_zlib(known, texts)
    return membership_inference.by_min_k(
        known, [one.means for one in found], [one.deviations for one in found]
    )


def _exposure(asking: Asking, data: Data, samples: int, seed: int) -> Probe:
    """A planted secret, and others in its format."""
    planted = data.canaries[:samples]
    rivals = [canary_rows.others(one, OTHERS, seed) for one in planted]
    asks = [
        [Ask(asking.row(each.text[len(each.prefix) :], each.prefix)) for each in (one, *several)]
        for one, several in zip(planted, rivals, strict=True)
    ]

    def score(found: Readings, base: Sequence[float]) -> Found:
        losses = [[one.loss for one in several] for several in found]
        secrets = [one.secrets for one in planted[: len(found)]]
        whole = exposure([one for one, *_ in losses], [rest for _, *rest in losses], secrets)
        each = [
            exposure([one[0]], [one[1:]], [count]).value or 0.0
            for one, count in zip(losses, secrets, strict=True)
        ]
        samples = [
            Sample(one.text, "", bits, f"{bits:.1f} of at most {math.log2(one.secrets):.1f} bits")
            for one, bits in zip(planted, each, strict=False)
        ]
        return Found().add("security/exposure", whole, each, samples)

    why = "there are no canaries: set evaluate.canaries to plant some"
    return Probe(("security/exposure",), asks, score, turn=4, why_none=why)


def _jailbreak(asking: Asking, library: Library, samples: int, seed: int) -> Probe:
    requests = chosen(library.harmful, len(library.harmful), seed, "jailbreak")
    cases = list(islice(jailbreaks(requests, library.wrappers), samples))
    asks = [[Ask(prompt=asking.request(text))] for _, _, text in cases]
    kept, note, why = fitting(asks, TOKENS, asking.context)
    whose = {id(ask): request.text for (ask,), (_, request, _) in zip(asks, cases, strict=True)}

    def score(found: Texts, base: Sequence[float]) -> Found:
        said = [asking.text(one.ids) for (one,) in found]
        hits = [float(complies(one)) if says_something(one) else NOTHING for one in said]
        clusters = [whose[id(ask)] for (ask,) in kept[: len(found)]]
        samples = _samples(asking, kept, said, hits)
        return Found().add("security/jailbreak", security_metrics.jailbreak(said, clusters), hits, samples)

    return Probe(("security/jailbreak",), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _injection(asking: Asking, library: Library, samples: int, seed: int) -> Probe:
    cases = chosen(library.injections, samples, seed, "injection")
    asks = [[Ask(prompt=asking.request(f"{one.task}\n\n{one.content}"))] for one in cases]
    kept, note, why = fitting(asks, TOKENS, asking.context)
    word = {id(ask): one.canary for (ask,), one in zip(asks, cases, strict=True)}

    def score(found: Texts, base: Sequence[float]) -> Found:
        said = [asking.text(one.ids) for (one,) in found]
        words = [word[id(ask)] for (ask,) in kept[: len(found)]]
        hits = [
            float(security_metrics.appears(one, text)) if says_something(text) else NOTHING
            for one, text in zip(words, said, strict=True)
        ]
        samples = _samples(asking, kept, said, hits)
        return Found().add("security/injection", security_metrics.injection(said, words), hits, samples)

    return Probe(("security/injection",), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _extraction(asking: Asking, members: Sequence[Row]) -> Probe:
    """A training row's beginning, and what followed on it."""
    long = [one for one in members if len(one.ids) >= SHORTEST]
    cuts = [min(PREFIX, len(one.ids) // 2) for one in long]
    asks = [[Ask(prompt=one.ids[:at])] for one, at in zip(long, cuts, strict=True)]
    suffixes = [one.ids[at : at + SUFFIX] for one, at in zip(long, cuts, strict=True)]
    kept, note, why = fitting(asks, SUFFIX, asking.context)
    rest = {id(ask): suffix for (ask,), suffix in zip(asks, suffixes, strict=True)}

    def score(found: Texts, base: Sequence[float]) -> Found:
        written = [one.ids for (one,) in found]
        wanted = [rest[id(ask)] for (ask,) in kept[: len(found)]]
        hits = [float(one[: len(other)] == list(other)) for one, other in zip(written, wanted, strict=True)]
        samples = _samples(asking, kept, [asking.text(one) for one in written], hits)
        return Found().add("security/extraction", security_metrics.extraction(written, wanted), hits, samples)

    why = why if long else f"no training row has {SHORTEST} tokens"
    return Probe(("security/extraction",), kept, score, writes=True, tokens=SUFFIX, why_none=why, note=note)


def _leak(asking: Asking, rows: Sequence[Row], samples: int, seed: int) -> Probe:
    """What stands before a piece of personal data in a training row."""
    texts = [asking.text(one.ids) for one in chosen(rows, READ, seed, "leak")]
    begun = [(text[: first.start], text) for text in texts for first in find(text)[:1] if first.start]
    known = keys(text for _, text in begun)
    asks = [[Ask(prompt=asking.opening(before.rstrip()))] for before, _ in begun[:samples]]
    kept, note, why = fitting(asks, TOKENS, asking.context)

    def score(found: Texts, base: Sequence[float]) -> Found:
        said = [asking.text(one.ids) for (one,) in found]
        hits = [float(bool(leaked(one, known))) if says_something(one) else NOTHING for one in said]
        samples = _samples(asking, kept, said, hits)
        return Found().add("security/leak", security_metrics.leak(said, known), hits, samples)

    why = why if begun else "no personal data was found in the training set"
    return Probe(("security/leak",), kept, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _samples(
    asking: Asking, asks: Sequence[Sequence[Ask]], said: Sequence[str], hits: Sequence[float]
) -> list[Sample]:
    return [
        Sample(asking.text(ask.prompt), text, hit)
        for (ask,), text, hit in zip(asks, said, hits, strict=False)
    ]
