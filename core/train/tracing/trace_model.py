"""``python -P -m core.train.tracing.trace_model BASE REVISION DTYPE``: memory formulas of any base model.

Only its configuration is needed: the model is built without weights (torch's fake tensors) with two and with
three layers, and the real training code runs on it. Nothing is computed, but every allocation is seen. The
model's widths are fixed, so formulas have only the letters of the batch. It prints progress on standard error
and one JSON object on standard output.
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
from core.memory.base.step_formulas import list_symbols
from core.train.base import factor_matrix_layout
from core.train.base.base_model import Base, load_rest, resolve
from core.train.base.cross_entropy import Head
from core.train.progress_callback import report_nothing
from core.train.tracing import derive_formulas, tiny_models, traced_step
from core.train.tracing.tensor_storage_trace import Allocated, Mark

SEEDS = (
    0,
    5,
    35,
)  # batches in which no two letters of OF_BATCH have one ratio, but K and C: a test checks it
OF_BATCH = ("1", "RD", "RP", "N", "D", "P", "K", "C", "B", "T", "T*T", "N*T")


def sketch(name: str, revision: str | None, dtype: str) -> dict[str, Any]:
    """Describe the model with its formulas. Raises TrimtabError, Underivable, or errors of transformers."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        resolve(name, report_nothing), revision=revision, trust_remote_code=False
    )
    layers = config.get_text_config().num_hidden_layers
    forms: dict[str, Any] = {}
    for done, (key, checkpointing, grad) in enumerate(
        (("plain/all-linear", False, True), ("checkpointed/all-linear", True, True), ("judge", False, False))
    ):
        print(f"tracing {name} in {dtype}: {key} ({done} of 3 done)", file=sys.stderr, flush=True)
        forms[f"{dtype}/{key}"] = _derive_forms(config, dtype, checkpointing, grad)
    description = _describe(config, dtype, layers)
    largest = max((layer["inputs"] * layer["outputs"] for layer in description["linears"]), default=0)
    for form in forms.values():
        for moment in form["moments"]:
            moment["W"] = float(largest * derive_formulas.DTYPES[dtype].itemsize)
    return {**description, "forms": forms}


def _derive_forms(config: Any, dtype: str, checkpointing: bool, grad: bool) -> dict[str, Any]:
    """The formulas of one pass. A model of three layers has all of them: the middle one's share is that of
    every further layer, so no model of two layers is traced to compare with."""
    solved = _solve(config, dtype, checkpointing, 3 if grad else 2, grad)
    moments = list(derive_formulas.list_moments(solved))
    layer = derive_formulas.select_per_layer(solved) if grad else {}
    if grad:
        rounded = {name: 2 * coefficient for name, coefficient in layer.items()}
        moments = [derive_formulas.subtract(form, rounded) for form in moments]
    return {"layer": layer, "moments": derive_formulas.list_peak_moments(moments)}


def _solve(config: Any, dtype: str, checkpointing: bool, layers: int, grad: bool) -> derive_formulas.Solved:
    runs = []
    with _build(config, dtype, checkpointing, layers) as base:
        for seed in SEEDS:
            batch = traced_step.draw(seed)
            nothing = tiny_models.Sizes(h=0, i=0, q=0, k=0, d=1, a=0, v=0)
            sizes_of_symbols = list_symbols(traced_step.compute_widths(nothing, batch))
            events = traced_step.trace_step(
                base, batch, "all-linear", grad, head=_find_head(base), copies=False
            )
            end = events.index(Mark(traced_step.OVER)) if grad else len(events)
            runs.append(({name: sizes_of_symbols[name] for name in OF_BATCH}, events[:end]))
    return derive_formulas.match_runs(runs, _solve_form)


def _solve_form(same: Sequence[Any], sides: Sequence[dict[str, float]]) -> derive_formulas.Form:
    """The size as a multiple of one width of the batch; if none fits, of the tokens: an upper bound."""
    if not isinstance(same[0], Allocated):
        return {}
    sizes = [event.size_bytes for event in same]
    for name, first in sides[0].items():
        per_unit = sizes[0] / first if first else 0.0
        if per_unit and all(
            abs(size - per_unit * side[name]) < 1e-6 * max(1, size)
            for size, side in zip(sizes, sides, strict=True)
        ):
            return {name: per_unit}
    return {"N": max(size / side["N"] for size, side in zip(sizes, sides, strict=True))}


@contextmanager
def _build(config: Any, dtype: str, checkpointing: bool, layers: int) -> Iterator[Base]:
    """Build the base model with so many layers, of fake tensors."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoModelForCausalLM, masking_utils

    packed = masking_utils.find_packed_sequence_indices
    # the original reads the tokens, and fake tensors have none
    masking_utils.find_packed_sequence_indices = lambda *a, **k: None
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            model = AutoModelForCausalLM.from_config(
                _cut(config, layers), dtype=derive_formulas.DTYPES[dtype], trust_remote_code=False
            )
            model.requires_grad_(False)
            model.config.use_cache = False
            if checkpointing:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            load_rest(model)
            tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=0)
            yield Base(model, tokenizer, dtype, "sketch", torch.device("cpu"))
    finally:
        masking_utils.find_packed_sequence_indices = packed


def _cut(config: Any, layers: int) -> Any:
    """The configuration with only its last ``layers`` layers, as the first may be of another kind."""
    cut = type(config).from_dict(config.to_dict())
    inner = cut.get_text_config()
    kinds = getattr(inner, "layer_types", None)
    inner.num_hidden_layers = layers
    if kinds:
        inner.layer_types = list(kinds[-layers:])
    return cut


def _find_head(base: Base) -> Head | None:
    module, config = base.model.get_output_embeddings(), base.model.config.get_text_config()
    if type(module) is not torch.nn.Linear:
        return None
    return Head(module.weight, module.bias, 1.0, float(getattr(config, "final_logit_softcapping", None) or 0))


def _describe(config: Any, dtype: str, layers: int) -> dict[str, Any]:
    """The model's widths, the linear layers of its last layer, and its number of other parameters."""
    counts = []
    for depth in (2, 3):
        with _build(config, dtype, False, depth) as base:
            counts.append(sum(weight.numel() for weight in base.model.parameters()))
            layer_list = tiny_models.find_layers(base.model)
            (stack, *_) = [name for name, module in base.model.named_modules() if module is layer_list]
            last = f"{stack}.{depth - 1}."
            places = [place for place in factor_matrix_layout.find(base.model) if place.name.startswith(last)]
            vocabulary = base.model.get_output_embeddings().weight.shape[0]
    linears = [
        {"name": ".".join(place.name.split(".")[-2:]), "inputs": place.inputs, "outputs": place.outputs}
        for place in places
    ]
    parameters = counts[0] + (layers - 2) * (counts[1] - counts[0])
    weight_count = layers * sum(place.inputs * place.outputs for place in places)
    return {
        "family": str(config.get_text_config().model_type), "layers": layers, "linears": linears,
        "widths": {"h": 0, "i": 0, "q": 0, "k": 0, "d": 1, "a": 0, "v": vocabulary},
        "others": parameters - weight_count,
    }  # fmt: skip


def main(argv: list[str]) -> int:
    """Print the sketch. Returns 0; else 1 or the error's code, with the reason on standard error."""
    name, revision, dtype = argv
    try:
        result = sketch(name, revision or None, dtype)
    except TrimtabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Exception as error:  # an unknown model's code may raise anything on fake tensors
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
