"""The boards of a study: their probes, when they run, and the base's own values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.contract.spec.study_spec import StudySpec
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.text.toxicity_scorer import Scorer, toxicity
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.data.dataset import Data
from core.train.evaluation import quality_probes, safety_probes, security_probes
from core.train.evaluation.custom_classifier import load_classifier
from core.train.evaluation.eval_inputs import PromptEncoder
from core.train.evaluation.lm_eval_tasks import Tasks
from core.train.evaluation.metric_probe import Probe
from core.train.evaluation.probe_scoring import Life, score_probes


class Boards:
    """The scoring questions of a study, the same for all trials and the base.

    Raises TrimtabError for an unusable prompt file or classifier.
    """

    def __init__(self, spec: StudySpec, base: Base, data: Data) -> None:
        section, seed = spec.evaluate, spec.study.seed
        self._section = section
        scorer: Scorer = load_classifier(section.classifier, base.device) if section.classifier else toxicity
        encoder, library, count = PromptEncoder(base), Library(section), section.samples
        boards = {
            "quality": partial(quality_probes.probes, encoder, library, data, count, seed),
            "safety": partial(safety_probes.probes, encoder, library, scorer, count, seed),
            "security": partial(security_probes.probes, encoder, library, data, count, seed),
        }
        self.probes: list[Probe] = [
            probe for name in boards if name in section.boards for probe in boards[name]()
        ]
        self.tasks = Tasks(section, encoder, base.tokenizer) if section.tasks else None
        self.base_values: dict[str, list[float]] = {}
        self.known = {False: False, True: False}  # whether the base is scored, by likelihood and by text

    def tier(self, writes: bool) -> list[Probe]:
        """The probes that score by likelihood, or by generated text."""
        return [probe for probe in self.probes if probe.writes == writes]

    def writes(self, evaluation: int, last: bool) -> bool:
        """Whether text is generated at a trial's ``evaluation``-th evaluation, or its ``last``."""
        return last or evaluation % self._section.generate_every == 0

    def select_probes(self, writes: bool) -> list[Probe]:
        """The probes of one scoring, with or without those that generate text."""
        return self.probes if writes else self.tier(False)

    def score(self, mine: Factors, writes: bool, enough: Callable[[], bool]) -> Life:
        """Score a snapshot. Changes are known once the base has answered the same questions."""

        def base() -> dict[str, list[float]] | None:
            known = self.known[False] and (self.known[True] or not writes)
            return self.base_values if known else None

        return score_probes(self.select_probes(writes), mine, base, enough)
