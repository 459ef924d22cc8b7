"""The sources of the rules. A rule without a published source cites ``PRACTICE``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A public text; ``place`` is the section in it."""

    title: str
    place: str = ""
    link: str = ""

    def __str__(self) -> str:
        place = f", “{self.place}”" if self.place else ""
        return f"{self.title}{place}" + (f", {self.link}" if self.link else "")


def _cite_regret(place: str) -> Source:
    return Source("LoRA Without Regret (Schulman 2025)", place, "https://thinkingmachines.ai/blog/lora/")


def _cite_optuna(place: str, page: str) -> Source:
    return Source("Optuna", place, f"https://optuna.readthedocs.io/en/stable/{page}.html")


PRACTICE = Source("practice", "", "no published rule was found")
ESTIMATE = Source("trimtab's memory estimate", "", "as printed by `trimtab fit`")
GUESS = Source("FLOPs against the card's peak, 40 % of it assumed", "", "a guess until it is measured")
READ = Source("counted in the data")
DEFAULT = Source("trimtab's default")
ASKED = Source("asked for on the command line")

RATE = _cite_regret("Optimal learning rates for LoRA vs. FullFT")
SHORT = _cite_regret("Learning rates in short and long runs")
RANK = _cite_regret("Optimal learning rate and rank")
INVARIANT = _cite_regret("Parametrization invariances")
LAYERS = _cite_regret("Layers Where LoRA Is Applied")
BATCH = _cite_regret("Batch size effects")
CAPACITY = _cite_regret("How much capacity is needed by supervised and reinforcement learning?")
FLOPS = _cite_regret("Compute efficiency advantage of LoRA")
COOKBOOK = Source(
    "Tinker cookbook",
    "hyperparams.md",
    "https://github.com/thinking-machines-lab/tinker-cookbook/blob/main/skills/research/references/hyperparams.md",
)
QLORA = Source(
    "QLoRA (Dettmers 2023)", "hyper-parameters of the Guanaco models", "https://arxiv.org/abs/2305.14314"
)
RSLORA = Source("rsLoRA (Kalajdzievski 2023)", "abstract", "https://arxiv.org/abs/2312.03732")
FORGETS = Source(
    "LoRA Learns Less and Forgets Less (Biderman 2024)", "abstract", "https://arxiv.org/abs/2405.09673"
)
EPOCHS = Source(
    "Unsloth's LoRA guide",
    "Epochs",
    "https://unsloth.ai/docs/get-started/fine-tuning-llms-guide/lora-hyperparameters-guide",
)
BUDGETS = _cite_optuna("samplers, recommended budgets", "reference/samplers/index")
CHOICE = _cite_optuna(
    "Which Sampler and Pruner Should be Used?",
    "tutorial/10_key_features/003_efficient_optimization_algorithms",
)
BRACKETS = _cite_optuna("HyperbandPruner", "reference/generated/optuna.pruners.HyperbandPruner")
STARTUP = _cite_optuna(
    "TPESampler, n_startup_trials", "reference/samplers/generated/optuna.samplers.TPESampler"
)
ASHA = Source("ASHA (Li 2018)", "abstract", "https://arxiv.org/abs/1810.05934")
