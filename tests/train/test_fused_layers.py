"""A base whose norms and feed-forward layers are fused computes what it did before; unknown ones are left."""

import pytest
import torch
import transformers

from core.train.base import fused_layers, fused_rotary

SIZES = {
    "vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip
FUSED = {  # kinds of layers that are fused, by family
    "Llama": {"LlamaRMSNorm", "LlamaMLP"},
    "Qwen2": {"Qwen2RMSNorm", "Qwen2MLP"},
    "Qwen3": {"Qwen3RMSNorm", "Qwen3MLP"},
    "Mistral": {"MistralRMSNorm", "MistralMLP"},
    "Olmo2": {"Olmo2RMSNorm", "Olmo2MLP"},
    "SmolLM3": {"SmolLM3RMSNorm", "SmolLM3MLP"},
    "Granite": {"GraniteRMSNorm", "GraniteMLP"},
    "Phi3": {"Phi3RMSNorm"},  # its gate and up are one layer
    "Gemma2": set(),  # its norms multiply by 1 + weight, its activation is GELU
    "GPT2": set(),
}


def build(family: str) -> torch.nn.Module:
    torch.manual_seed(3)
    config = getattr(transformers, f"{family}Config")(**SIZES)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))  # norms begin with weights of one
    return model


def compute(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(4)
    inputs = model.get_input_embeddings()(torch.randint(0, 60, (2, 9), generator=draw)).requires_grad_()
    logits = model(inputs_embeds=inputs, use_cache=False).logits
    (grad,) = torch.autograd.grad(logits.square().sum(), inputs)
    return logits.detach(), grad


@pytest.fixture(autouse=True)
def own_functions():
    """Rotary embeddings are replaced for all models of a family."""
    models = []
    yield models.append
    for model in models:
        fused_rotary.restore(model)


@pytest.mark.parametrize("family", FUSED)
def test_logits_and_gradients_stay(family, own_functions, monkeypatch):
    model = build(family)
    before = compute(model)
    calls = []
    rotate = fused_rotary.Rotary.apply
    monkeypatch.setattr(fused_rotary.Rotary, "apply", lambda *given: calls.append(1) or rotate(*given))
    own_functions(model)
    assert fused_layers.fuse(model) == []
    calls.clear()
    compute(model)
    assert len(calls) == (0 if family == "GPT2" else SIZES["num_hidden_layers"]), "each layer's rotation"
    changed = {type(module).__name__ for module in model.modules() if "forward" in vars(module)}
    assert changed == FUSED[family]
    for own, fused in zip(before, compute(model), strict=True):
        torch.testing.assert_close(fused, own, rtol=1e-4, atol=1e-5)


def test_layers_can_have_their_own_code_again():
    model = build("Llama")
    fused_layers.fuse(model)
    fused_layers.restore(model)
    assert not [module for module in model.modules() if "forward" in vars(module)]


def test_a_layer_with_the_name_of_a_norm_that_computes_something_else_is_left():
    class OddRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.ones(8)), 1e-6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.weight * x / x.abs().mean(-1, keepdim=True)

    model = torch.nn.Sequential(OddRMSNorm())
    model.dtype, model.device = torch.float32, torch.device("cpu")
    assert fused_layers.fuse(model) == []
    assert "forward" not in vars(model[0])


def test_rotations_by_part_of_a_head_are_left_to_transformers(own_functions):
    config = transformers.GPTNeoXConfig(**SIZES)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    before = compute(model)
    own_functions(model)
    assert fused_layers.fuse(model) == []
    for own, fused in zip(before, compute(model), strict=True):
        assert torch.equal(fused, own)


def test_a_kernel_that_fails_leaves_the_layer_and_says_why(monkeypatch):
    def fails(*given):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(fused_layers.RmsNorm, "apply", fails)
    model = build("Phi3")
    (note,) = fused_layers.fuse(model)
    assert "Phi3RMSNorm" in note and "no kernel image" in note
    compute(model)
