"""``trimtab insides``: a trial's loss by token and its attention, compared with the base.

``--json`` prints {"study", "trial", "state", "step", "rows", "tokens", "loss", "base_loss", "top",
"base_top", "kinds": [PART…], "quarters": [PART…], "worst": [TOKEN…], "layers": [LAYER…], "warning",
"why_no_attention", "why_none"}. A PART is {"name", "tokens", "share", "mean", "base_share", "base_mean"}, a
TOKEN {"before", "text", "after", "kind", "loss", "base_loss"}, a LAYER {"layer", "entropy", "base_entropy",
"first", "base_first", "special", "base_special"}. Losses are nats, shares fractions, entropies lists by head
from 0, one token, to 1, all alike. Keys are only ever added.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import msgspec

from core.cli import exit_codes, output_formatting, reach_engine, resolve_trial
from core.contract.text.sanitize import sanitize
from core.contract.wire.answers import introspection_answer as i
from core.daemon.answers import introspection_reader as kept

AROUND = 28  # characters before a token, and half as many after it
TOKENS = 12


def print_introspection(arguments: argparse.Namespace) -> int:
    """Print a trial's introspection. It is read from the trial's folder, so no engine is needed."""
    study = resolve_trial.find_study(reach_engine.read_state()[0], arguments.study)
    trial = resolve_trial.find_trial(study, arguments.trial)
    introspection = kept.read(study, trial.number)
    if arguments.json:
        output_formatting.dump({"study": study.name, "state": trial.state, **_name_fields(introspection)})
        return exit_codes.OK
    if introspection.why_none:
        print(f"trial {trial.number} of {study.name}: {sanitize(introspection.why_none, 300)}")
        return exit_codes.OK
    print(
        f"trial {trial.number} of {study.name} at step {introspection.step}, on "
        f"{introspection.rows} validation rows with {introspection.tokens} target tokens; base → trial"
    )
    if introspection.warning:
        print(f"  warning: {sanitize(introspection.warning, 1000)}")
    _print_losses(introspection)
    _print_attention(introspection)
    return exit_codes.OK


def _print_losses(insides: i.Insides) -> None:
    print(
        f"\nloss {insides.base_loss:.3f} → {insides.loss:.3f} nats/token; the top 10 % of tokens account for",
        end="",
    )
    print(f" {_format_percent(insides.base_top)} → {_format_percent(insides.top)} of it")
    for part in (*insides.kinds, *insides.quarters):
        shares = f"{_format_percent(part.base_share):>4} → {_format_percent(part.share):>4} of the loss"
        means = f"{part.base_mean:7.3f} → {part.mean:7.3f} nats/token"
        print(f"  {sanitize(part.name, 20):<14}{part.tokens:>6} tokens  {shares}  {means}")
    print("\nthe tokens with the largest loss (nats)")
    for token in insides.worst[:TOKENS]:
        before, text, after = (
            sanitize(piece.replace("\n", "↵"), most_shown)
            for piece, most_shown in (
                (token.before[-AROUND:], AROUND),
                (token.text, 40),
                (token.after, AROUND // 2),
            )
        )
        print(f"  {token.base_loss:6.2f} → {token.loss:6.2f}  {before}⟦{text}⟧{after}")


def _print_attention(insides: i.Insides) -> None:
    print(
        "\nattention by layer: entropy (0 one token, 1 all alike), share on the first and on special tokens"
    )
    if insides.why_no_attention:
        print(f"  – {sanitize(insides.why_no_attention, 300)}")
    for layer in insides.layers:
        print(
            f"  {layer.layer:>3}  {_average(layer.base_entropy):.2f} → {_average(layer.entropy):.2f}"
            f"  (heads {min(layer.entropy, default=0):.2f} to {max(layer.entropy, default=0):.2f})"
            f"   first {_format_percent(layer.base_first):>4} → {_format_percent(layer.first):>4}"
            f"   special {_format_percent(layer.base_special):>4} → {_format_percent(layer.special):>4}"
        )


def _name_fields(insides: i.Insides) -> dict[str, Any]:
    """Convert the file's positional arrays to objects with field names."""
    content = msgspec.structs.asdict(insides)
    for name in ("kinds", "quarters", "worst", "layers"):
        content[name] = [msgspec.structs.asdict(row) for row in content[name]]
    return content


def _average(heads: Sequence[float]) -> float:
    return fmean(heads) if heads else 0.0


def _format_percent(share: float) -> str:
    return f"{100 * share:.0f}%"
