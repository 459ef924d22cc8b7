"""The base model's answers, cached on disk by question."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.train.evaluation import evidence_files
from core.train.probes.metric_probe import Ask, Probe
from core.train.scoring.residual_stream_cache import BaseStates
from core.train.step.compute_requests import Written
from core.train.step.target_token_losses import Reading


class BaseAnswers:
    """The answers in ``place``, a file that several workers may write in turn. Timed answers are not kept:
    they depend on the machine."""

    def __init__(self, place: Path) -> None:
        self.place, self.saved_at = place, time.monotonic()
        self._states = BaseStates(place)
        self._known: dict[str, Any] = {}
        self._digests: dict[int, str] = {}  # by question, which the boards keep
        self._new = False
        self._stamp = 0

    def recall(self, probe: Probe, ask: Ask) -> Reading | Written | None:
        """The answer to ``ask`` if it is known."""
        raw = None if probe.alone else self._known.get(self._digest(probe, ask))
        if raw is None:
            return None
        if probe.writes:
            return Written(*raw)
        state = self._states.get(self._digest(probe, ask)) if ask.state else b""
        return None if state is None else Reading(raw[0], raw[1], state)

    def known(self, probe: Probe) -> Probe:
        """``probe`` with as many of its first samples as are known."""
        missing = [any(self.recall(probe, ask) is None for ask in sample) for sample in probe.asks]
        return replace(probe, asks=probe.asks[: missing.index(True) if True in missing else len(missing)])

    def count_unknown(self, probes: Sequence[Probe]) -> int:
        """How many questions have no answer yet."""
        asks = {id(ask): (probe, ask) for probe in probes for sample in probe.asks for ask in sample}
        return sum(self.recall(probe, ask) is None for probe, ask in asks.values())

    def keep(self, probe: Probe, answers: Sequence[Sequence[Any]]) -> None:
        """Keep the answers to the first samples of ``probe``."""
        if probe.alone:
            return
        for sample, new_answer in zip(probe.asks, answers, strict=False):
            for ask, answer in zip(sample, new_answer, strict=True):
                name = self._digest(probe, ask)
                if name not in self._known:
                    self._known[name] = _convert_to_raw(answer)
                    self._new = True
                if ask.state:
                    self._states.keep(name, answer.state)

    def read(self) -> bool:
        """Read what the file has; returns whether it has changed. A damaged file has nothing."""
        try:
            with open(self.place, "rb", opener=paths.open_without_link) as file:
                stamp = self.place.stat().st_mtime_ns
                if stamp == self._stamp:
                    return False
                self._stamp = stamp
                self._known = msgspec.json.decode(file.read(), type=dict[str, list[Any]]) | self._known
        except (OSError, ValueError):
            return False
        self._states.read()
        return True

    def write(self) -> None:
        """Write what is new. Raises OSError or TrimtabError."""
        self.saved_at = time.monotonic()
        self._states.write()  # before the answers, which other workers look for
        if self._new:
            paths.make_private(self.place.parent)
            evidence_files.put(self.place, msgspec.json.encode(self._known))
            self._new = False

    def _digest(self, probe: Probe, ask: Ask) -> str:
        """Identify a question by its tokens."""
        if id(ask) not in self._digests:
            row = [ask.row.ids.tolist(), ask.row.labels.tolist()] if ask.row is not None else []
            content = [row, list(ask.prompt), ask.seed, (ask.tokens or probe.tokens) if probe.writes else 0]
            self._digests[id(ask)] = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
        return self._digests[id(ask)]


def _convert_to_raw(answer: Reading | Written) -> list[Any]:
    if isinstance(answer, Written):
        return [answer.ids, answer.first_s, answer.took_s]
    return [answer.losses, answer.firsts]
