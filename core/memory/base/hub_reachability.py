"""Checks within seconds whether the hub can be reached; its library would retry for half a minute or
longer."""

from __future__ import annotations

import os
import socket
import threading
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

CONNECT_S = 3.0
LOOK_UP_S = 1.0  # added for a name lookup that gets no answer
TRUE = ("1", "on", "yes", "true")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def explain_offline() -> str:
    """The environment variable that forbids access to the hub, else ""."""
    return next((name for name in OFFLINE if os.environ.get(name, "").lower() in TRUE), "")


def find_fault() -> str:
    """Why neither the hub nor its proxy can be reached, else "" (also if that is unknown). Takes at most
    4 s."""
    from huggingface_hub import constants

    try:
        description, target = _find_target(urlsplit(constants.ENDPOINT))
        host, port = target.hostname, target.port or (80 if target.scheme == "http" else 443)
    except ValueError:  # a malformed address: the library reports it
        return ""
    if not host:
        return ""
    answer: list[str] = []
    connecting = threading.Thread(target=lambda: answer.append(_try_connecting(host, port)), daemon=True)
    connecting.start()
    connecting.join(CONNECT_S + LOOK_UP_S)  # a name lookup has no timeout of its own
    why = answer[0] if answer else f"no answer in {CONNECT_S + LOOK_UP_S:.0f} s"
    return f"{description} {host}:{port} cannot be reached ({why})" if why else ""


def _find_target(hub: SplitResult) -> tuple[str, SplitResult]:
    proxies = getproxies()
    proxy = proxies.get(hub.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(hub.hostname or ""):
        return "the hub", hub
    return "the proxy", urlsplit(proxy if "//" in proxy else f"http://{proxy}")


def _try_connecting(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except (OSError, UnicodeError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""
