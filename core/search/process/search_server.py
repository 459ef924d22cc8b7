"""The search process: answers calls from its standard input until the parent closes it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
import warnings
from typing import Any, BinaryIO

import msgspec

from core.contract.text.sanitize import sanitize
from core.errors import SpecError, TrimtabError
from core.search.search_pipe_messages import LENGTH, Answer, Call, encode_frame

METHODS = frozenset(
    {
        "count",
        "ask",
        "report",
        "tell",
        "reconcile",
        "constrain",
        "enqueue",
        "take_notes",
        "list_missing",
        "list_unknown_results",
    }
)
LOOKS = frozenset({"compute_importance", "state"})  # methods of a reader, which cannot change the study
READS = "read"  # the argument that starts a reader
CALMER = 10  # added to a reader's niceness: training and sampling go first


def serve(source: BinaryIO, sink: BinaryIO, reads: bool = False) -> None:
    """Answer every call from ``source`` on ``sink``; returns when ``source`` ends (the parent has exited)."""
    oracle: Any = None
    methods = LOOKS if reads else METHODS
    decoder = msgspec.msgpack.Decoder(Call)
    while (head := source.read(LENGTH.size)) and len(head) == LENGTH.size:
        call = decoder.decode(source.read(LENGTH.unpack(head)[0]))
        try:
            value: Any = None
            if call.method == "load":  # answered apart from "open", so that a locked storage can be told
                _make_server(reads)
            elif call.method == "open":
                oracle = _make_server(reads)(*call.arguments)
            else:
                value = _call(oracle, methods, call)
            answer = Answer(value)
        except TrimtabError as error:
            problems = [(problem.what, problem.where, problem.fix) for problem in error.problems]
            answer = Answer(problems=problems, of_spec=isinstance(error, SpecError))
        except Exception as error:
            traceback.print_exc()
            message = f"the search failed: {type(error).__name__}: {sanitize(str(error), 300)}"
            answer = Answer(problems=[(message, call.method, "see the engine's log for the traceback")])
        sink.write(encode_frame(answer))
        sink.flush()


def _make_server(reads: bool) -> Any:
    if reads:
        from core.search.process.storage_reader import Reader

        return Reader
    from core.search.study.optuna_study import OptunaStudy

    return OptunaStudy


def _call(oracle: Any, methods: frozenset[str], call: Call) -> Any:
    if oracle is None or call.method not in methods:
        raise TrimtabError.of(f"unknown call {call.method!r}", "search process")
    return oracle.call(call.method, call.arguments)


def main() -> int:
    """Return serve on the standard streams; other output goes to the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this process ends
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # Optuna's warnings on experimental features; its version is pinned
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    reads = READS in sys.argv[1:]
    if reads:
        os.nice(CALMER)
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sink, reads)
    os._exit(0)  # no library's thread pool may keep the process alive


if __name__ == "__main__":
    main()
