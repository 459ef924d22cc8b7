"""The engine's door to Optuna: an async face of the search process, which is replaced when it dies."""

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
from core.contract.spec.study_spec import Spec
from core.errors import Problem, SpecError, TrimtabError
from core.search.search_frames import LENGTH, Answer, Call, Number, Proposal, framed

COMMAND = ("-P", "-m", "core.search.process.search_server")
LIVES = 3  # processes that one call may cost before it is given up
PATIENCE_S = 10.0  # for the process to leave after its input was closed
ROOM_S = 1.0  # between two tries on a full disk
FULL = re.compile(r"disk is full|disk I/O error|No space left", re.IGNORECASE)  # SQLite's words, and others'

LARGEST_ANSWER_BYTES = 256 << 20
GIVES: dict[str, Any] = {  # what a method gives; the others nothing that is read
    "count": Number, "ask": Proposal | None, "enqueue": Proposal, "report": str | None, "news": list[str],
    "lacking": list[Number], "strangers": list[Number],
}  # fmt: skip
_answer = msgspec.msgpack.Decoder(Answer)
log = logging.getLogger("trimtab.search")

Curve = tuple[Sequence[int], Sequence[float]]  # steps, and the value at each
Known = tuple[str, tuple[float, ...], dict[str, Any]]  # a trial's state, values and parameters


class Search:
    """One study's search. All calls go one after another to a process of its own, so the event loop
    never waits for a sampler, and torch (the GP sampler's) never enters the engine."""

    command: tuple[str, ...] = COMMAND

    def __init__(self, spec: Spec, folder: Path, note: Callable[[str], object] = lambda text: None) -> None:
        """``note`` is told when the storage finds no room on the disk, once for each wait."""
        self._spec, self._folder, self._note = spec, folder, note
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._next = 0  # the first number that was not handed out

    @property
    def pid(self) -> int | None:
        """The search process, None while there is none."""
        return self._process.pid if self._process else None

    async def open(self) -> None:
        """Create or load the Optuna study.

        Raises SpecError when it does not fit the file, TrimtabError when its storage does not work.
        """
        self._next = await self._call("count")
        for text in await self._call("news"):
            self._note(text)

    async def ask(self) -> Proposal | None:
        """The next trial; None when the space is used up."""
        async with self._asking:  # a second caller must see the number that the first one got
            proposal = await self._call("ask", lambda: [self._next])
            if proposal is not None:  # one that waited in the storage has an earlier number
                self._next = max(self._next, proposal.number + 1)
            return proposal

    async def enqueue(self, params: dict[str, Any], counted: bool) -> Proposal:
        """A trial by hand, with ``params`` of the space; a sampler learns from it where it is ``counted``."""
        async with self._asking:
            proposal = await self._call("enqueue", lambda: [self._next, params, counted])
            self._next = proposal.number + 1
            return proposal

    async def change(self, spec: Spec) -> None:
        """Go on by another ``spec``: the next call begins with the study that fits its space."""
        async with self._turn:
            self._spec = spec
            await self._end()
        await self._call("count")

    async def report(
        self, trial: int, step: int, metrics: dict[str, float], rows: Sequence[float] = ()
    ) -> str | None:
        """Note a reading, with the losses of the validation ``rows`` for a pruner that compares them; the
        reason when it wants the trial ended."""
        return await self._call("report", lambda: [trial, step, metrics, list(rows)])

    async def constrain(self, trial: int, name: str, violation: float) -> None:
        """Note by how much a trial violates a constraint: above 0 it is infeasible, and samplers learn it."""
        await self._call("constrain", lambda: [trial, name, violation])

    async def tell(self, trial: int, state: str, values: tuple[float, ...] = ()) -> None:
        """End a trial: complete (with values), pruned, failed or infeasible. A second time is ignored."""
        await self._call("tell", lambda: [trial, state, list(values)])

    async def reconcile(self, trials: dict[int, Known], readings: Mapping[int, Curve] | None = None) -> None:
        """Make Optuna agree with the journal, whose trials are ``trials``, by number. ``readings`` are theirs
        of the objective; those of trials that Optuna takes no more for are not sent."""
        lacking = await self._call("lacking", lambda: [list(trials)])
        fresh = {number: readings[number] for number in lacking if readings and number in readings}
        await self._call("reconcile", lambda: [trials, fresh])
        self._next = await self._call("count")

    async def strangers(self, known: list[int]) -> list[int]:
        """The numbers of trials with results in the storage that are not of ``known``."""
        return await self._call("strangers", lambda: [known])

    async def close(self) -> None:
        """Let the process go; what it was told is stored."""
        async with self._turn:
            await self._end()

    # -- the process ------------------------------------------------------------------------------

    async def _call(self, method: str, arguments: Any = list) -> Any:
        """The exchange is shielded: a caller that is cancelled must not leave half an answer behind."""
        return await asyncio.shield(asyncio.ensure_future(self._exchange(method, arguments)))

    async def _exchange(self, method: str, arguments: Any) -> Any:
        """A full disk is waited for, as the journal waits: each call may be said twice."""
        async with self._turn:
            told = False
            while True:
                try:
                    return await self._in_some_life(method, arguments)
                except TrimtabError as error:
                    if not FULL.search(str(error)):
                        raise
                    if not told:
                        self._note(f"{error.problems[0].what}; trying again until there is room")
                    told = True
                await asyncio.sleep(ROOM_S)

    async def _in_some_life(self, method: str, arguments: Any) -> Any:
        for _ in range(LIVES):
            try:
                if self._process is None:
                    await self._begin()
                return await self._answer(Call(method, arguments()))
            except (asyncio.IncompleteReadError, ConnectionError):
                await self._end()  # it died: the next one loads the study again
            except msgspec.MsgspecError as error:  # what it says next would be no better
                log.error("the search process of %s answers nonsense: %s", self._folder.name, error)
                await self._end(at_once=True)
        raise TrimtabError.of(
            f"the search process died {LIVES} times while it was asked to {method}",
            str(self._folder / "optuna.db"),
            "the engine's log says why; perhaps memory is short",
        )

    async def _begin(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(paths.root())}
        # a sampler's linear algebra must not take the cores of the training
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        await self._answer(Call("open", [spec_file.to_raw(self._spec), str(self._folder)]))

    async def _answer(self, call: Call) -> Any:
        assert self._process and self._process.stdin and self._process.stdout
        self._process.stdin.write(framed(call))
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
