"""The demo's training data, made offline: questions and answers from the standard library's docstrings."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import io
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from core import paths
from core.train.progress_callback import Progress

# Modules whose import has side effects (a browser, a window, a game), or that make no sense here.
SKIPPED = frozenset(
    {
        "antigravity", "this", "idlelib", "turtle", "turtledemo", "tkinter", "test", "lib2to3", "__main__",
        "__hello__", "__phello__", "site", "sitecustomize", "usercustomize", "rlcompleter", "ensurepip",
        "venv", "msilib", "nt", "winreg", "winsound", "msvcrt", "pydoc_data", "ntpath",
    }
)  # fmt: skip
SUBMODULES = (
    "asyncio.subprocess", "collections.abc", "concurrent.futures", "curses.ascii",
    "email.message", "email.utils",
    "html.parser", "http.client", "http.cookies", "http.server", "importlib.metadata", "importlib.resources",
    "importlib.util", "json.decoder", "json.encoder", "logging.config", "logging.handlers",
    "multiprocessing.connection", "multiprocessing.pool", "multiprocessing.shared_memory", "os.path",
    "unittest.mock", "urllib.error", "urllib.parse", "urllib.request", "urllib.robotparser", "wsgiref.util",
    "xml.dom.minidom", "xml.etree.ElementTree", "xml.sax.handler", "xml.sax.saxutils", "xmlrpc.client",
)  # fmt: skip
SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)", re.DOTALL)
SHORTEST, LONGEST = 12, 240  # allowed characters of an answer


def load_pairs(progress: Progress) -> list[dict[str, str]]:
    """The pairs from the cache, or freshly read if this interpreter and this code have not cached them."""
    file = paths.cache() / f"stdlib-{digest()}.json"
    with (
        contextlib.suppress(OSError, ValueError),
        open(file, "rb", opener=paths.open_without_link) as cache_file,
    ):
        return msgspec.json.decode(cache_file.read(), type=list[dict[str, str]])
    rows = find_pairs(progress)
    paths.keep(file, msgspec.json.encode(rows))
    return rows


def digest() -> str:
    """What the pairs depend on: this interpreter and this code."""
    reader = Path(__file__).read_bytes()
    return hashlib.sha256(f"{sys.version} {sys.prefix}".encode() + reader).hexdigest()[:24]


def find_pairs(progress: Progress) -> list[dict[str, str]]:
    """Build rows with prompt, completion and group (the top-level module), in a stable order."""
    rows: dict[str, dict[str, str]] = {}
    names = sorted({*sys.stdlib_module_names, *SUBMODULES} - SKIPPED)
    for count, name in enumerate(names):
        if count % 20 == 0:
            progress("reading the standard library", count, len(names), "modules")
        module = None if name.startswith("_") else _import(name)
        if module is not None:
            for prompt, completion in _list_module_pairs(name, module):
                rows.setdefault(
                    prompt, {"prompt": prompt, "completion": completion, "group": name.split(".")[0]}
                )
    return list(rows.values())


def _import(name: str) -> Any:
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except Exception:  # not available on this system
            return None


def find_first_sentence(text: object) -> str:
    """The first sentence of a docstring on one line; "" unless its length is in SHORTEST … LONGEST."""
    paragraph = " ".join(
        (inspect.cleandoc(text if isinstance(text, str) else "").split("\n\n") or [""])[0].split()
    )
    match = SENTENCE.match(paragraph)
    sentence = match.group(1) if match else paragraph
    return sentence if SHORTEST <= len(sentence) <= LONGEST else ""


def _list_module_pairs(name: str, module: Any) -> Iterator[tuple[str, str]]:
    about = find_first_sentence(module.__doc__)
    if about:
        yield f"What is the Python module `{name}` for?", about
    for member, value in sorted(vars(module).items()):
        owner = getattr(value, "__module__", None) or ""
        own = owner.lstrip("_").startswith(name.split(".")[0]) or (name, owner) == ("os.path", "posixpath")
        if member.startswith("_") or not own:
            continue
        full = f"{name}.{member}"
        if inspect.isclass(value):
            yield from _list_class_pairs(full, value)
        elif callable(value):
            yield from _list_callable_pairs(full, value)


def _list_class_pairs(full: str, value: type) -> Iterator[tuple[str, str]]:
    about = find_first_sentence(vars(value).get("__doc__"))
    if issubclass(value, BaseException):
        base = value.__bases__[0].__name__
        yield f"Which exception does `{full}` derive from?", f"`{full}` derives from `{base}`."
        if about:
            yield f"What does the exception `{full}` mean?", about
    elif about:
        yield f"What is the class `{full}`?", about
    for name, method in sorted(vars(value).items()):
        if not name.startswith("_") and callable(method):
            yield from _list_callable_pairs(f"{full}.{name}", method)


def _list_callable_pairs(full: str, value: Any) -> Iterator[tuple[str, str]]:
    about = find_first_sentence(getattr(value, "__doc__", None))
    if about:
        yield f"What does `{full}` do in Python?", about
    try:
        signature = str(inspect.signature(value))
    except Exception:  # a built-in's text signature may name objects that do not exist here
        return
    if " at 0x" not in signature and len(signature) < LONGEST // 2:  # an address differs between runs
        yield f"What is the signature of `{full}`?", f"`{full.split('.')[-1]}{signature}`"
