"""Which layers of a base can have an adapter that trains and that PEFT loads; and words on all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from core.contract.text.sanitize import plain
from core.train.adapters.reload_check import shadow
from core.train.base import linear_layers
from core.train.base.base_model import Base
from core.train.base.linear_layers import Place
from core.train.base.row_isolation import Survey, survey
from core.train.quiet_libraries import load_peft

SHOWN = 4  # kinds in one message
SMALL = 0.001  # of all weights: what is less than that is not worth a word


def adaptable(base: Base, warn: Callable[[str], None]) -> tuple[Survey, list[Place]]:
    """What the base allows, and its linear layers that it calls and that PEFT takes; ``warn`` is told of all
    others."""
    found = linear_layers.find(base.model)
    seen = survey(base, found)
    called = [place for place in found if place.index not in seen.idle]
    idle = dict.fromkeys(place.kind for place in found if place.index in seen.idle)
    refused = _refused(base, called)
    beside = [f"{kind} ({share:.1%} of the weights)" for kind, share in _beside(base, found).items()]
    for kinds, why in (
        (list(refused), f"PEFT could not load it ({next(iter(refused.values()), '')})"),
        (list(idle), "a text does not pass it as a layer"),
        (beside, "it is no linear layer, and stays as it is"),
    ):
        if kinds:
            more = f" and {len(kinds) - SHOWN} more" if len(kinds) > SHOWN else ""
            warn(f"no adapter is put on {', '.join(kinds[:SHOWN])}{more}: {why}")
    return seen, [place for place in called if place.kind not in refused]


def _refused(base: Base, called: Sequence[Place]) -> dict[str, str]:
    """Kinds of layers that PEFT does not take, with its reason."""
    first = {place.kind: place for place in reversed(called)}
    if not first or not _why(base, list(first.values())):
        return {}
    tried = ((kind, _why(base, [place])) for kind, place in first.items())
    return {kind: why for kind, why in tried if why}


def _why(base: Base, some: Sequence[Place]) -> str:
    """What PEFT has against adapters on these layers; "" where it has nothing."""
    load_peft()
    from peft import LoraConfig, inject_adapter_in_model

    names = [place.name for place in some]
    config = LoraConfig(r=1, target_modules=names, fan_in_fan_out=base.transposed)
    try:
        _converted(config, base.model)
        if set(config.target_modules or ()) != {*names}:
            return "PEFT takes its name for one of the experts', and would load it there"
        inject_adapter_in_model(config, shadow(base.model), low_cpu_mem_usage=True)
    except (ValueError, TypeError, NotImplementedError) as error:
        return plain(str(error), 200)
    return ""


def _converted(config: Any, model: Any) -> None:
    """What PEFT makes of a configuration when it loads it: layers of older models have other names now."""
    try:
        from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
    except ImportError:  # older ones do not
        return
    convert_peft_config_for_transformers(config, model, None)


def _beside(base: Base, found: Sequence[Place]) -> dict[str, float]:
    """Matrices that are no linear layers, as experts are, and their share of the weights."""
    ours = {place.name for place in found}
    kinds: Counter[str] = Counter()
    ends = (base.model.get_input_embeddings(), base.model.get_output_embeddings())
    for path, module in base.model.named_modules():
        if path in ours or module in ends or hasattr(module, "num_embeddings"):
            continue
        for name, one in module.named_parameters(recurse=False):
            if one.ndim > 1 and max(one.shape) < one.numel():
                kinds[linear_layers.kind(f"{path}.{name}")] += one.numel()
    total = sum(one.numel() for one in base.model.parameters())
    return {kind: count / total for kind, count in kinds.most_common() if count >= SMALL * total}
