"""What trials are asked about their insides, when, and what is kept of it: trials/N/insides.json."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from core import paths
from core.contract import insides as contract
from core.contract.plain import plain
from core.contract.secrets import Redactor
from core.contract.spec import Spec
from core.errors import TrimtabError
from core.evaluate import attention, tokens
from core.evaluate.attention import NARROW, Heads
from core.train import evidence
from core.train.attention import Inside
from core.train.data import MASKED, Data, Row, cut, has_target
from core.train.factors import Factors
from core.train.forward import Item
from core.train.model import Base
from core.train.wants import Done, Inspect, Want

ROWS = 8
LENGTHS = (128, 512)  # tokens of a row: the second where no row has a target within the first
LIMIT_S = 2.0  # of a trial's time at once: after it no further row, but for the first FEWEST
SHARE = 0.01  # of its training time, between its first look and its last, which are always taken
WORST = 24  # tokens
BEFORE, AFTER = 16, 8  # tokens around one of them
LONGEST = 200  # characters of a text around it
NO_ROWS = f"no validation row has a token to learn within its first {LENGTHS[-1]} tokens"

Pairs = list[tuple[int, Inside, Inside]]  # (row, of the trial, of the base)
Life = Generator[Want, tuple[Done, float], Pairs]


class Insides:
    """The rows, the same for all trials of a study, and what the base gives to them, asked once by the first
    trial that looks."""

    def __init__(self, spec: Spec, base: Base, data: Data) -> None:
        self._tokenizer: Any = base.tokenizer
        self._special = set(getattr(base.tokenizer, "all_special_ids", ()))
        self.rows = _rows(data, spec.study.seed)
        self._base: dict[int, Inside] = {}

    def look(self, mine: Factors) -> Life:
        """Row after row, of the base first; as many as the time allows. Ends at a row with a fault."""
        pairs: Pairs = []
        spent_s = 0.0
        for at, row in enumerate(self.rows):
            if len(pairs) >= attention.FEWEST and spent_s >= LIMIT_S:
                break
            if at not in self._base:
                found = yield from self._ask(None, row)
                if found.fault:
                    return [*pairs, (at, found, found)]
                self._base[at] = found
            found = yield from self._ask(mine, row)
            pairs.append((at, found, self._base[at]))
            spent_s += found.took_s
            if found.fault:
                break
        return pairs

    def _ask(self, mine: Factors | None, row: Row) -> Generator[Want, tuple[Done, float], Inside]:
        done, _ = yield Inspect(Item(mine, row), [one in self._special for one in row.ids])
        (found,) = done.answers
        assert isinstance(found, Inside)
        return found

    # -- what comes of it -------------------------------------------------------------------------

    def told(self, trial: int, step: int, pairs: Pairs) -> contract.Insides:
        """All that is shown of a trial."""
        good = [(at, now, base) for at, now, base in pairs if not now.fault]
        if not good:
            why = f"it could not be looked into: {pairs[0][1].fault}" if pairs else NO_ROWS
            return contract.Insides(trial, step, why_none=why)
        words = [one for at, *_ in good for one in self._words(self.rows[at])]
        losses = [loss for _, now, _ in good for loss in now.losses]
        base = [loss for *_, before in good for loss in before.losses]
        layers = _layers(good)
        why = "" if layers else good[0][1].why or good[0][2].why
        return contract.Insides(
            trial, step, len(good), len(losses),
            loss=_round(sum(losses) / len(losses)), base_loss=_round(sum(base) / len(base)),
            top=_round(tokens.top(losses)), base_top=_round(tokens.top(base)),
            kinds=tokens.parts([one.kind for one in words], losses, base, tokens.KINDS),
            quarters=tokens.parts([one.quarter for one in words], losses, base, tokens.QUARTERS),
            worst=self._worst(words, losses, base), layers=layers, why_no_attention=why,
            warning=_warning(good, layers),
        )  # fmt: skip

    def _words(self, row: Row) -> list[_Word]:
        places = [at for at, label in enumerate(row.labels) if at and label != MASKED]
        return [
            _Word(row, at, self._kind(row, at, nth == 0), tokens.quarter(nth, len(places)))
            for nth, at in enumerate(places)
        ]

    def _kind(self, row: Row, at: int, first: bool) -> str:
        return tokens.kind(self._text(row.ids[at : at + 1]), row.ids[at] in self._special, first)

    def _worst(
        self, words: Sequence[_Word], losses: Sequence[float], base: Sequence[float]
    ) -> tuple[contract.Token, ...]:
        order = sorted(range(len(losses)), key=lambda at: -losses[at])[:WORST]
        return tuple(self._token(words[at], losses[at], base[at]) for at in order)

    def _token(self, word: _Word, loss: float, base_loss: float) -> contract.Token:
        """The token's own text is what it adds to the text before it, so that its blank is not lost."""
        ids, at = word.row.ids, word.at
        before = self._text(ids[max(0, at - BEFORE) : at])
        both, alone = self._text(ids[max(0, at - BEFORE) : at + 1]), self._text(ids[at : at + 1])
        text = both[len(before) :] if both.startswith(before) and len(both) > len(before) else alone
        after = self._text(ids[at + 1 : at + 1 + AFTER])
        shown = (
            plain(before[-LONGEST:], lines=True), plain(text, LONGEST, lines=True),
            plain(after, LONGEST, lines=True),
        )  # fmt: skip
        return contract.Token(*shown, word.kind, _round(loss), _round(base_loss))

    def _text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


@dataclass(frozen=True)
class _Word:
    """A target token: where it stands, and which parts it belongs to."""

    row: Row
    at: int
    kind: str
    quarter: str


class Inspected:
    """One trial's looks: when the next is due, and what was said."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder, self._warn = folder, warn
        self._step, self._spent_s, self._last_s, self._warned = -1, 0.0, 0.0, False

    def due(self, step: int, last: bool, trained_s: float) -> bool:
        """At the first evaluation, at the last, and between them as far as it costs next to nothing."""
        if step == self._step:
            return False
        return self._step < 0 or last or self._spent_s + self._last_s <= SHARE * trained_s

    def take(self, step: int, pairs: Pairs, found: contract.Insides) -> None:
        """Keep what was found; say once what it warns of."""
        self._step, self._last_s = step, sum(now.took_s for _, now, _ in pairs)
        self._spent_s += self._last_s
        if found.warning and not self._warned:
            self._warned = True
            self._warn(f"{found.warning} (key a in its detail, or `trimtab insides {found.trial}`)")
        write(self._folder, found, self._warn)

    def snapshot(self) -> list[Any]:
        """For a checkpoint."""
        return [self._step, self._spent_s, self._last_s, self._warned]

    def restore(self, kept: Sequence[Any]) -> None:
        """From a checkpoint; nothing from one of an older version."""
        if len(kept) == 4:
            self._step, self._spent_s, self._last_s = int(kept[0]), float(kept[1]), float(kept[2])
            self._warned = bool(kept[3])


def write(folder: Path, found: contract.Insides, warn: Callable[[str], None]) -> None:
    """Put it into ``folder``/insides.json; a word where that is not possible."""
    try:
        content = msgspec.json.encode(Redactor().anything(found))
        evidence.put(paths.private(folder) / "insides.json", content)
    except (OSError, TrimtabError) as error:
        warn(f"what is inside of {folder.name} at step {found.step} cannot be written: {error}")


def _rows(data: Data, seed: int) -> list[Row]:
    """Some validation rows, in an order that the seed settles, short ones where there are enough."""
    for length in LENGTHS:
        rows = [short for row in data.validation if has_target(short := cut(row, length))]
        if rows:
            random.Random(f"insides {seed}").shuffle(rows)
            return rows[:ROWS]
    return []


def _layers(pairs: Pairs) -> tuple[contract.Layer, ...]:
    """Each layer's means over rows."""
    if not all(now.layers and len(now.layers) == len(base.layers) for _, now, base in pairs):
        return ()
    found = []
    for place, (index, _) in enumerate(pairs[0][1].layers):
        now = _mean([inside.layers[place][1] for _, inside, _ in pairs])
        base = _mean([inside.layers[place][1] for *_, inside in pairs])
        found.append(
            contract.Layer(
                index, now.entropy, base.entropy, _of(now.first), _of(base.first), _of(now.special),
                _of(base.special),
            )
        )  # fmt: skip
    return tuple(found)


def _mean(rows: Sequence[Heads]) -> Heads:
    columns = (np.mean(column, axis=0) for column in zip(*rows, strict=True))
    return Heads(*(tuple(_round(one) for one in column) for column in columns))


def _warning(pairs: Pairs, layers: Sequence[contract.Layer]) -> str:
    if not layers:
        return ""
    now = [attention.row_of([heads for _, heads in inside.layers]) for _, inside, _ in pairs]
    base = [attention.row_of([heads for _, heads in inside.layers]) for *_, inside in pairs]
    narrow, base_narrow = (
        sum(one < NARROW for layer in layers for one in heads(layer))
        for heads in (lambda one: one.entropy, lambda one: one.base_entropy)
    )
    heads = sum(len(layer.entropy) for layer in layers)
    return attention.warning(attention.change(now, base), narrow, base_narrow, heads)


def _of(heads: Sequence[float]) -> float:
    return _round(sum(heads) / max(1, len(heads)))


def _round(value: float) -> float:
    return round(float(value), 5)
