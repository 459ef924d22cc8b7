"""``python -P -m core.train.tracing.trace_model BASE REVISION DTYPE``: memory formulas of any base model.

Only its configuration is needed.

The model is built without weights (torch's fake tensors) with two and with three layers, and the real
training code runs on it; nothing is computed, every allocation is seen. Its widths are fixed, so forms are in
the letters of the batch. Prints progress on standard error and one JSON object on standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch

from core.errors import TrimtabError
from core.memory.base.step_formulas import symbols
from core.train.base import linear_layers
from core.train.base.base_model import Base, resolve, rest
from core.train.base.cross_entropy import Head
from core.train.load_progress import silent
from core.train.tracing import derive_formulas, tiny_models, traced_step
from core.train.tracing.allocation_trace import Came, Mark

SEEDS = range(4)
OF_BATCH = ("1", "RD", "RP", "N", "D", "P", "K", "C", "B", "T", "T*T", "N*T")


def sketch(name: str, revision: str | None, dtype: str) -> dict[str, Any]:
    """The model and its forms. Raises TrimtabError, Underivable, or what transformers raises."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(resolve(name, silent), revision=revision, trust_remote_code=False)
    layers = config.get_text_config().num_hidden_layers
    found: dict[str, Any] = {}
    for done, (key, checkpointing, grad) in enumerate(
        (("plain/all-linear", False, True), ("checkpointed/all-linear", True, True), ("judge", False, False))
    ):
        print(f"tracing {name} in {dtype}: {key} ({done} of 3 done)", file=sys.stderr, flush=True)
        found[f"{dtype}/{key}"] = _forms(config, dtype, checkpointing, grad)
    told = _described(config, dtype, layers)
    largest = max((one["inputs"] * one["outputs"] for one in told["linears"]), default=0)
    for form in found.values():
        for moment in form["moments"]:
            moment["W"] = float(largest * derive_formulas.DTYPES[dtype].itemsize)
    return {**told, "forms": found}


def _forms(config: Any, dtype: str, checkpointing: bool, grad: bool) -> dict[str, Any]:
    two = _solved(config, dtype, checkpointing, 2, grad)
    if not grad:
        return {"layer": {}, "moments": derive_formulas.fullest(list(derive_formulas.moments(two)))}
    three = _solved(config, dtype, checkpointing, 3, grad)
    layer = derive_formulas.minus(derive_formulas.at_last(three), derive_formulas.at_last(two))
    moments = [derive_formulas.minus(form, layer) for form in derive_formulas.moments(two)]
    return {"layer": layer, "moments": derive_formulas.fullest(moments)}


def _solved(config: Any, dtype: str, checkpointing: bool, layers: int, grad: bool) -> derive_formulas.Solved:
    runs = []
    with _built(config, dtype, checkpointing, layers) as base:
        for seed in SEEDS:
            batch = traced_step.draw(seed)
            nothing = tiny_models.Sizes(h=0, i=0, q=0, k=0, d=1, a=0, v=0)
            known = symbols(traced_step.widths(nothing, batch))
            events = traced_step.step(base, batch, "all-linear", grad, head=_head(base), copies=False)
            end = events.index(Mark(traced_step.OVER)) if grad else len(events)
            runs.append(({name: known[name] for name in OF_BATCH}, events[:end]))
    return derive_formulas.matched(runs, _form)


def _form(some: Sequence[Any], sides: Sequence[dict[str, float]]) -> derive_formulas.Form:
    """As a multiple of one width of the batch; what fits none, the largest by tokens: an upper bound."""
    if not isinstance(some[0], Came):
        return {}
    sizes = [one.size_bytes for one in some]
    for name, first in sides[0].items():
        each = sizes[0] / first if first else 0.0
        if each and all(
            abs(size - each * side[name]) < 1e-6 * max(1, size)
            for size, side in zip(sizes, sides, strict=True)
        ):
            return {name: each}
    return {"N": max(size / side["N"] for size, side in zip(sizes, sides, strict=True))}


@contextmanager
def _built(config: Any, dtype: str, checkpointing: bool, layers: int) -> Iterator[Base]:
    """The base with so many layers, of tensors without content."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoModelForCausalLM, masking_utils

    packed = masking_utils.find_packed_sequence_indices
    masking_utils.find_packed_sequence_indices = lambda *a, **k: (
        None
    )  # it looks into the tokens: there are none
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            model = AutoModelForCausalLM.from_config(
                _cut(config, layers), dtype=derive_formulas.DTYPES[dtype], trust_remote_code=False
            )
            model.requires_grad_(False)
            model.config.use_cache = False
            if checkpointing:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            rest(model)
            tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=0)
            yield Base(model, tokenizer, dtype, "sketch", torch.device("cpu"))
    finally:
        masking_utils.find_packed_sequence_indices = packed


def _cut(config: Any, layers: int) -> Any:
    """The configuration with the last ``layers`` of its layers: the first may be of another kind."""
    cut = type(config).from_dict(config.to_dict())
    inner = cut.get_text_config()
    kinds = getattr(inner, "layer_types", None)
    inner.num_hidden_layers = layers
    if kinds:
        inner.layer_types = list(kinds[-layers:])
    return cut


def _head(base: Base) -> Head | None:
    module, config = base.model.get_output_embeddings(), base.model.config.get_text_config()
    if type(module) is not torch.nn.Linear:
        return None
    return Head(module.weight, module.bias, 1.0, float(getattr(config, "final_logit_softcapping", None) or 0))


def _described(config: Any, dtype: str, layers: int) -> dict[str, Any]:
    counts = []
    for some in (2, 3):
        with _built(config, dtype, False, some) as base:
            counts.append(sum(one.numel() for one in base.model.parameters()))
            stack = [
                name for name, one in base.model.named_modules() if one is tiny_models.layers_of(base.model)
            ]
            here = [
                one
                for one in linear_layers.find(base.model)
                if one.name.startswith(f"{stack[0]}.{some - 1}.")
            ]
            vocabulary = base.model.get_output_embeddings().weight.shape[0]
    linears = [
        {"name": ".".join(one.name.split(".")[-2:]), "inputs": one.inputs, "outputs": one.outputs}
        for one in here
    ]
    parameters = counts[0] + (layers - 2) * (counts[1] - counts[0])
    held = layers * sum(one.inputs * one.outputs for one in here)
    return {
        "family": str(config.get_text_config().model_type), "layers": layers, "linears": linears,
        "widths": {"h": 0, "i": 0, "q": 0, "k": 0, "d": 1, "a": 0, "v": vocabulary},
        "others": parameters - held,
    }  # fmt: skip


def main(argv: list[str]) -> int:
    """Print the sketch; code 1 with the reason on standard error when there can be none."""
    name, revision, dtype = argv
    try:
        found = sketch(name, revision or None, dtype)
    except TrimtabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Exception as error:  # whatever an unknown model's code does with tensors that have no content
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
