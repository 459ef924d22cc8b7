"""Base models of fake CUDA tensors: the shapes of well-known models, and tiny ones of every family."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from core.train.base.base_model import Base, load_rest
from core.train.tracing import tiny_models
from tests.cuda.fake_card import CUDA

BF16 = torch.bfloat16
LAYERS = {"gemma2": 2}  # its second layer has another attention; else 1
BLOCK, OUTER_BLOCK = 64, 256  # weights of one NF4 scale, and scales of one second scale


class Shape(NamedTuple):
    """The sizes of a Qwen2 model."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int
    vocabulary: int
    tied: bool  # whether the output layer is the embedding


SHAPES = {
    "0.5B": Shape(896, 4864, 24, 14, 2, 151936, True),
    "1.5B": Shape(1536, 8960, 28, 12, 2, 151936, True),
    "7B": Shape(3584, 18944, 28, 28, 4, 152064, False),
}


def qwen(shape: Shape, precision: str = "bf16", checkpointing: bool = False) -> Base:
    """Build a Qwen2 model."""
    from transformers import Qwen2Config

    config = Qwen2Config(
        hidden_size=shape.hidden, intermediate_size=shape.intermediate, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.key_heads,
        vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied, max_position_embeddings=32768,
    )  # fmt: skip
    return _build(config, precision, checkpointing)


def tiny(family: str, precision: str = "bf16", checkpointing: bool = False) -> Base:
    """Build a small model of a family that trimtab knows."""
    import transformers

    settings = tiny_models._make_settings(family, _sizes(family), LAYERS.get(family, 1))
    config = getattr(transformers, tiny_models.CONFIGS[family])(**settings)
    return _build(config, precision, checkpointing)


def _sizes(family: str) -> tiny_models.Sizes:
    """Nearly the same sizes for every family: what an operation returns is looked up by its shapes."""
    heads, width = 4, 8
    keys = heads if family in tiny_models.NO_GROUPS else 2
    return tiny_models.Sizes(h=heads * width, i=64, q=heads * width, k=keys * width, d=width, a=heads, v=160)


def _build(config: Any, precision: str, checkpointing: bool) -> Base:
    from transformers import AutoModelForCausalLM

    with torch.device(CUDA):
        model = AutoModelForCausalLM.from_config(config, dtype=BF16)
    model.requires_grad_(False)
    model.config.use_cache = False
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if precision in QUANTISED:
        _replace_linear_layers(model, QUANTISED[precision])
    load_rest(model)
    return Base(model, SimpleNamespace(pad_token_id=0, eos_token_id=0), precision, config.model_type, CUDA)


class Linear4bit(torch.nn.Linear):
    """bitsandbytes' layer as trimtab sees it: a packed weight with its state."""

    def __init__(self, old: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = old.in_features, old.out_features, old.bias
        count = old.weight.numel()
        packed = torch.empty(-(-count // 2), 1, dtype=torch.uint8, device=CUDA)
        self.packed = torch.nn.Parameter(packed, requires_grad=False)
        state = _nf4_state(old.weight.shape, count)
        self._weight = SimpleNamespace(data=self.packed, quant_state=state, device=CUDA)

    weight = property(lambda self: self._weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute what the layer computes outside of a pass."""
        from bitsandbytes.functional import dequantize_4bit

        weight = dequantize_4bit(self._weight.data, self._weight.quant_state)
        return torch.nn.functional.linear(x, weight.to(x.dtype), self.bias)


def _nf4_state(shape: torch.Size, count: int) -> Any:
    """The state of a double-quantised weight."""
    from bitsandbytes.functional import QuantState

    scales = -(-count // BLOCK)
    outer = QuantState(
        absmax=torch.empty(-(-scales // OUTER_BLOCK), device=CUDA), code=torch.empty(256, device=CUDA),
        blocksize=OUTER_BLOCK, dtype=torch.float32,
    )  # fmt: skip
    return QuantState(
        absmax=torch.empty(scales, dtype=torch.uint8, device=CUDA), shape=shape, dtype=BF16,
        blocksize=BLOCK, code=torch.empty(16, device=CUDA), quant_type="nf4",
        offset=torch.empty((), device=CUDA), state2=outer,
    )  # fmt: skip


class Linear8bitLt(torch.nn.Linear):
    """bitsandbytes' layer as trimtab sees it: an int8 weight with the scales of its rows."""

    def __init__(self, old: torch.nn.Linear) -> None:
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features, self.bias = old.in_features, old.out_features, old.bias
        weight = torch.empty(old.weight.shape, dtype=torch.int8, device=CUDA)
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.weight.SCB = torch.empty(old.out_features, device=CUDA)
        self.state = SimpleNamespace(SCB=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute what the layer computes outside of a pass, but for the rounding of ``x``."""
        scale = (self.weight.SCB / 127.0).to(x.dtype)
        return torch.nn.functional.linear(x, self.weight.to(x.dtype) * scale[:, None], self.bias)


QUANTISED = {"nf4": Linear4bit, "int8": Linear8bitLt}


def _replace_linear_layers(model: Any, layer: type[torch.nn.Linear]) -> None:
    """Replace all linear layers but the output layer."""
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Linear and module is not head:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, layer(module))
