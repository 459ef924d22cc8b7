"""Answers what the checks find in a study's rows, and which tokens of a row are learnt, from processes of
their own: the engine neither reads rows nor loads a tokenizer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.contract.state import engine_state as s
from core.contract.text.secret_redaction import Redactor
from core.contract.wire.answers.data_messages import (
    LARGEST_LINE_BYTES,
    AskDataReview,
    AskDataRow,
    DataReview,
    DataRow,
)
from core.errors import TrimtabError
from core.store import run_folder

REVIEW, ROWS = (
    "core.data.review.review_process",
    "core.train.commands.mark_learnt_tokens",
)  # modules of the processes
WAIT_S = 10.0  # for something new; then the answer is what there is, and the console asks on
ROW_WITHIN_S = 300.0  # a tokenizer may have to be downloaded, and a large file read up to the row
IDLE_S = 120.0  # without a question, after which the process with the tokenizer ends
LOG = "the engine's log has the details: `trimtab logs`"
UNCHECKED = "these rows have not been checked; a console without --read-only, or `trimtab check`, does it"
Environment = Callable[[str], Mapping[str, str]]
Moment = tuple[object, ...]  # what a review depends on
log = logging.getLogger("trimtab.data")


async def _start(module: str, study: s.Study, environment: Environment, *extra_arguments: str) -> Any:
    """Start a process that reads the study's rows. It ends when its standard input is closed."""
    variables = {
        **environment(study.name), "PYTHONPATH": str(paths.find_root()), "CUDA_VISIBLE_DEVICES": "",
        "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    file = Path(study.folder) / run_folder.SPEC_FILE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, str(file), *extra_arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LARGEST_LINE_BYTES,
        start_new_session=True, env=variables,
    )  # fmt: skip


async def _end(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


class _Review:
    """A check of a study's rows, under way or done."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.latest = DataReview(version=1, stage="waiting for another check")
        self._news = asyncio.Condition()

    async def wait(self, known_version: int) -> DataReview:
        """Return the review once it is newer than ``known_version`` or done, or after some seconds."""
        async with self._news:
            with contextlib.suppress(TimeoutError):
                new = self._news.wait_for(lambda: self.latest.is_done or self.latest.version > known_version)
                await asyncio.wait_for(new, WAIT_S)
        return self.latest

    async def note(self, review: DataReview) -> None:
        """Take what the process says."""
        async with self._news:
            self.latest = msgspec.structs.replace(review, version=self.latest.version + 1)
            self._news.notify_all()


class DataReviews:
    """One check at a time; the latest of each study is kept."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._reviews: dict[str, _Review] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def answer(self, study: s.Study, request: AskDataReview) -> DataReview:
        """Return what is known; begin a check where there is none, or none of these files."""
        review, known = self._reviews.get(study.name), request.known
        if request.only_known and review is None:
            return DataReview(is_done=True, why_none=UNCHECKED)
        if review is None or (review.latest.is_done and not request.only_known):
            moment = await asyncio.to_thread(_find_moment, study)
            before, review = review, self._reviews.get(study.name)  # another console may have begun one
            if review is None or (review is before and (request.again or review.moment != moment)):
                review, known = _Review(moment), 0
                self._reviews[study.name] = review
                self._begin(study, review, request.again)
        return Redactor().redact_all(await review.wait(known))

    async def close(self) -> None:
        """End the checks under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, study: s.Study, review: _Review, again: bool) -> None:
        task = asyncio.create_task(self._run(study, review, again))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, study: s.Study, review: _Review, again: bool) -> None:
        async with self._turn:
            await review.note(DataReview(stage="reading the study"))
            try:
                await self._follow(study, review, again)
            except Exception as error:
                log.exception("the rows of %s cannot be checked", study.name)
                await review.note(DataReview(is_done=True, why_none=f"the check failed: {error}; {LOG}"))
            if not review.latest.is_done:
                await review.note(DataReview(is_done=True, why_none=f"the check ended early; {LOG}"))

    async def _follow(self, study: s.Study, review: _Review, again: bool) -> None:
        process = await _start(REVIEW, study, self._environment, *(["again"] if again else []))
        try:
            while line := await process.stdout.readline():
                await review.note(msgspec.json.decode(line, type=DataReview))
        finally:
            await _end(process)


class RowAnswers:
    """At most one process with a tokenizer, that of the study which was asked about last."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._turn = asyncio.Lock()
        self._process: Any = None
        self._study: tuple[str, float] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self, study: s.Study, request: AskDataRow) -> DataRow:
        """Return a row, or why there is none."""
        async with self._turn:
            if self._timer is not None:
                self._timer.cancel()
            try:
                row = await asyncio.wait_for(self._ask(study, request), ROW_WITHIN_S)
            except TimeoutError:
                await self._drop()
                why = f"the row was not read within {ROW_WITHIN_S:.0f} s: the source is too large"
                return DataRow(request.source, request.row, why_none=why)
            except BaseException:  # half an answer may be left in the pipe
                await self._drop()
                raise
            self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._kill)
            return Redactor().redact_all(row)

    async def close(self) -> None:
        """End the process."""
        if self._timer is not None:
            self._timer.cancel()
        await self._drop()

    async def _ask(self, study: s.Study, request: AskDataRow) -> DataRow:
        process = await self._get_process(study)
        process.stdin.write(msgspec.json.encode(request) + b"\n")
        line = await process.stdout.readline()
        if not line:
            raise TrimtabError.of("the process that reads rows ended", f"study {study.name}", LOG)
        return msgspec.json.decode(line, type=DataRow)

    async def _get_process(self, study: s.Study) -> Any:
        study_key = study.name, study.created_at
        if self._process is None or self._process.returncode is not None or self._study != study_key:
            await self._drop()
            self._process = await _start(ROWS, study, self._environment)
            self._study = study_key
        return self._process

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await _end(process)


def _find_moment(study: s.Study) -> Moment:
    """Return the study and the stamps of its files."""
    from core.data.review.source_stamps import stamp_files  # it loads the readers of all formats

    spec = study.settings
    return (
        study.created_at,
        msgspec.json.encode([spec.data, spec.evaluate, spec.train, spec.space]),
        stamp_files(spec),
    )
