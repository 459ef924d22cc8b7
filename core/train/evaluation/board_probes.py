"""The boards of a study: their probes, when they run, and the base's own values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from core.contract.spec.metric_limits import Limit
from core.contract.spec.study_spec import EvaluateOptions, StudySpec
from core.contract.text.sanitize import sanitize
from core.evaluate.prompts.study_prompts import Library
from core.evaluate.text.answer_judge import AnswerJudge
from core.evaluate.text.detector_quality import DetectorQuality
from core.evaluate.text.leaked_names import NameFinder
from core.evaluate.text.toxicity_scorer import (
    Scorer,
    measure_scorer_quality,
    measure_toxicity_quality,
    score_toxicity,
)
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.data.dataset import Data
from core.train.evaluation.custom_judge_model import load_judge
from core.train.evaluation.custom_toxicity_scorer import load_classifier
from core.train.evaluation.lm_eval_scoring import Tasks
from core.train.evaluation.person_name_classifier import load_name_finder
from core.train.evaluation.probe_runner import Life, Needs, score_probes
from core.train.probes import (
    bias_toxicity_probes,
    injection_leak_probes,
    privacy_probes,
    quality_probes,
    refusal_jailbreak_probes,
)
from core.train.probes.backdoor_triggers import Triggers
from core.train.probes.metric_probe import Probe
from core.train.probes.prompt_encoder import PromptEncoder, StudyForm


@dataclass(frozen=True)
class Detectors:
    """What judges texts: the scorer of toxicity and how often it is right, the judge of answers, and what
    finds people's names, None where nothing does."""

    scorer: Scorer
    quality: DetectorQuality
    judge: AnswerJudge
    names: NameFinder | None = None


class Boards:
    """The scoring questions of a study, the same for all trials and the base. ``detectors``: loaded already.

    Raises TrimtabError for an unusable prompt file, classifier or judge.
    """

    def __init__(self, spec: StudySpec, base: Base, data: Data, detectors: Detectors | None = None) -> None:
        section = spec.evaluate
        self._section = section
        encoder = PromptEncoder(base, StudyForm(data.system, data.kind))
        library = Library(section)
        self.detectors = detectors or _load_detectors(section, base)
        self.probes: list[Probe] = [
            _add_source_note(probe, library)
            for board, probes in _make_probes(spec, encoder, library, data, self.detectors)
            if board in section.boards
            for probe in probes
        ]
        named = _list_named(spec)
        self.tasks = Tasks(section, encoder, base.tokenizer, named) if section.tasks else None
        self.base_values: dict[str, list[float]] = {}
        self.base_samples: dict[tuple[str, ...], int] = {}  # of the base that are known, by probe
        self.base_is_over = False  # all its samples are known, or it cannot be scored: nothing waits for it

    def tier(self, writes: bool) -> list[Probe]:
        """The probes that score by likelihood, or by generated text."""
        return [probe for probe in self.probes if probe.writes == writes]

    def writes(self, evaluation: int, last: bool) -> bool:
        """Whether text is generated at a trial's ``evaluation``-th evaluation, or its ``last``."""
        return last or evaluation % self._section.generate_every == 0

    def select_probes(self, writes: bool) -> list[Probe]:
        """The probes of one scoring, with or without those that generate text."""
        return self.probes if writes else self.tier(False)

    def score(
        self, factors: Factors, writes: bool, enough: Callable[[], bool], trained: Collection[int] | None
    ) -> Life:
        """Score a snapshot that has seen the ``trained`` rows. Changes are known once the base has answered
        the same questions."""

        def base(needs: Needs) -> dict[str, list[float]] | None:
            known = all(self.base_samples.get(metrics, 0) >= count for metrics, count in needs.items())
            return self.base_values if known or self.base_is_over else None

        return score_probes(self.select_probes(writes), factors, base, enough, trained)


def _add_source_note(probe: Probe, library: Library) -> Probe:
    """The probe with a note on prompts that are neither packaged nor the user's."""
    sources = library.describe_sources(probe.metrics)
    return (
        replace(probe, note="; ".join(text for text in (probe.note, sources) if text)) if sources else probe
    )


def _load_detectors(section: EvaluateOptions, base: Base) -> Detectors:
    judge = load_judge(section.judge, base.device) if section.judge else AnswerJudge()
    names = load_name_finder(section.names, base.device) if section.names else None
    return Detectors(*_load_scorer(section, base), judge, names)


def _load_scorer(section: EvaluateOptions, base: Base) -> tuple[Scorer, DetectorQuality]:
    """The scorer of toxicity, and how often it is right."""
    if not section.classifier:
        return score_toxicity, measure_toxicity_quality()
    classifier = load_classifier(section.classifier, base.device)
    return classifier, measure_scorer_quality(classifier, f"classifier {sanitize(section.classifier, 60)}")


def _list_named(spec: StudySpec) -> set[str]:
    """The metrics of objectives, limits and constraints."""
    limits = (*spec.evaluate.limits, *spec.study.constraints)
    return {goal.metric for goal in spec.study.objectives} | {Limit.parse(text).metric for text in limits}


def _make_probes(
    spec: StudySpec,
    encoder: PromptEncoder,
    library: Library,
    data: Data,
    detectors: Detectors,
) -> Iterator[tuple[str, Iterator[Probe]]]:
    """The probes by board; nothing is encoded before they are taken."""
    samples, tokens, seed = spec.evaluate.samples, spec.evaluate.answer_tokens, spec.study.seed
    named = _list_named(spec)
    triggers = Triggers(spec.evaluate.triggers)
    arguments = (encoder, library, detectors.judge, samples, tokens, seed, triggers)
    rated = (encoder, library, detectors.scorer, detectors.quality, samples, seed, triggers)
    yield "quality", quality_probes.probes(encoder, library, data, samples, tokens, seed, named)
    yield "safety", bias_toxicity_probes.probes(*rated)
    yield "safety", refusal_jailbreak_probes.make_safety_probes(*arguments)
    yield "security", privacy_probes.probes(encoder, data, spec, samples, detectors.names)
    yield "security", refusal_jailbreak_probes.make_security_probes(*arguments)
    yield "security", injection_leak_probes.probes(encoder, library, samples, seed)
