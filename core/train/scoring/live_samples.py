"""Answers people's prompts between rounds, in pieces, with adapters as they are now."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.contract.spec.study_spec import StudySpec
from core.contract.text.sanitize import sanitize
from core.contract.wire.worker_api import Sample, SamplePiece
from core.errors import TrimtabError
from core.train.adapters.adapter_init import load_saved
from core.train.adapters.adapter_stack import Stack
from core.train.adapters.lora_factors import Factors, copy_frozen
from core.train.base.base_model import Base
from core.train.base.factor_matrix_layout import Place
from core.train.base.shared_pass_check import Survey
from core.train.data.dataset import MASKED, Data
from core.train.probes.prompt_encoder import PromptEncoder, StudyForm
from core.train.scoring.batched_scoring import IDLE_S, RATE, UNIT_S
from core.train.scoring.scoring_budget import Budget
from core.train.step.batched_generation import Generation
from core.train.step.compute_requests import BASE, Prompt
from core.train.step.device_memory import free
from core.train.step.oom_report import is_device_failure, is_out_of_memory

log = logging.getLogger("trimtab.samples")

AT_ONCE = 4  # answers that are generated together
ROUND_SHARE = 0.1  # of a long round that a unit may last, beyond UNIT_S
BEGINNING = 64  # tokens at most of a row without a prompt that are taken as one

Send = Callable[[SamplePiece], None]
Active = Callable[[int], tuple[Factors, int] | None]  # factors and step of a trial that the worker holds


@dataclass(eq=False)
class _Answer:
    """An answer that is being generated; ``drawn`` is the text of a prompt from the rows."""

    message: Sample
    prompt: Prompt
    step: int
    drawn: str


class LiveSamples:
    """Generates the answers that are asked for at the same time together.

    It has a stack of its own and works on copies of the adapters: training does not change by it, and an
    adapter is the same from the first token to the last. While trials train, answers take at most the share
    of the time that scoring may take, and scoring waits for as long.
    """

    def __init__(
        self, spec: StudySpec, base: Base, data: Data, places: list[Place], front: Stack, survey: Survey,
        scoring: Budget, active: Active, send: Send,
    ) -> None:  # fmt: skip
        """Use the gates of ``front``, the training stack; ``send`` sends a piece to the engine."""
        self._spec, self._base, self._data, self._places = spec, base, data, places
        self._survey, self._scoring, self._budget = survey, scoring, Budget(spec.evaluate.budget)
        self._active, self._send = active, send
        self._encoder = PromptEncoder(base, StudyForm(data.system, data.kind))
        self._stack = Stack(base.model.dtype, base.device, front)
        self._at_once = 1 if survey.astray or survey.why_alone else AT_ONCE
        self._queue: deque[Sample] = deque()
        self._answers: list[_Answer] = []
        self._generation: Generation | None = None
        self._turned_at = time.perf_counter()

    @property
    def busy(self) -> bool:
        """Whether any answer is left to give."""
        return bool(self._answers or self._queue)

    def ask(self, message: Sample) -> None:
        """Answer ``message`` with, or after, those before it."""
        self._queue.append(message)

    def cancel(self, ticket: str) -> None:
        """Generate no more of an answer."""
        self._queue = deque(message for message in self._queue if message.ticket != ticket)
        self._keep(lambda answer: answer.message.ticket != ticket)

    def turn(self, training: bool) -> None:
        """Generate the next pieces, if any were asked for and the budget allows it. Raises
        torch.AcceleratorError."""
        began = time.perf_counter()
        round_s, self._turned_at = began - self._turned_at, began
        allowed = self._budget.allows(training)  # always: it notes when training began
        if not self.busy or not allowed:
            return
        unit_s = max(UNIT_S, ROUND_SHARE * round_s) if training else IDLE_S
        try:
            if not self._answers:
                self._begin()
            if self._generation is not None:
                self._go_on(self._generation, began + unit_s)
        except Exception as error:
            if is_device_failure(error):
                raise
            self._recover(error)
        took_s = time.perf_counter() - began
        self._budget.spend(took_s)
        self._scoring.spend(took_s)

    def _begin(self) -> None:
        """Start to generate the answers to the next messages."""
        while self._queue and len(self._answers) < self._at_once:
            message = self._queue.popleft()
            try:
                self._answers.append(self._prepare(message))
            except Exception as error:
                if is_device_failure(error):
                    raise
                self._refuse(message, error)
        adapters = [answer.prompt.mine for answer in self._answers if answer.prompt.mine is not None]
        self._stack.compose([(factors, 1) for factors in adapters])
        if self._answers:
            prompts = [answer.prompt for answer in self._answers]
            self._generation = Generation(self._base, self._stack, self._survey.head, prompts, trees=False)

    def _prepare(self, message: Sample) -> _Answer:
        factors, step = self._find_factors(message)
        ids, drawn = self._read_prompt(message)
        tokens = min(message.max_tokens, self._encoder.context - len(ids))
        if tokens < 1:
            problem = f"the prompt has {len(ids)} tokens, and the model has room for {self._encoder.context}"
            raise TrimtabError.of(problem)
        seed = f"sample {message.seed}" if message.temperature > 0 else ""
        prompt = Prompt(factors, ids, tokens, seed, temperature=message.temperature or 1.0)
        return _Answer(message, prompt, step, drawn)

    def _read_prompt(self, message: Sample) -> tuple[list[int], str]:
        """The tokens of the prompt, in the study's own form as the boards ask; and the text of one that is
        drawn from the validation rows."""
        if message.prompt:
            return self._encoder.request(message.prompt), ""
        rows = self._data.validation
        row = rows[random.Random(f"row {message.seed}").randrange(len(rows))]
        target = next((at for at, label in enumerate(row.labels) if label != MASKED), 0)
        ids = row.ids[: target if target > 1 else min(BEGINNING, max(1, len(row.ids) // 2))].tolist()
        first, last = self._encoder.last_text(ids)
        return ids, self._encoder.text(ids[first:last]).strip() or self._encoder.text(ids)

    def _find_factors(self, message: Sample) -> tuple[Factors | None, int]:
        """A copy of the requested adapter on the base's device, and the steps that it was trained."""
        if message.trial == BASE:
            return None, 0
        active = self._active(message.trial)
        if active is not None:
            copy = copy_frozen(active[0])
            copy.to(self._base.device)  # a paused trial's are in the host's memory
            return copy, active[1]
        if not message.folder:
            raise TrimtabError.of(f"trial {message.trial} is not on this worker any more")
        folder = Path(message.folder)
        saved = load_saved(self._spec, self._base, message.knobs, self._places, folder)
        return copy_frozen(saved), message.step

    def _go_on(self, generation: Generation, until: float) -> None:
        """Read or generate until ``until`` (time.perf_counter), and send all so far."""
        generation.run_until(until, RATE)
        rows = {id(prompt): row for row, prompt in enumerate(generation.prompts)}
        for answer in self._answers:
            ids, is_over = generation.written(rows[id(answer.prompt)])
            self._send(
                SamplePiece(
                    answer.message.ticket, self._encoder.text(ids), len(ids), answer.step, is_over,
                    prompt=answer.drawn,
                )
            )  # fmt: skip
        self._keep(lambda answer: not generation.written(rows[id(answer.prompt)])[1])

    def _keep(self, is_kept: Callable[[_Answer], bool]) -> None:
        """Keep the answers that are ``is_kept``; after the last the memory is released."""
        self._answers = [answer for answer in self._answers if is_kept(answer)]
        if not self._answers and self._generation is not None:
            self._generation = None
            self._stack.compose([])

    def _recover(self, error: Exception) -> None:
        """Report why there are no answers; out of memory, try them again one by one."""
        messages = [answer.message for answer in self._answers]
        self._keep(lambda answer: False)
        if is_out_of_memory(error) and len(messages) > 1:
            free(self._base.device)
            self._at_once = 1
            self._queue.extendleft(reversed(messages))
            return
        for message in messages:
            self._refuse(message, error)

    def _refuse(self, message: Sample, error: Exception) -> None:
        """Report why there is no answer."""
        if is_out_of_memory(error):
            free(self._base.device)
            why = "out of memory next to the trials that train: ask for fewer tokens, or pause a trial"
        elif isinstance(error, TrimtabError):
            why = sanitize(error.problems[0].what, 300)
        else:
            log.error("sample of trial %d", message.trial, exc_info=error)
            why = sanitize(f"{type(error).__name__}: {error}", 300)
        self._send(SamplePiece(message.ticket, done=True, why=why))
