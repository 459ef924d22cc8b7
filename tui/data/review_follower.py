"""Asks the engine for the review of a study's rows until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from core.contract.wire import console_api
from core.contract.wire.answers.data_messages import AskDataReview, DataReview
from core.errors import TrimtabError

AGAIN_S = 1.0  # after an answer without news
OLDER = "the engine gave no answer: it may be an older version"
Ask = Callable[[console_api.AnyRequest], Awaitable[console_api.Answer | None]]
Take = Callable[[DataReview | None, str], None]


async def follow_review(study: str, again: bool, ask: Ask, take: Take) -> None:
    """Call ``take`` with each review that is newer than the one before, or with None and the reason why there
    is none."""
    known_stage = 0
    while True:
        try:
            review = await ask(AskDataReview(study, known_stage, again))
        except TrimtabError as error:
            first = error.problems[0]
            take(None, f"{first.what} → {first.fix}" if first.fix else first.what)
            return
        if not isinstance(review, DataReview):
            take(None, OLDER)
            return
        take(review, "")
        if review.is_done:
            return
        if review.version <= known_stage:
            await asyncio.sleep(AGAIN_S)
        known_stage, again = review.version, False
