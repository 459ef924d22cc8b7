"""Sends one query at a time; of queries that arrive meanwhile only the newest is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.contract.wire import console_api
from core.errors import TrimtabError

Ask = Callable[[console_api.AnyRequest], Awaitable[console_api.Answer | None]]
Take = Callable[[console_api.Answer | None, str], None]


class Latest:
    """Calls ``take`` with the answer, or with None and the reason. An answer that was overtaken by a
    newer query is dropped."""

    def __init__(self, ask: Ask, take: Take) -> None:
        self._ask, self._take = ask, take
        self._wish: console_api.AnyRequest | None = None
        self.busy = False

    async def send(self, request: console_api.AnyRequest) -> None:
        """Send ``request`` as soon as no query is in flight, unless a newer one replaces it."""
        self._wish = request
        if self.busy:
            return
        self.busy = True
        try:
            while (wish := self._wish) is not None:
                answer, why = await self._answer(wish)
                if wish is self._wish:
                    self._wish = None
                    self._take(answer, why)
        finally:
            self.busy = False

    async def _answer(self, request: console_api.AnyRequest) -> tuple[console_api.Answer | None, str]:
        try:
            answer = await self._ask(request)
        except TrimtabError as error:
            problem = error.problems[0]
            return None, f"{problem.what} → {problem.fix}" if problem.fix else problem.what
        return (
            answer,
            "" if answer is not None else "the engine gave no answer: it may be an older version",
        )
