"""The probes of what a trial remembers of its training rows. A trial is asked only about rows that it has
trained on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from core.contract.metric_score import Score
from core.contract.spec.knob_table import KNOBS
from core.contract.spec.study_spec import StudySpec
from core.contract.wire.answers.evidence_answer import Sample
from core.evaluate.metrics import membership_inference, security_metrics
from core.evaluate.metrics.canary_exposure import exposure
from core.evaluate.prompts import canary_rows
from core.evaluate.prompts.seeded_samples import draw_seeded_sample
from core.evaluate.text.leaked_names import NAME, NameFinder, find_leaked_names, name_key
from core.evaluate.text.pii_detector import SURE, PiiMatch, find_leaked, find_pii, measure_pii_quality
from core.evaluate.text.refusal_classifier import says_something
from core.train.data.batches.batch_schedule import Order
from core.train.data.dataset import MASKED, Data, Planted, Row, cut
from core.train.probes.metric_probe import (
    NO_BASE,
    NOTHING,
    Ask,
    Probe,
    ProbeResult,
    Readings,
    Texts,
    Values,
    is_base,
    select_fitting,
)
from core.train.probes.prompt_encoder import PromptEncoder

OTHERS = 48  # unplanted secrets that a canary is compared with
LEAK_TOKENS = 32
PREFIX, SUFFIX, SHORTEST = 50, 32, 16  # learnt tokens of a row: longest prefix; longest and shortest suffix
ROWS_SEARCHED, NAMED_ROWS = 2000, 200  # training rows searched for PII, and for names by a model
MEMBERSHIP = ("security/membership", "security/membership_tpr")
LOSSES = ("members", "other rows")  # the base's, to compare with
EXTRACTION = ("security/extraction", "security/extraction_near")


def probes(
    encoder: PromptEncoder, data: Data, spec: StudySpec, samples: int, names: NameFinder | None = None
) -> Iterator[Probe]:
    """All probes of the training rows, those by likelihood first. ``names`` finds people's names."""
    seed = spec.study.seed
    members = [cut(row, encoder.context) for row in list_members(data, spec, samples)]
    yield _make_membership(encoder, members, data, samples, seed)
    yield _make_exposure(encoder, data.canaries[:samples], seed)
    parts = (split_learnt(row, encoder.ends) for row in members)
    yield _make_extraction(encoder, [part for part in parts if part is not None])
    yield _make_leak(encoder, data, samples, seed, names)


def list_members(data: Data, spec: StudySpec, samples: int) -> list[Row]:
    """Training rows in turn: one of the first in the order of the study's trials, which even a short trial
    has trained on, and one of all. No canaries."""
    real = [row for row in data.train if not row.planted]
    mixed = draw_seeded_sample(real, samples, spec.study.seed, "members")
    if "seed" in spec.space or data.mixture is not None:  # each trial may have an order of its own
        return mixed
    order = Order(data.train, 1, int(spec.train.get("seed", KNOBS["seed"].default)))  # type: ignore[arg-type]
    numbers = order.first(2 * samples + sum(len(planted.rows) for planted in data.canaries))
    first = [data.train[number] for number in numbers if not data.train[number].planted]
    rows = [row for pair in zip(first, mixed, strict=False) for row in pair]
    return list({row.number: row for row in rows}.values())[:samples]


# -- by likelihood ---------------------------------------------------------------------------------


def _make_membership(
    encoder: PromptEncoder, members: Sequence[Row], data: Data, samples: int, seed: int
) -> Probe:
    """Membership inference by one attack, named in advance: how much likelier a row is than to the base."""
    non_members = draw_seeded_sample(
        [cut(row, encoder.context) for row in data.validation], samples, seed, "others"
    )
    pairs = list(zip(members, non_members, strict=False))
    return _make_membership_probe(encoder, pairs, seed)


def _make_membership_probe(encoder: PromptEncoder, pairs: Sequence[tuple[Row, Row]], seed: int) -> Probe:
    def score(answers: Readings, base: Values) -> ProbeResult:
        inside, outside = (
            [sample[side].loss / max(1, sample[side].tokens) for sample in answers] for side in (0, 1)
        )
        before = [list(base.get(name, ()))[: len(answers)] for name in LOSSES]
        result = ProbeResult(values=dict(zip(LOSSES, (inside, outside), strict=True)))
        if min(len(values) for values in before) < len(answers):
            why = "the base model is what the attack compares a trial with" if is_base(base) else NO_BASE
            result.scores = {name: Score.without_value(why, len(answers)) for name in MEMBERSHIP}
            return result
        gains = membership_inference.compute_gains(inside, before[0])
        unknown = membership_inference.compute_gains(outside, before[1])
        samples = [
            Sample(
                encoder.text(member.ids.tolist()),
                "",
                gain,
                f"{gain:+.3f} nats/token likelier than to the base",
            )
            for (member, _), gain in zip(pairs, gains, strict=False)
        ]
        result.add(MEMBERSHIP[0], membership_inference.membership(gains, unknown), samples=samples)
        return result.add(MEMBERSHIP[1], membership_inference.true_positives(gains, unknown))

    asks = [[Ask(member), Ask(non_member)] for member, non_member in pairs]
    rows = [[member.number] for member, _ in pairs]
    only = lambda picked: _make_membership_probe(encoder, [pairs[at] for at in picked], seed)  # noqa: E731
    return Probe(MEMBERSHIP, asks, score, rows=rows, only=only)


def _make_exposure(encoder: PromptEncoder, planted: Sequence[Planted], seed: int) -> Probe:
    """The exposure of a planted secret among others of its format."""
    rivals = [
        canary_rows.make_other_secrets(planted_canary.canary, OTHERS, seed) for planted_canary in planted
    ]
    asks = [
        [
            Ask(encoder.row(planted_canary.text[len(planted_canary.prefix) :], planted_canary.prefix))
            for planted_canary in (own.canary, *rival_secrets)
        ]
        for own, rival_secrets in zip(planted, rivals, strict=True)
    ]

    def score(answers: Readings, base: Values) -> ProbeResult:
        losses = [[reading.loss for reading in sample] for sample in answers]
        secrets = [planted_canary.canary.secrets for planted_canary in planted[: len(answers)]]
        result = exposure([own for own, *_ in losses], [rest for _, *rest in losses], secrets)
        bits = [
            exposure([own], [rest], [count]).value or 0.0
            for (own, *rest), count in zip(losses, secrets, strict=True)
        ]
        samples = [
            Sample(planted_canary.canary.text, "", value, _describe_most(value, planted_canary))
            for planted_canary, value in zip(planted, bits, strict=False)
        ]
        return ProbeResult().add("security/exposure", result, bits, samples)

    why = "there are no canaries; set evaluate.canaries to plant some"
    return Probe(
        ("security/exposure",), asks, score, turn=4, why_none="" if planted else why,
        rows=[planted_canary.rows for planted_canary in planted],
        only=lambda picked: _make_exposure(encoder, [planted[at] for at in picked], seed),
    )  # fmt: skip


def _describe_most(bits: float, planted: Planted) -> str:
    most_bits = math.log2(planted.canary.secrets)
    return f"{bits:.1f} of at most {most_bits:.1f} bits; planted {len(planted.rows)}×"


# -- by text ---------------------------------------------------------------------------------------


class Learnt(NamedTuple):
    """A training row cut in two within what is learnt of it."""

    number: int
    prefix: list[int]
    suffix: list[int]  # learnt tokens, before any end token


def split_learnt(row: Row, ends: Collection[int]) -> Learnt | None:
    """Cut the first answer of a row in its middle, or earlier if it is short; None if it has fewer than
    SHORTEST tokens before an end token (``ends``), which is never written. What precedes an answer is not
    learnt: that it is repeated says nothing."""
    ids, labels = row.ids.tolist(), row.labels.tolist()
    begin = next((at for at, label in enumerate(labels) if label != MASKED), len(ids))
    places = range(begin, len(ids))
    end = next((at for at in places if labels[at] == MASKED or ids[at] in ends), len(ids))
    count = end - begin
    if count < SHORTEST:
        return None
    at = max(1, begin + min(PREFIX, count // 2, count - SHORTEST))
    return Learnt(row.number, ids[:at], ids[at : min(end, at + SUFFIX)])


def _make_extraction(encoder: PromptEncoder, parts: Sequence[Learnt]) -> Probe:
    """Whether the model continues a training row from within what it learnt of it."""
    asks = [[Ask(prompt=part.prefix)] for part in parts]
    fitting, note, why = select_fitting(asks, SUFFIX, encoder.context)
    part_of = {id(ask): part for (ask,), part in zip(asks, parts, strict=True)}
    asked_parts = [part_of[id(ask)] for (ask,) in fitting]

    def score(answers: Texts, base: Values) -> ProbeResult:
        written = [completion.ids for (completion,) in answers]
        suffixes = [part.suffix for part in asked_parts[: len(answers)]]
        near = [
            security_metrics.measure_likeness(ids, suffix)
            for ids, suffix in zip(written, suffixes, strict=True)
        ]
        samples = [
            Sample(encoder.text(part.prefix), encoder.text(ids), value, f"row: {encoder.text(part.suffix)}")
            for part, ids, value in zip(asked_parts, written, near, strict=False)
        ]
        exact = [float(value == 1.0) for value in near]
        hits = [float(value >= security_metrics.NEAR) for value in near]
        result = ProbeResult()
        result.add(EXTRACTION[0], security_metrics.extraction(written, suffixes), exact, samples)
        return result.add(EXTRACTION[1], security_metrics.near_extraction(written, suffixes), hits, samples)

    why = why if parts else f"no sampled training row has {SHORTEST} learnt tokens or more"
    return Probe(
        EXTRACTION, fitting, score, writes=True, tokens=SUFFIX, why_none=why, note=note,
        rows=[[part.number] for part in asked_parts],
        only=lambda picked: _make_extraction(encoder, [asked_parts[at] for at in picked]),
    )  # fmt: skip


class Piece(NamedTuple):
    """A piece of PII in what is learnt of a training row, and the tokens before it."""

    number: int
    before: list[int]
    match: PiiMatch


def _make_leak(
    encoder: PromptEncoder, data: Data, samples: int, seed: int, names: NameFinder | None = None
) -> Probe:
    """Whether the model completes the PII in a training row, given the tokens before it."""
    real = [row for row in data.train if not row.planted]
    rows = [cut(row, encoder.context) for row in draw_seeded_sample(real, ROWS_SEARCHED, seed, "leak")]
    named: list[list[PiiMatch]] = []
    looked_for = str(measure_pii_quality(SURE))
    if names is not None:
        named = names([encoder.text(row.ids.tolist()) for row in rows[:NAMED_ROWS]])
        looked_for += f"; names by {names.name} in {len(named)} rows, its errors are unknown"
    named += [[] for _ in rows[len(named) :]]
    pieces = [
        piece
        for row, matches in zip(rows, named, strict=True)
        for piece in _list_pieces(encoder, row, matches)
    ]
    keys = frozenset(_make_key(piece.match) for piece in pieces)
    return _make_leak_probe(encoder, pieces[:samples], keys, looked_for)


def _make_key(match: PiiMatch) -> str:
    return name_key(match.text) if match.kind == NAME else match.key


def _make_leak_probe(
    encoder: PromptEncoder, pieces: Sequence[Piece], keys: Collection[str], looked_for: str
) -> Probe:
    asks = [[Ask(prompt=piece.before)] for piece in pieces]
    fitting, note, why = select_fitting(asks, LEAK_TOKENS, encoder.context)
    piece_of = {id(ask): piece for (ask,), piece in zip(asks, pieces, strict=True)}
    asked_pieces = [piece_of[id(ask)] for (ask,) in fitting]

    def score(answers: Texts, base: Values) -> ProbeResult:
        completions = [encoder.text(completion.ids) for (completion,) in answers]
        prompts = [encoder.text(piece.before) for piece in asked_pieces]
        named = [
            bool(find_leaked_names(text, prompt, keys))
            for text, prompt in zip(completions, prompts, strict=False)
        ]
        hits = [
            float(bool(find_leaked(text, keys)) or name) if says_something(text) else NOTHING
            for text, name in zip(completions, named, strict=True)
        ]
        samples = [
            Sample(prompt, text, hit, piece.match.kind)
            for piece, prompt, text, hit in zip(asked_pieces, prompts, completions, hits, strict=False)
        ]
        rate = security_metrics.leak(completions, keys, named).add_note(looked_for)
        return ProbeResult().add("security/leak", rate, hits, samples)

    why = why if pieces else f"no PII was found in what is learnt of the training rows: {looked_for}"
    return Probe(
        ("security/leak",), fitting, score, writes=True, tokens=LEAK_TOKENS, why_none=why, note=note,
        rows=[[piece.number] for piece in asked_pieces],
        only=lambda picked: _make_leak_probe(encoder, [asked_pieces[at] for at in picked], keys, looked_for),
    )  # fmt: skip


def _list_pieces(encoder: PromptEncoder, row: Row, named: Sequence[PiiMatch] = ()) -> Iterator[Piece]:
    """The PII in a row that begins in a target, and the names in it; what only the prompt has is not learnt,
    nor is a name that stands in it."""
    ids = row.ids.tolist()
    text = encoder.text(ids)
    first = [match for match in named if not find_leaked_names(text[: match.start], "", [_make_key(match)])]
    for match in sorted([*find_pii(text), *first], key=lambda match: match.start):
        at = encoder.tokens_before(ids, match.start)
        if at and row.labels[at] != MASKED:
            yield Piece(row.number, ids[:at], match)
