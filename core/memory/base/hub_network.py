"""Is there a way to the hub? Known within seconds: its library tries again for half a minute and more."""

from __future__ import annotations

import os
import socket
import threading
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

CONNECT_S = 3.0
LOOK_UP_S = 1.0  # more, for a name that no server knows
TRUE = ("1", "on", "yes", "true")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def offline() -> str:
    """The variable that forbids to ask the hub; empty where none does."""
    return next((name for name in OFFLINE if os.environ.get(name, "").lower() in TRUE), "")


def fault() -> str:
    """Why neither the hub nor the proxy before it can be reached, in words; empty where it can, or where
    that is not known. Takes 4 s at most."""
    from huggingface_hub import constants

    try:
        what, target = _target(urlsplit(constants.ENDPOINT))
        host, port = target.hostname, target.port or (80 if target.scheme == "http" else 443)
    except ValueError:  # an address that is none: the library says what is wrong with it
        return ""
    if not host:
        return ""
    answer: list[str] = []
    asking = threading.Thread(target=lambda: answer.append(_connected(host, port)), daemon=True)
    asking.start()
    asking.join(CONNECT_S + LOOK_UP_S)  # looking up a name has no limit of its own
    why = answer[0] if answer else f"no answer in {CONNECT_S + LOOK_UP_S:.0f} s"
    return f"{what} {host}:{port} cannot be reached ({why})" if why else ""


def _target(hub: SplitResult) -> tuple[str, SplitResult]:
    known = getproxies()
    proxy = known.get(hub.scheme) or known.get("all")
    if not proxy or proxy_bypass(hub.hostname or ""):
        return "the hub", hub
    return "the proxy", urlsplit(proxy if "//" in proxy else f"http://{proxy}")


def _connected(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except (OSError, UnicodeError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""
