"""aiohttp connections to the engine, opened and checked by ``core.contract.wire.local_socket``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp

from core.contract.wire import local_socket


class OwnConnector(aiohttp.UnixConnector):
    """``pid`` is the process that listens, once connected; 0 if it is unknown."""

    def __init__(self, address: Path) -> None:
        super().__init__(path=str(address))
        self.address = address
        self.pid = 0

    async def _create_connection(self, *_: Any) -> Any:
        deadline = time.monotonic() + local_socket.FULL_S
        while True:
            try:
                connection, self.pid = local_socket.connect(self.address)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise local_socket.explain_crowding(self.address) from error
            await asyncio.sleep(local_socket.RETRY_S)
        loop = asyncio.get_running_loop()
        return (await loop.create_unix_connection(self._factory, sock=connection))[1]
