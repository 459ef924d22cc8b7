"""The parts of a pack: one base, and what trains, scores and saves the trials on it."""

from __future__ import annotations

from dataclasses import dataclass

from core.contract.spec.study_spec import StudySpec
from core.train.adapters.adaptable_layers import find_adaptable
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.multi_lora_linear import Gate
from core.train.adapters.reload_check import ReloadCheck
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Place
from core.train.base.shared_pass_check import Survey
from core.train.data.dataset import Data
from core.train.introspection.background_inspection import BackgroundInspection
from core.train.introspection.row_inspection import Inspection
from core.train.introspection.trial_introspection import Introspector
from core.train.kernels import float32_products
from core.train.pack.pack_checkpoints import Checkpointer
from core.train.pack.pack_members import Members
from core.train.pack.pack_meter import ThroughputMeter
from core.train.pack.pack_round import Rounds
from core.train.pack.pack_scoring_bridge import PackScoring
from core.train.reporter import Emit, Reporter
from core.train.scoring.scoring_budget import Budget
from core.train.step.forward_pass import Forward
from core.train.step.padding_free_check import check_padding_free


@dataclass
class PackParts:
    """What the classes of a pack share."""

    spec: StudySpec
    base: Base
    data: Data
    reporter: Reporter
    survey: Survey
    places: list[Place]
    stack: Stack
    rounds: Rounds
    inspections: BackgroundInspection
    keeper: Checkpointer
    meter: ThroughputMeter
    budget: Budget
    scoring: PackScoring
    members: Members


def build(spec: StudySpec, base: Base, data: Data, emit: Emit) -> PackParts:
    """Put gates into the base's layers, and build the parts that use them."""
    reporter = Reporter(spec.study.name, emit)
    note = float32_products.choose_products(base.device, base.model.dtype, spec.model.tf32)
    if note:
        reporter.note(note)
    survey, places = find_adaptable(base, reporter.warn)
    stack = Stack(base.model.dtype, base.device)
    for note in stack.path.notes:
        reporter.warn(note)
    modules = dict(base.model.named_modules())
    for place in places:
        Gate(modules[place.name], place, stack)
    forward = Forward(base, stack, survey.head)
    rounds = Rounds(base, stack, forward)
    if base.device.type == "cuda":  # on a CPU a pass costs so little that rows of like length share it
        rounds.padding_free, note = check_padding_free(base, stack.path, survey)
        if note:
            reporter.note(note)
    apart = Stack(base.model.dtype, base.device, stack)  # a trial is inspected as a copy
    inspection = Inspection(base, Forward(base, apart, survey.head))
    introspector = Introspector(spec, base, data, inspection)
    longest = max((len(row.ids) for row in [*data.train, *(data.anonymised or ())]), default=0)
    keeper = Checkpointer(spec, base, reporter, ReloadCheck(base, stack, data.validation[0].ids.tolist()))
    meter = ThroughputMeter(base, stack, longest, reporter)
    budget = Budget(spec.evaluate.budget)
    inspections = BackgroundInspection(introspector, apart, budget)
    scoring = PackScoring(spec, base, data, places, stack, survey, keeper, reporter, budget)
    members = Members(stack)
    return PackParts(
        spec, base, data, reporter, survey, places, stack, rounds, inspections, keeper, meter,
        budget, scoring, members,
    )  # fmt: skip
