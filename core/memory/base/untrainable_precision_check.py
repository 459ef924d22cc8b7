"""Refuses a precision that a base can be stored in but not trained in."""

from __future__ import annotations

from core.contract.spec.study_spec import StudySpec
from core.errors import SpecError


def refuse_untrainable(spec: StudySpec, location: str) -> None:
    """Raise SpecError for fp16: gradients of the adapters are summed over tokens in the base's type, which
    overflows beyond 65504 and loses what is below 6e-8, and no loss scale keeps them between."""
    if spec.model.precision != "fp16":
        return
    raise SpecError.of(
        "adapters cannot be trained on a base in fp16: sums of gradients overflow beyond 65504",
        f"{location} [model] precision = 'fp16'",
        "use 'bf16' on cards from Ampere on; on older cards 'fp32', or 'nf4', which computes in fp32 there",
    )
