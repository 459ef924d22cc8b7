"""Decides when trials are inspected, on which rows, and writes the report to trials/N/insides.json."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from core import paths
from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.contract.wire.answers import introspection_answer as contract
from core.errors import TrimtabError
from core.evaluate.metrics import attention_metrics, token_loss_breakdown
from core.evaluate.metrics.attention_metrics import NARROW, Heads
from core.evaluate.metrics.token_loss_breakdown import KINDS, QUARTERS, compute_top_share, split_loss
from core.train.adapters.lora_factors import Factors
from core.train.base.base_model import Base
from core.train.data.dataset import MASKED, Data, Row, cut, has_target
from core.train.evaluation import evidence_files
from core.train.introspection.attention_capture import RowIntrospection
from core.train.introspection.row_inspection import Inspection
from core.train.step.forward_pass import Item

log = logging.getLogger("trimtab.insides")
ROWS = 8
LENGTHS = (128, 512)  # tokens of a row; the second if no row has a target within the first
LIMIT_S = 1.0  # after it no further row except the first FEWEST
SHARE = 0.01  # of the training time, for inspections between the first and the last
WORST = 24  # tokens
BEFORE, AFTER = 16, 8  # tokens of context around a token
LONGEST = 200  # characters of a text
NO_ROWS = f"no validation row has a target token within its first {LENGTHS[-1]} tokens"

Pairs = list[tuple[RowIntrospection, RowIntrospection]]  # (trial, base) for each row
Look = Generator[None, None, Pairs]


class Introspector:
    """Inspects trials on the same rows, and the base once, for the first trial that is inspected."""

    def __init__(self, spec: StudySpec, base: Base, data: Data, inspection: Inspection) -> None:
        self._tokenizer: Any = base.tokenizer
        self._inspection = inspection
        self._special = frozenset(getattr(base.tokenizer, "all_special_ids", ()))
        self.rows = _choose_rows(data, spec.study.seed)
        self._base: list[RowIntrospection] = []

    def look(self, factors: Factors) -> Look:
        """Inspect the base, if that is not done, then the trial, which is stacked, on as many rows as the
        time allows; yields after each row. The last pair may have a fault."""
        if not self._base:
            self._base = yield from self._ask(None, self.rows)
        now = yield from self._ask(factors, self.rows[: len(self._base)])
        return list(zip(now, self._base, strict=False))

    def _ask(
        self, factors: Factors | None, rows: Sequence[Row]
    ) -> Generator[None, None, list[RowIntrospection]]:
        results: list[RowIntrospection] = []
        for row in rows:
            late = sum(result.took_s for result in results) >= LIMIT_S
            if (late and len(results) >= attention_metrics.FEWEST) or (results and results[-1].fault):
                break
            special = [token in self._special for token in row.ids.tolist()]
            results.append(self._inspection.do(Item(factors, row), special))
            yield
        return results

    # -- the report ------------------------------------------------------------------------------

    def report(self, trial: int, step: int, pairs: Pairs) -> contract.Insides:
        """The report of a trial."""
        good = [(now, base) for now, base in pairs if not (now.fault or base.fault)]
        if not good:
            fault = next((inside.fault for pair in pairs for inside in pair if inside.fault), "")
            why = f"the inspection failed: {fault}" if fault else NO_ROWS
            return contract.Insides(trial, step, why_none=why)
        words = [word for row in self.rows[: len(good)] for word in self._split_words(row)]
        losses = [loss for now, _ in good for loss in now.losses]
        base = [loss for _, before in good for loss in before.losses]
        layers = _make_layers(good)
        why = "" if layers else good[0][0].why or good[0][1].why
        return contract.Insides(
            trial, step, len(good), len(losses),
            loss=_round(sum(losses) / len(losses)), base_loss=_round(sum(base) / len(base)),
            top=_round(compute_top_share(losses)), base_top=_round(compute_top_share(base)),
            kinds=split_loss([word.kind for word in words], losses, base, KINDS),
            quarters=split_loss([word.quarter for word in words], losses, base, QUARTERS),
            worst=self._list_worst(words, losses, base), layers=layers, why_no_attention=why,
            warning=_make_warning(good, layers),
        )  # fmt: skip

    def _split_words(self, row: Row) -> list[_Word]:
        places = [at for at, label in enumerate(row.labels.tolist()) if at and label != MASKED]
        return [
            _Word(row, at, self._name_kind(row, at, nth == 0), token_loss_breakdown.quarter(nth, len(places)))
            for nth, at in enumerate(places)
        ]

    def _name_kind(self, row: Row, at: int, first: bool) -> str:
        return token_loss_breakdown.classify_token(
            self._decode_text(row.ids.tolist()[at : at + 1]), int(row.ids[at]) in self._special, first
        )

    def _list_worst(
        self, words: Sequence[_Word], losses: Sequence[float], base: Sequence[float]
    ) -> tuple[contract.Token, ...]:
        order = sorted(range(len(losses)), key=lambda at: -losses[at])[:WORST]
        return tuple(self._make_token(words[at], losses[at], base[at]) for at in order)

    def _make_token(self, word: _Word, loss: float, base_loss: float) -> contract.Token:
        """A token in its context. Its text is what it adds to the text before it, so that its space is
        kept."""
        ids, at = word.row.ids.tolist(), word.at
        before = self._decode_text(ids[max(0, at - BEFORE) : at])
        both, alone = (
            self._decode_text(ids[max(0, at - BEFORE) : at + 1]),
            self._decode_text(ids[at : at + 1]),
        )
        text = both[len(before) :] if both.startswith(before) and len(both) > len(before) else alone
        after = self._decode_text(ids[at + 1 : at + 1 + AFTER])
        shown = (
            sanitize(before[-LONGEST:], lines=True), sanitize(text, LONGEST, lines=True),
            sanitize(after, LONGEST, lines=True),
        )  # fmt: skip
        return contract.Token(*shown, word.kind, _round(loss), _round(base_loss))

    def _decode_text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


@dataclass(frozen=True)
class _Word:
    """A target token: its row and position, its kind and its quarter."""

    row: Row
    at: int
    kind: str
    quarter: str


class InspectionSchedule:
    """Decides when one trial is inspected next, and remembers its warning."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder, self._warn = folder, warn
        self._step, self._spent_s, self._last_s, self._warned = -1, 0.0, 0.0, False

    def due(self, step: int, last: bool, trained_s: float) -> bool:
        """Whether to inspect at this step: at the first evaluation, at the last, and in between while it
        costs at most SHARE of the training time."""
        if step == self._step:
            return False
        return self._step < 0 or last or self._spent_s + self._last_s <= SHARE * trained_s

    def finish(self, report: contract.Insides, took_s: float) -> None:
        """Write the report of an inspection that took ``took_s`` seconds, and warn once."""
        self._step, self._last_s = report.step, took_s
        self._spent_s += took_s
        if report.warning and not self._warned:
            self._warned = True
            self._warn(f"{report.warning} (details: key a, or `trimtab insides {report.trial}`)")
        write(self._folder, report)

    def skip(self, why: str) -> None:
        """Say why an inspection is left out."""
        self._warn(why)

    def snapshot(self) -> list[Any]:
        """The state for a checkpoint."""
        return [self._step, self._spent_s, self._last_s, self._warned]

    def restore(self, saved_state: Sequence[Any]) -> None:
        """Restore from a checkpoint; ignores one of an older version."""
        if len(saved_state) == 4:
            self._step, self._spent_s, self._last_s = (
                int(saved_state[0]),
                float(saved_state[1]),
                float(saved_state[2]),
            )
            self._warned = bool(saved_state[3])


def write(folder: Path, report: contract.Insides) -> None:
    """Write the report to ``folder``/insides.json; only logs an error, since on a full disk more important
    warnings are shown."""
    try:
        content = msgspec.json.encode(Redactor().redact_all(report))
        evidence_files.put(paths.make_private(folder) / "insides.json", content)
    except (OSError, TrimtabError) as error:
        log.warning(
            "the introspection report of trial %d at step %d could not be written: %s",
            report.trial,
            report.step,
            error,
        )


def _choose_rows(data: Data, seed: int) -> list[Row]:
    """Some validation rows, in an order fixed by the seed; short ones if there are enough."""
    for length in LENGTHS:
        rows = [short for row in data.validation if has_target(short := cut(row, length))]
        if rows:
            random.Random(f"insides {seed}").shuffle(rows)
            return rows[:ROWS]
    return []


def _make_layers(pairs: Pairs) -> tuple[contract.Layer, ...]:
    """Each layer's means over the rows."""
    if not all(now.layers and len(now.layers) == len(base.layers) for now, base in pairs):
        return ()
    layers = []
    for place, (index, _) in enumerate(pairs[0][0].layers):
        now = _average([inside.layers[place][1] for inside, _ in pairs])
        base = _average([inside.layers[place][1] for _, inside in pairs])
        layers.append(
            contract.Layer(
                index, now.entropy, base.entropy, _average_heads(now.first), _average_heads(base.first),
                _average_heads(now.special),
                _average_heads(base.special),
            )
        )  # fmt: skip
    return tuple(layers)


def _average(rows: Sequence[Heads]) -> Heads:
    columns = (np.mean(column, axis=0) for column in zip(*rows, strict=True))
    return Heads(*(tuple(_round(value) for value in column) for column in columns))


def _make_warning(pairs: Pairs, layers: Sequence[contract.Layer]) -> str:
    if not layers:
        return ""
    now = [attention_metrics.summarize_row([heads for _, heads in inside.layers]) for inside, _ in pairs]
    base = [attention_metrics.summarize_row([heads for _, heads in inside.layers]) for _, inside in pairs]
    narrow = sum(entropy < NARROW for layer in layers for entropy in layer.entropy)
    base_narrow = sum(entropy < NARROW for layer in layers for entropy in layer.base_entropy)
    heads = sum(len(layer.entropy) for layer in layers)
    return attention_metrics.describe_collapse(
        attention_metrics.change(now, base), narrow, base_narrow, heads
    )


def _average_heads(heads: Sequence[float]) -> float:
    return _round(sum(heads) / max(1, len(heads)))


def _round(value: float) -> float:
    return round(float(value), 5)
