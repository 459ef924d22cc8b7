"""Report every error in three parts; tracebacks go to a file that the message names, never to the
terminal."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from core import paths
from core.contract.text import safe_printing
from core.contract.text.sanitize import sanitize
from core.contract.text.secret_redaction import Redactor
from core.errors import TrimtabError

TEXT_LIMIT = 2000  # characters of one part of an error
FAILURE, BAD_INPUT, INTERRUPTED = 1, 2, 130  # as in core.cli.exit_codes
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
FILES = (errno.EMFILE, errno.ENFILE)


class UnexpectedError(TrimtabError):
    """An unexpected error, explained in plain words."""


class NotTextError(TrimtabError):
    """A given text contains bytes that are not UTF-8."""

    exit_code = BAD_INPUT


def run_guarded(name: str, run: Callable[[], int]) -> int:
    """Run the program ``name`` and return its exit code; print what it raises on standard error."""
    with safe_printing.print_harmlessly():
        try:
            return _flush_output(run())
        except TrimtabError as error:
            complain(error)
            return _flush_output(error.exit_code)
        except KeyboardInterrupt:
            return _flush_output(INTERRUPTED)
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            _discard_output()
            return 0
        except Exception as error:
            explained = explain_error(error, name)
            complain(explained)
            return _flush_output(explained.exit_code)


def complain(error: TrimtabError) -> None:
    """Print each problem on standard error: what, where, and what to do."""
    with contextlib.suppress(OSError, safe_printing.UnwritableError):  # also full: nothing can be printed
        for problem in error.problems:
            print(f"trimtab: {sanitize(problem.what, TEXT_LIMIT)}", file=sys.stderr)
            if problem.where:
                print(f"  {sanitize(problem.where, TEXT_LIMIT)}", file=sys.stderr)
            if problem.fix:
                print(f"  → {sanitize(problem.fix, TEXT_LIMIT)}", file=sys.stderr)


def explain_error(error: Exception, name: str) -> TrimtabError:
    """Explain ``error`` of the program ``name`` in three parts, and write its traceback to a file."""
    if isinstance(error, UnicodeEncodeError) and _has_surrogates(error.object):
        message = f"this text is not UTF-8: {sanitize(str(error.object), 200)!r}"
        fix = "type it in UTF-8; rename a file or folder with such a name"
        return NotTextError.of(message, "command line, or the folder it is run in", fix)
    traceback_path = keep_traceback(error, name)
    if isinstance(error, OSError) and error.errno is not None:
        message = f"{name} failed: {sanitize(error.strerror or str(error), 300)}"
        location = sanitize(str(error.filename), 300) if error.filename else "the operating system refused it"
        return UnexpectedError.of(
            message, location, f"{find_remedy(error)}; the traceback is in {traceback_path}"
        )
    message = f"{name} failed: {type(error).__name__}: {sanitize(str(error), 400)}"
    fix = "this is a fault of trimtab: please report it with that file"
    return UnexpectedError.of(message, f"the traceback is in {traceback_path}", fix)


def find_remedy(error: BaseException) -> str:
    """Return what to do about an error of the operating system, by its error number."""
    number = error.errno if isinstance(error, OSError) else None
    if number in FULL:
        return "make room there, or set TRIMTAB_HOME to a larger disk"
    if number in FORBIDDEN:
        return "look at its owner and mode, or set TRIMTAB_HOME to a folder of your own"
    if number in FILES:
        return "end other programs, or raise `ulimit -n`"
    return "look at that place; `trimtab doctor` checks folders, disk and locks"


def give_advice(error: BaseException, usual: str, variable: str = "HF_HOME") -> str:
    """Return what to do about an error of a library that reads and downloads files.

    If the cause is a folder that cannot be written or a file that cannot be read, the advice names it, and
    the folder's ``variable``; otherwise it is ``usual``.
    """
    cause: BaseException | None = error
    for _ in range(8):  # causes of causes
        if isinstance(cause, OSError) and cause.errno in (*FORBIDDEN, *FULL):
            place = sanitize(str(cause.filename), 300) if cause.filename else "its cache"
            if cause.errno in FORBIDDEN and cause.filename and Path(cause.filename).is_file():
                return f"{place} cannot be opened: look at its owner and mode"
            return f"{place} cannot be written: set {variable} to a folder of your own, on a disk with room"
        cause = cause.__cause__ or cause.__context__ if cause is not None else None
    return usual


def keep_traceback(error: BaseException, name: str) -> str:
    """Write the traceback of ``error`` to the home folder, or else the temporary folder.

    Returns the file's name, or in words where the error happened and why no file could be written.
    """
    try:
        text = Redactor().redact_text("".join(traceback.format_exception(error)))
    except Exception:  # an exception whose own text cannot be made
        text = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
    reason = ""
    for open_ in (_open_in_home, _open_in_temporary):
        try:
            path, file = open_(name)
            with os.fdopen(file, "w", encoding="utf-8", errors="replace") as out:
                out.write(text)
            return path
        except (OSError, TrimtabError) as refused:
            reason = refused.strerror or "" if isinstance(refused, OSError) else str(refused)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = (
        "".join(f"{Path(frame.filename).name}, line {frame.lineno}" for frame in last) or "an unknown place"
    )
    return f"no file, because none can be written ({sanitize(reason, 100)}); it happened in {place}"


def _open_in_home(name: str) -> tuple[str, int]:
    """Return the program's traceback file, which only holds the latest: the files never become many."""
    path = str(paths.home() / f"error-{name.removeprefix('trimtab ').replace(' ', '-')}.log")
    return path, paths.open_without_link(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _open_in_temporary(name: str) -> tuple[str, int]:
    file, path = tempfile.mkstemp(prefix="trimtab-error-", suffix=".log")
    return path, file


def _has_surrogates(text: object) -> bool:
    """Tell whether the text contains bytes that Python could not decode."""
    return isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text)


def _flush_output(code: int) -> int:
    """Flush standard output and return ``code``, or 1 if it cannot be written, such as on a full disk."""
    try:
        for stream in _list_streams():
            stream.flush()
    except BrokenPipeError:
        _discard_output()
    except safe_printing.UnwritableError as error:
        complain(error)
        _discard_output()
        return code or FAILURE
    return code


def _discard_output() -> None:
    """Discard the remaining output, which the interpreter would otherwise try to write when it exits."""
    for stream in _list_streams():
        try:
            stream.flush()
        except (OSError, safe_printing.UnwritableError):
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _list_streams() -> list[TextIO]:
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
