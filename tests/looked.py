"""What a look into a trial may find: a model of many heads whose attention narrowed."""

from __future__ import annotations

import math

from core.contract.wire.answers.introspection_answer import Insides, Layer, Part, Token
from core.evaluate.metrics.token_loss_breakdown import KINDS, QUARTERS

WARNING = (
    "attention collapses on few tokens: the entropy of heads fell by 14 % (11 to 18) of its range on 8 rows "
    "against the base; 41 of 288 heads look at few tokens, 12 before. Try a lower learning_rate, lora_alpha "
    "or lora_rank, or more warmup"
)
WORST = (
    ("user\nHow do I join two paths?\nassistant\n", "Use", " os.path.join(first", "first", 7.21, 3.1),
    ("os.path.join(first, second, ", "third", ") and so on and on", "words", 6.4, 6.9),
    ("returns the value of pi as ", "3", ".14159", "digits", 5.02, 4.4),
    ("in the end", "…", "\n\nSee also", "punctuation", 4.9, 2.2),
    ("wide 漢字かな letters ", "🙂", " go on", "words", 4.4, 4.1),
    ("and that is all.", "<|im_end|>", "\n", "special", 3.9, 0.1),
    ("a line that ends", "\n\n", "and another one", "space", 3.3, 1.8),
)
MEANS = {"first": (3.0, 2.2), "words": (2.1, 1.6), "digits": (1.4, 1.5), "punctuation": (1.2, 0.7),
         "space": (0.6, 0.4), "special": (0.9, 0.05)}  # fmt: skip


def layer(place: int, heads: int = 9) -> Layer:
    base = tuple(0.55 + 0.35 * math.sin(place / 3 + head * 1.7) for head in range(heads))
    now = tuple(one * (1.0 - 0.03 * place) for one in base)
    sink = 0.2 + 0.015 * place
    return Layer(place, now, base, sink + 0.01 * place, sink, 0.05, 0.06)


def sample(trial: int = 2, layers: int = 32, heads: int = 9) -> Insides:
    """A whole answer."""
    tokens, kinds = (8, 300, 24, 60, 20, 16), []
    total, base_total = (
        sum(count * MEANS[name][side] for count, name in zip(tokens, KINDS, strict=True)) for side in (1, 0)
    )
    for count, name in zip(tokens, KINDS, strict=True):
        base, now = MEANS[name]
        kinds.append(Part(name, count, count * now / total, now, count * base / base_total, base))
    quarters = tuple(
        Part(name, 107, 0.31 - 0.04 * at, 1.8 - 0.2 * at, 0.25, 1.9) for at, name in enumerate(QUARTERS)
    )
    return Insides(
        trial, 400, 8, sum(tokens), total / sum(tokens), base_total / sum(tokens), 0.41, 0.29, tuple(kinds),
        quarters, tuple(Token(*one) for one in WORST), tuple(layer(one, heads) for one in range(layers)),
        warning=WARNING,
    )  # fmt: skip
