"""Finds the layers that can have an adapter that trains and that PEFT can load; warns about all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from core.contract.text.sanitize import sanitize
from core.train.adapters.reload_check import copy_modules
from core.train.base import factor_matrix_layout
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Place
from core.train.base.shared_pass_check import Survey, survey
from core.train.quiet_libraries import load_peft

SHOWN = 4  # kinds in one message
SMALL = 0.001  # share of all weights below which a layer kind is not worth a warning


def find_adaptable(base: Base, warn: Callable[[str], None]) -> tuple[Survey, list[Place]]:
    """Probe the base model, and find its linear layers that it calls and that PEFT supports. All others are
    reported to ``warn``."""
    places = factor_matrix_layout.find(base.model)
    probed = survey(base, places)
    called = [place for place in places if place.index not in probed.idle]
    idle = dict.fromkeys(place.kind for place in places if place.index in probed.idle)
    refused = _find_refused(base, called)
    other_kinds = [
        f"{kind} ({share:.1%} of the weights)" for kind, share in _list_other_weights(base, places).items()
    ]
    for kinds, why in (
        (list(refused), f"PEFT cannot load an adapter there ({next(iter(refused.values()), '')})"),
        (list(idle), "the model does not call it as a layer"),
        (other_kinds, "it is not a linear layer, and stays frozen"),
    ):
        if kinds:
            more_kinds = f" and {len(kinds) - SHOWN} more" if len(kinds) > SHOWN else ""
            warn(f"no adapter is put on {', '.join(kinds[:SHOWN])}{more_kinds}: {why}")
    return probed, [place for place in called if place.kind not in refused]


def _find_refused(base: Base, called: Sequence[Place]) -> dict[str, str]:
    """The kinds of layers that PEFT does not support, with its reason."""
    first = {place.kind: place for place in reversed(called)}
    if not first or not _explain_refusal(base, list(first.values())):
        return {}
    reasons = ((kind, _explain_refusal(base, [place])) for kind, place in first.items())
    return {kind: why for kind, why in reasons if why}


def _explain_refusal(base: Base, places: Sequence[Place]) -> str:
    """Why PEFT cannot put adapters on these layers; "" if it can."""
    load_peft()
    from peft import LoraConfig, inject_adapter_in_model

    names = [place.name for place in places]
    config = LoraConfig(r=1, target_modules=names, fan_in_fan_out=base.transposed)
    try:
        _convert(config, base.model)
        if set(config.target_modules or ()) != {*names}:
            return "PEFT takes its name for that of an expert, and would load the adapter there"
        inject_adapter_in_model(config, copy_modules(base.model), low_cpu_mem_usage=True)
    except (ValueError, TypeError, NotImplementedError) as error:
        return sanitize(str(error), 200)
    return ""


def _convert(config: Any, model: Any) -> None:
    """Convert a configuration as PEFT does on loading: layers of older models have new names."""
    try:
        from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
    except ImportError:  # older versions do not convert
        return
    convert_peft_config_for_transformers(config, model, None)


def _list_other_weights(base: Base, places: Sequence[Place]) -> dict[str, float]:
    """Weight matrices outside of linear layers, such as experts', and their share of the weights."""
    ours = {place.name for place in places}
    kinds: Counter[str] = Counter()
    ends = (base.model.get_input_embeddings(), base.model.get_output_embeddings())
    for path, module in base.model.named_modules():
        if path in ours or module in ends or hasattr(module, "num_embeddings"):
            continue
        for name, weight in module.named_parameters(recurse=False):
            if weight.ndim > 1 and max(weight.shape) < weight.numel():
                kinds[factor_matrix_layout.name_kind(f"{path}.{name}")] += weight.numel()
    total = sum(weight.numel() for weight in base.model.parameters())
    return {kind: count / total for kind, count in kinds.most_common() if count >= SMALL * total}
