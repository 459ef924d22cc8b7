"""Finds names of people with the study's own model (evaluate.names), in a process that loads torch."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

import msgspec

from core import paths
from core.data.checks.person_name_rows import FindNames
from core.data.scan.scan_process import receive, send
from core.errors import TrimtabError
from core.evaluate.text.leaked_names import NAME
from core.evaluate.text.pii_detector import PiiMatch

MODULE = "core.train.commands.find_names"
TEXTS = 64  # in a request
Span = tuple[int, int]


class Found(msgspec.Struct):
    """The places of the names in each text of a request, or why the model cannot be used."""

    spans: list[list[Span]] = []
    fault: str = ""


@contextlib.contextmanager
def open_finder(model: str) -> Iterator[FindNames]:
    """Start the process; it computes on the CPU, as trials may train on the GPU. Raises TrimtabError for a
    model that cannot be used."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE, model],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(paths.find_root()), "CUDA_VISIBLE_DEVICES": ""},
    )
    try:
        _receive(process, model)
        yield lambda texts: _find(process, model, texts)
    finally:
        process.kill()
        with contextlib.suppress(OSError):
            process.communicate()


def _find(process: subprocess.Popen[bytes], model: str, texts: Sequence[str]) -> list[list[PiiMatch]]:
    assert process.stdin is not None
    matches = list[list[PiiMatch]]()
    for start in range(0, len(texts), TEXTS):
        part = texts[start : start + TEXTS]
        with contextlib.suppress(OSError):  # the answer, which does not come, tells
            send(process.stdin, [text.encode(errors="replace") for text in part])
        spans = _receive(process, model).spans
        matches += [
            [PiiMatch(NAME, begin, end, text[begin:end]) for begin, end in places]
            for text, places in zip(part, spans, strict=True)
        ]
    return matches


def _receive(process: subprocess.Popen[bytes], model: str) -> Found:
    assert process.stdout is not None
    answer = receive(process.stdout, Found)
    fault = "the process that loads it ended" if answer is None else answer.fault
    if answer is None or fault:
        where = f"evaluate.names = {model!r}"
        raise TrimtabError.of(
            fault, where, "set a token classifier, or leave it out: names are not found then"
        )
    return answer
