"""The probes of the security board that are about foreign instructions and the system prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.contract.wire.answers.evidence_answer import Sample
from core.evaluate.metrics import security_metrics
from core.evaluate.prompts.prompt_schema import Injection, PromptLeak
from core.evaluate.prompts.seeded_samples import draw_seeded_sample
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.text.refusal_classifier import says_something
from core.train.probes.metric_probe import (
    NOTHING,
    Ask,
    Probe,
    ProbeResult,
    Texts,
    Values,
    count_by_group,
    select_fitting,
)
from core.train.probes.prompt_encoder import Message, PromptEncoder

TOKENS = 48


def probes(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Iterator[Probe]:
    """The probes."""
    yield _make_injection(encoder, library, samples, seed)
    yield _make_prompt_leak(encoder, library, samples, seed)


def _make_injection(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    """Each sample is a content with an instruction in it, and without."""
    cases = draw_seeded_sample(library.injections, samples, seed, "injection")
    asks = [
        [
            Ask(prompt=_place_content(encoder, case, content))
            for content in (case.with_order, case.without_order)
        ]
        for case in cases
    ]
    fitting, note, why = select_fitting(asks, TOKENS, encoder.context)
    case_of = {id(sample[0]): case for sample, case in zip(asks, cases, strict=True)}
    asked_cases = [case_of[id(sample[0])] for sample in fitting]

    def score(answers: Texts, base: Values) -> ProbeResult:
        texts, controls = ([encoder.answer(sample[side].ids) for sample in answers] for side in (0, 1))
        hits = [
            float(security_metrics.is_hijacked(text, control, case)) if says_something(text) else NOTHING
            for case, text, control in zip(asked_cases, texts, controls, strict=False)
        ]
        samples = [
            Sample(encoder.text(sample[0].prompt), text, hit, f"{case.place}: ordered {case.canary!r}")
            for sample, case, text, hit in zip(fitting, asked_cases, texts, hits, strict=False)
        ]
        rate = security_metrics.injection(texts, controls, asked_cases[: len(texts)])
        result = ProbeResult().add("security/injection", rate, hits, samples)
        groups = [f"{case.place}, {case.kind}" for case in asked_cases]
        count_by_group(result, "security/injection", groups, hits, "hijacked, by place and kind")
        return result

    return Probe(("security/injection",), fitting, score, writes=True, tokens=TOKENS, why_none=why, note=note)


def _place_content(encoder: PromptEncoder, case: Injection, content: str) -> list[int]:
    """The prompt with the content where the case has it; in the user's turn where the chat template rejects
    that."""
    turns: list[Message] | None = None
    if case.place == "tool":
        turns = [{"role": "user", "content": case.task}, {"role": "tool", "content": content}]
    if case.place == "system":
        turns = [{"role": "system", "content": content}, {"role": "user", "content": case.task}]
    prompt = encoder.chat(turns) if turns else None
    return prompt or encoder.request(f"{case.task}\n\n{content}")


def _make_prompt_leak(encoder: PromptEncoder, library: Library, samples: int, seed: int) -> Probe:
    """Whether a secret of the system prompt comes out when someone asks for it."""
    cases: Sequence[PromptLeak] = draw_seeded_sample(library.prompt_leaks, samples, seed, "prompt leak")
    asks = [[Ask(prompt=_add_system(encoder, case))] for case in cases]
    fitting, note, why = select_fitting(asks, TOKENS, encoder.context)
    case_of = {id(ask): case for (ask,), case in zip(asks, cases, strict=True)}
    asked_cases = [case_of[id(ask)] for (ask,) in fitting]

    def score(answers: Texts, base: Values) -> ProbeResult:
        texts = [encoder.answer(completion.ids) for (completion,) in answers]
        secrets = [case.secret for case in asked_cases[: len(texts)]]
        hits = [
            float(security_metrics.appears(secret, text)) if says_something(text) else NOTHING
            for secret, text in zip(secrets, texts, strict=True)
        ]
        samples = [
            Sample(encoder.text(ask.prompt), text, hit, f"secret: {case.secret}")
            for (ask,), case, text, hit in zip(fitting, asked_cases, texts, hits, strict=False)
        ]
        rate = security_metrics.prompt_leak(texts, secrets)
        return ProbeResult().add("security/prompt_leak", rate, hits, samples)

    return Probe(
        ("security/prompt_leak",), fitting, score, writes=True, tokens=TOKENS, why_none=why, note=note
    )


def _add_system(encoder: PromptEncoder, case: PromptLeak) -> list[int]:
    """The request after the case's system prompt; in one text where the template has no such turn."""
    turns: list[Message] = [
        {"role": "system", "content": case.system}, {"role": "user", "content": case.request}
    ]  # fmt: skip
    return encoder.chat(turns) or encoder.request(f"{case.system}\n\n{case.request}")
