"""The optimizers of the knob table over a trial's factor matrix: torch's, bitsandbytes' and Adafactor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from core.contract.spec.knob_table import Value
from core.train.adapters.adafactor import Adafactor
from core.train.adapters.lora_factors import Factors
from core.train.adapters.peft_config import InfeasibleError

Make = Callable[[Factors, float, float], torch.optim.Optimizer]


def _make_adamw(factors: Factors, rate: float, decay: float) -> torch.optim.Optimizer:
    # fused makes one sweep over the matrix instead of a dozen
    return torch.optim.AdamW([factors.matrix], lr=rate, weight_decay=decay, fused=True)


def _make_adafactor(factors: Factors, rate: float, decay: float) -> torch.optim.Optimizer:
    return Adafactor(factors, rate, decay)


def _make_sgd(factors: Factors, rate: float, decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([factors.matrix], lr=rate, weight_decay=decay, momentum=0.9)


def _choose_bitsandbytes(kind: str) -> Make:
    def make(factors: Factors, rate: float, decay: float) -> torch.optim.Optimizer:
        try:
            from bitsandbytes import optim
        except (ImportError, RuntimeError, OSError) as error:
            raise InfeasibleError(
                f"bitsandbytes cannot be imported: {error}; run `trimtab doctor`"
            ) from error
        if "Paged" in kind and factors.matrix.device.type != "cuda":
            raise InfeasibleError(f"{kind} needs a CUDA device: its state is paged between GPU and host")
        return getattr(optim, kind)([factors.matrix], lr=rate, weight_decay=decay)

    return make


MAKERS: dict[str, Make] = {
    "adamw": _make_adamw,
    "adafactor": _make_adafactor,
    "sgd": _make_sgd,
    "adamw-8bit": _choose_bitsandbytes("AdamW8bit"),
    "adamw-paged": _choose_bitsandbytes("PagedAdamW"),
    "adamw-8bit-paged": _choose_bitsandbytes("PagedAdamW8bit"),
}


def make(factors: Factors, knobs: dict[str, Value]) -> torch.optim.Optimizer:
    """Create the trial's optimizer. Raises InfeasibleError if the device does not support it."""
    rate, decay = float(knobs["learning_rate"]), float(knobs["weight_decay"])  # type: ignore[arg-type]
    return MAKERS[str(knobs["optimizer"])](factors, rate, decay)


def step(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Make one step at the learning rate ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def can_join(optimizer: torch.optim.Optimizer) -> bool:
    """Whether ``step_together`` steps it: torch's AdamW, after its first step, which allocates its state."""
    if type(optimizer) is not torch.optim.AdamW or "step" in vars(optimizer):  # a step that was replaced
        return False
    (group,) = optimizer.param_groups
    return bool(group["fused"]) and all(
        "exp_avg" in optimizer.state[parameter] for parameter in group["params"]
    )


def step_together(due: Sequence[tuple[torch.optim.Optimizer, float]]) -> None:
    """Make one step of optimizers that ``can_join``, each at its rate: those with equal settings in one call,
    which changes no number, as every weight is computed by itself."""
    alike: dict[tuple[Any, ...], list[tuple[torch.Tensor, dict[str, Any]]]] = {}
    for optimizer, rate in due:
        (group,) = optimizer.param_groups
        group["lr"] = rate
        settings = rate, *group["betas"], group["weight_decay"], group["eps"]
        states = [(weight, optimizer.state[weight]) for weight in group["params"]]
        alike.setdefault(settings, []).extend(states)
    with torch.no_grad():
        torch._foreach_add_([state["step"] for states in alike.values() for _, state in states], 1)
        for (rate, beta1, beta2, decay, eps), states in alike.items():
            moments = ([state[name] for _, state in states] for name in ("exp_avg", "exp_avg_sq"))
            torch._fused_adamw_(
                [weight for weight, _ in states], [weight.grad for weight, _ in states], *moments, [],
                [state["step"] for _, state in states], amsgrad=False, lr=rate, beta1=beta1, beta2=beta2,
                weight_decay=decay, eps=eps, maximize=False,
            )  # fmt: skip


def move(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Move the optimizer's state to ``device``, as its factors were moved."""
    for state in optimizer.state.values():
        _move(state, device)


def _move(state: dict[str, Any], device: torch.device) -> None:
    for key, value in state.items():
        if isinstance(value, dict):
            _move(value, device)
        elif getattr(value, "is_paged", False):
            _prefetch(value, device)
        elif isinstance(value, torch.Tensor):
            state[key] = value.to(device)


def _prefetch(page: torch.Tensor, device: torch.device) -> None:
    """Move bitsandbytes' page within the driver's memory: ``to`` would make an ordinary tensor of it."""
    from bitsandbytes import functional

    functional.prefetch_tensor(page, to_cpu=device.type == "cpu")


def list_tensors(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Flatten the state for a checkpoint: tensors by "weight/name/…", and plain numbers by the same keys."""
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {}

    def walk(key: str, value: Any) -> None:
        if isinstance(value, dict):  # bitsandbytes keeps its 8-bit states one level deeper
            for name, inner in value.items():
                walk(f"{key}/{name}", inner)
        elif isinstance(value, torch.Tensor):
            tensors[key] = value
        else:
            numbers[key] = value

    for index, states in optimizer.state_dict()["state"].items():
        walk(str(index), states)
    return tensors, numbers


def restore(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]
) -> None:
    """Load a state from ``list_tensors`` into an optimizer over the same weights."""
    state_dict = optimizer.state_dict()
    states: dict[Any, Any] = {}
    for key, value in {**tensors, **numbers}.items():
        index, *names = key.split("/")
        level = states.setdefault(int(index), {})
        for name in names[:-1]:
            level = level.setdefault(name, {})
        level[names[-1]] = value
    state_dict["state"] = states
    optimizer.load_state_dict(state_dict)
