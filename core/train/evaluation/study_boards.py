"""The boards of a study: their probes, when they are asked, and what the base itself answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.contract.spec.study_spec import Spec
from core.evaluate.prompts.prompt_library import Library
from core.evaluate.text.toxicity_scorer import Scorer, toxicity
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.data.dataset import Data
from core.train.evaluation import quality_probes, safety_probes, security_probes
from core.train.evaluation.custom_classifier import load_classifier
from core.train.evaluation.eval_inputs import Asking
from core.train.evaluation.lm_eval_tasks import Tasks
from core.train.evaluation.metric_probe import Probe
from core.train.evaluation.probe_scoring import Life, scoring


class Boards:
    """What trials are asked beside the validation rows: all trials of a study, and its base, the same.

    Raises TrimtabError for a file of prompts or a classifier that is of no use.
    """

    def __init__(self, spec: Spec, base: Base, data: Data) -> None:
        section, seed = spec.evaluate, spec.study.seed
        self._section = section
        scorer: Scorer = load_classifier(section.classifier, base.device) if section.classifier else toxicity
        asking, library, count = Asking(base), Library(section), section.samples
        boards = {
            "quality": partial(quality_probes.probes, asking, library, data, count, seed),
            "safety": partial(safety_probes.probes, asking, library, scorer, count, seed),
            "security": partial(security_probes.probes, asking, library, data, count, seed),
        }
        self.probes: list[Probe] = [
            probe for name in boards if name in section.boards for probe in boards[name]()
        ]
        self.tasks = Tasks(section, asking, base.tokenizer) if section.tasks else None
        self.base_values: dict[str, list[float]] = {}
        self.known = {False: False, True: False}  # is the base scored, by likelihood and by text?

    def tier(self, writes: bool) -> list[Probe]:
        """The probes by likelihood, or by generated text."""
        return [probe for probe in self.probes if probe.writes == writes]

    def writes(self, evaluation: int, last: bool) -> bool:
        """Are texts generated at a trial's ``evaluation``-th, or its ``last``?"""
        return last or evaluation % self._section.generate_every == 0

    def asked(self, writes: bool) -> list[Probe]:
        """The probes of one scoring, those that generate text with it or not."""
        return self.probes if writes else self.tier(False)

    def score(self, mine: Factors, writes: bool, enough: Callable[[], bool]) -> Life:
        """Score a snapshot. What changed is known once the base has answered the same."""

        def base() -> dict[str, list[float]] | None:
            known = self.known[False] and (self.known[True] or not writes)
            return self.base_values if known else None

        return scoring(self.asked(writes), mine, base, enough)
