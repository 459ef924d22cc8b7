"""Run a hook's command, or send its message to its URL. Both block and are called in a thread."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import msgspec

from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import HIDDEN, Redactor
from core.daemon.event_hooks.hook_messages import Message
from core.daemon.event_hooks.hook_settings import LOCAL_HOSTS, Hook

LIMIT_S = 10.0  # of a command, and of each wait for a server
PAUSES_S = (2.0, 8.0)  # before the second and the third try
KEPT_OUTPUT_BYTES, SHOWN_OUTPUT = 4096, 400
DRAIN_S = 0.5  # for output that is still in the pipe when the command has ended
LATER_STATUS = (408, 425, 429)  # and 5xx: a later try may succeed

Pause = Callable[[float], bool]  # waits; True: do not try again


class Outcome(msgspec.Struct, frozen=True):
    """What came of a delivery, in words that hold no secret."""

    ok: bool
    text: str


def deliver(hook: Hook, message: Message, home: Path, pause: Pause) -> Outcome:
    """Run the command in ``home``, or post the message, three times at most."""
    outcome = _run(hook, message, home) if hook.command else _post_patiently(hook, message, pause)
    return Outcome(outcome.ok, _hide_secrets(hook, sanitize(outcome.text, 600)))


def _hide_secrets(hook: Hook, text: str) -> str:
    """Remove secrets and all of the URL except its host."""
    parts = urlsplit(hook.url)
    fields = parts.query.split("&")
    values = [field.partition("=")[2] for field in fields]
    secrets = {hook.url, parts.path, parts.query, *parts.path.split("/"), *fields, *values}
    for secret in sorted({*secrets, *map(unquote, secrets)}, key=len, reverse=True):
        if len(secret) > 3:
            text = text.replace(secret, HIDDEN)
    return Redactor().redact_text(text)


# -- a command ---------------------------------------------------------------------------------------


def _run(hook: Hook, message: Message, home: Path) -> Outcome:
    command = [word.replace("{text}", message.text) for word in hook.command]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=home,
            env={**os.environ, **message.as_variables()},
            start_new_session=True,  # so that all that it starts can be ended
        )
    except (OSError, ValueError) as error:
        return Outcome(False, f"cannot be started: {getattr(error, 'strerror', None) or error}")
    output = bytearray()
    assert process.stdin is not None and process.stdout is not None
    feeder = _start_thread(_feed, process.stdin, message.as_json())
    drain = _start_thread(_read_output, process.stdout, output)
    try:
        code = process.wait(LIMIT_S)
        result = f"exit code {code}"
    except subprocess.TimeoutExpired:
        _kill_group(process)
        code, result = 1, f"killed after {LIMIT_S:g} s"
    feeder.join(DRAIN_S)
    drain.join(DRAIN_S)
    shown = sanitize(bytes(output).decode(errors="replace").strip(), SHOWN_OUTPUT)
    return Outcome(code == 0, f"{result}: {shown}" if shown else result)


def _start_thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _feed(pipe: IO[bytes], content: bytes) -> None:
    with contextlib.suppress(OSError), pipe:  # a command need not read it
        pipe.write(content)


def _read_output(pipe: IO[bytes], output: bytearray) -> None:
    """Read until the pipe's end, so that the command never waits, and keep the beginning."""
    with contextlib.suppress(OSError), pipe:
        while part := os.read(pipe.fileno(), 1 << 16):
            output += part[: KEPT_OUTPUT_BYTES - len(output)]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# -- a URL -------------------------------------------------------------------------------------------


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect may lead to any host: the message is sent to the one that the user wrote."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post_patiently(hook: Hook, message: Message, pause: Pause) -> Outcome:
    tries = 0
    for wait_s in (*PAUSES_S, None):
        tries += 1
        outcome, again = _post(hook, message)
        if outcome.ok or not again or wait_s is None or pause(wait_s):
            break
    return outcome if tries == 1 else Outcome(outcome.ok, f"{outcome.text} (try {tries})")


def _post(hook: Hook, message: Message) -> tuple[Outcome, bool]:
    """Send the message once; also return whether a later try may succeed."""
    headers = {"Content-Type": "application/json", "User-Agent": "trimtab"}
    request = urllib.request.Request(hook.url, message.as_json(), headers, method="POST")
    try:
        with _make_opener(hook).open(request, timeout=LIMIT_S) as answer:
            return Outcome(True, f"HTTP {answer.status}"), False
    except urllib.error.HTTPError as error:
        with error:
            return _explain_status(error)
    except urllib.error.URLError as error:
        return Outcome(False, f"not reached: {_explain_error(error.reason)}"), not _is_distrust(error.reason)
    except (OSError, http.client.HTTPException) as error:
        return Outcome(False, f"not reached: {_explain_error(error)}"), True


def _make_opener(hook: Hook) -> urllib.request.OpenerDirector:
    """Return an opener that uses the proxy of the environment, except to this machine."""
    is_local = urlsplit(hook.url).hostname in LOCAL_HOSTS
    return urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({} if is_local else None))


def _explain_status(error: urllib.error.HTTPError) -> tuple[Outcome, bool]:
    if 300 <= error.code < 400:
        return Outcome(False, f"HTTP {error.code}: a redirect, which is not followed"), False
    try:
        body = error.read(KEPT_OUTPUT_BYTES).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        body = ""
    text = f"HTTP {error.code}: {sanitize(body, 100)}" if body else f"HTTP {error.code}"
    return Outcome(False, text), error.code >= 500 or error.code in LATER_STATUS


def _is_distrust(reason: object) -> bool:
    return isinstance(reason, ssl.SSLCertVerificationError)


def _explain_error(error: object) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
