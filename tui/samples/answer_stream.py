"""An answer to a prompt as it comes: asked, queued, written piece by piece, done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from core.contract.wire import console_api
from core.contract.wire.sample_messages import AskSample, CancelSample, FollowSample, SampleText
from core.errors import TrimtabError

Ask = Callable[[console_api.AnyRequest], Awaitable[console_api.Answer | None]]
Stage = Literal["queued", "writing", "done", "cancelled", "refused"]


@dataclass
class Answer:
    """An answer as far as it is known; ``why`` and ``fix`` of one that was refused."""

    request: AskSample
    stage: Stage = "queued"
    text: SampleText = field(default_factory=lambda: SampleText(""))
    why: str = ""
    fix: str = ""

    @property
    def is_open(self) -> bool:
        """Whether more of it is to come."""
        return self.stage in ("queued", "writing")

    @property
    def prompt(self) -> str:
        """The prompt: the given one, or the drawn one once it is known."""
        return self.request.prompt or self.text.prompt

    def cancel(self) -> CancelSample | None:
        """End it here; return the request that ends it in the engine, if that has it."""
        if not self.is_open:
            return None
        self.stage = "cancelled"
        return CancelSample(self.request.study, self.text.ticket) if self.text.ticket else None


async def follow(answer: Answer, ask: Ask, changed: Callable[[], None]) -> None:
    """Ask for the answer and take its pieces until it is done, cancelled or refused."""
    try:
        _take(answer, await ask(answer.request))
        while answer.is_open:
            changed()
            text = answer.text
            _take(answer, await ask(FollowSample(answer.request.study, text.ticket, text.tokens)))
    except TrimtabError as error:
        if answer.is_open:
            first = error.problems[0]
            answer.stage, answer.why, answer.fix = "refused", first.what, first.fix
    changed()


def _take(answer: Answer, text: console_api.Answer | None) -> None:
    """Take what has come; of an answer that was cancelled meanwhile, nothing."""
    if not answer.is_open:
        return
    if not isinstance(text, SampleText):
        answer.stage, answer.why = "refused", "the engine gave no answer: it may be an older version"
        return
    answer.text = text
    if text.why:
        answer.stage, answer.why = "refused", text.why
    elif text.done:
        answer.stage = "done"
    elif text.tokens:
        answer.stage = "writing"
