"""The base model's residual streams, cached on disk by question, next to its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from core import paths
from core.train.evaluation import evidence_files


class BaseStates:
    """The states of the questions that the file ``answers`` has the answers to. They have a file of their
    own: 128 states of a model of width 4096 take 2 MB, and the answers are text that is often rewritten."""

    def __init__(self, answers: Path) -> None:
        self._place = answers.parent.parent / "states" / f"{answers.stem}.safetensors"
        self._known: dict[str, bytes] = {}
        self._new = False

    def get(self, name: str) -> bytes | None:
        """The state of a question, float32 values; empty if the model has none."""
        return self._known.get(name)

    def keep(self, name: str, state: bytes) -> None:
        """Keep the state of a question."""
        if name not in self._known:
            self._known[name] = state
            self._new = True

    def read(self) -> None:
        """Read what the file has. A damaged file has nothing."""
        try:
            with open(self._place, "rb", opener=paths.open_without_link) as file:
                states = load(file.read())
        except (OSError, ValueError, KeyError, SafetensorError):
            return
        self._known = {name: state.tobytes() for name, state in states.items()} | self._known

    def write(self) -> None:
        """Write what is new. Raises OSError or TrimtabError."""
        if self._new:
            paths.make_private(self._place.parent)
            states = {name: np.frombuffer(state, np.float32) for name, state in self._known.items()}
            evidence_files.put(self._place, save(states))
            self._new = False
