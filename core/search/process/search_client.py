"""The engine's async client of the search process, which it restarts when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.spec import spec_file
from core.contract.spec.study_spec import StudySpec
from core.errors import Problem, SpecError, TrimtabError
from core.search.search_pipe_messages import LENGTH, Answer, Call, Number, Proposal, encode_frame

COMMAND = ("-P", "-m", "core.search.process.search_server")
LIVES = 3  # processes that may die during one call before it fails
PATIENCE_S = 10.0  # for the process to exit after its input was closed
ROOM_S = 1.0  # between two tries on a full disk
FULL = re.compile(
    r"disk is full|disk I/O error|No space left", re.IGNORECASE
)  # messages of SQLite and others

LARGEST_ANSWER_BYTES = 256 << 20
GIVES: dict[str, Any] = {  # result types by method; results of other methods are not used
    "count": Number, "ask": Proposal | None, "enqueue": Proposal, "report": str | None,
    "take_notes": list[str], "list_missing": list[Number], "list_unknown_results": list[Number],
}  # fmt: skip
_answer = msgspec.msgpack.Decoder(Answer)
log = logging.getLogger("trimtab.search")

Curve = tuple[Sequence[int], Sequence[float]]  # steps, and the value at each
Known = tuple[str, tuple[float, ...], dict[str, Any]]  # a trial's state, values and parameters


class Search:
    """One study's search. All calls go one after another to a separate process, so the event loop never
    waits for a sampler, and the engine never imports torch (which the GP sampler needs)."""

    command: tuple[str, ...] = COMMAND

    def __init__(
        self, spec: StudySpec, folder: Path, note: Callable[[str], object] = lambda text: None
    ) -> None:
        """Prepare a search; ``note`` is called with a text when the storage's disk is full, once per wait."""
        self._spec, self._folder, self._note = spec, folder, note
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._next = 0  # the first trial number that was not handed out
        self._loaded = False

    @property
    def loaded(self) -> bool:
        """Whether a process has loaded Optuna: what takes long after that is the storage."""
        return self._loaded

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return self._process.pid if self._process else None

    async def open(self) -> None:
        """Create or load the Optuna study.

        Raises SpecError if it does not match the study file, TrimtabError if its storage fails.
        """
        self._next = await self._call("count")
        for text in await self._call("take_notes"):
            self._note(text)

    async def ask(self) -> Proposal | None:
        """Ask the sampler for the next trial; None if the space is exhausted."""
        async with self._asking:  # a second caller must see the first caller's number
            proposal = await self._call("ask", lambda: [self._next])
            if proposal is not None:  # an enqueued trial may have an earlier number
                self._next = max(self._next, proposal.number + 1)
            result: Proposal | None = proposal
            return result

    async def enqueue(self, params: dict[str, Any], counted: bool) -> Proposal:
        """Add a user's trial with ``params`` of the space; the sampler learns from it if it is
        ``counted``."""
        async with self._asking:
            proposal = await self._call("enqueue", lambda: [self._next, params, counted])
            self._next = proposal.number + 1
            result: Proposal = proposal
            return result

    async def change(self, spec: StudySpec) -> None:
        """Continue with a changed ``spec``: the next call opens the Optuna study for its space."""
        async with self._turn:
            self._spec = spec
            await self._end()
        await self._call("count")

    async def report(
        self, trial: int, step: int, metrics: dict[str, float], rows: Sequence[float] = ()
    ) -> str | None:
        """Report a trial's value at a step, with the losses of the validation ``rows`` for a pruner that
        compares them; returns the reason if the pruner stops the trial."""
        result: str | None = await self._call("report", lambda: [trial, step, metrics, list(rows)])
        return result

    async def constrain(self, trial: int, name: str, violation: float) -> None:
        """Report by how much a trial violates a constraint: above 0 it is infeasible, and samplers learn
        it."""
        await self._call("constrain", lambda: [trial, name, violation])

    async def tell(self, trial: int, state: str, values: tuple[float, ...] = ()) -> None:
        """Report a trial's end: complete (with values), pruned, failed or infeasible. Repeats are ignored."""
        await self._call("tell", lambda: [trial, state, list(values)])

    async def reconcile(self, trials: dict[int, Known], readings: Mapping[int, Curve] | None = None) -> None:
        """Make Optuna's study agree with the journal's ``trials``, by number. ``readings`` are their
        objective curves; those of trials that have ended in Optuna are not sent."""
        lacking = await self._call("list_missing", lambda: [list(trials)])
        fresh = {number: readings[number] for number in lacking if readings and number in readings}
        await self._call("reconcile", lambda: [trials, fresh])
        self._next = await self._call("count")

    async def list_unknown_results(self, known: list[int]) -> list[int]:
        """Return the numbers of trials with results in the storage that are not among ``known``."""
        result: list[int] = await self._call("list_unknown_results", lambda: [known])
        return result

    async def close(self) -> None:
        """End the process; everything reported to it is stored."""
        async with self._turn:
            await self._end()

    # -- the process ------------------------------------------------------------------------------

    async def _call(self, method: str, arguments: Any = list) -> Any:
        """Call ``method``, shielded: a cancelled caller must not leave half an answer in the pipe."""
        return await asyncio.shield(asyncio.ensure_future(self._exchange(method, arguments)))

    async def _exchange(self, method: str, arguments: Any) -> Any:
        """Call until it succeeds, waiting while the disk is full, as the journal does; a call may be
        repeated."""
        async with self._turn:
            is_noted = False
            while True:
                try:
                    return await self._call_with_restart(method, arguments)
                except TrimtabError as error:
                    if not FULL.search(str(error)):
                        raise
                    if not is_noted:
                        self._note(f"{error.problems[0].what}; trying again until there is room")
                    is_noted = True
                await asyncio.sleep(ROOM_S)

    async def _call_with_restart(self, method: str, arguments: Any) -> Any:
        for _ in range(LIVES):
            try:
                if self._process is None:
                    await self._begin()
                return await self._answer(Call(method, arguments()))
            except (asyncio.IncompleteReadError, ConnectionError):
                await self._end()  # it died: the next process loads the study again
            except msgspec.MsgspecError as error:  # later answers could not be trusted either
                log.error("the search process of %s sent an invalid answer: %s", self._folder.name, error)
                await self._end(at_once=True)
        raise TrimtabError.of(
            f"the search process died {LIVES} times during the call {method!r}",
            str(self._folder / "optuna.db"),
            "see the engine's log for the cause; the machine may be short of memory",
        )

    async def _begin(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(paths.find_root())}
        # the sampler's linear algebra must not take cores from training
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        await self._answer(Call("load", []))
        self._loaded = True
        await self._answer(Call("open", [spec_file.convert_to_raw(self._spec), str(self._folder)]))

    async def _answer(self, call: Call) -> Any:
        assert self._process and self._process.stdin and self._process.stdout
        self._process.stdin.write(encode_frame(call))
        await self._process.stdin.drain()
        head = await self._process.stdout.readexactly(LENGTH.size)
        size = LENGTH.unpack(head)[0]
        if size > LARGEST_ANSWER_BYTES:
            raise msgspec.DecodeError(f"an answer of {size} bytes")
        answer = _answer.decode(await self._process.stdout.readexactly(size))
        answer = msgspec.structs.replace(
            answer, value=msgspec.convert(answer.value, GIVES.get(call.method, Any))
        )
        if answer.problems:
            kind = SpecError if answer.of_spec else TrimtabError
            if call.method == "open":
                await self._end()
            raise kind(*(Problem(*problem) for problem in answer.problems))
        return answer.value

    async def _end(self, at_once: bool = False) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if at_once:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if process.stdin:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
