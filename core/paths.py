"""Where trimtab keeps things: the home folder, the socket, the cache, one folder per study."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from core.errors import TrimtabError

SOCKET_PATH_LIMIT_BYTES = 100  # sun_path holds 108 on Linux, 104 on macOS, with its NUL


def home() -> Path:
    """The home folder: ``$TRIMTAB_HOME``, else the user's data folder. Not created here."""
    chosen = os.environ.get("TRIMTAB_HOME")
    return Path(chosen).expanduser().absolute() if chosen else user_data_path("trimtab")


def cache() -> Path:
    """Converted models and data: ``$TRIMTAB_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("TRIMTAB_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("trimtab")


def private(folder: Path) -> Path:
    """Make ``folder`` readable by its owner alone (0700) and return it.

    Raises TrimtabError when it cannot be made, is a link, or belongs to someone else.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise TrimtabError.of(
            f"cannot make the folder: {error.strerror}",
            str(folder),
            "set TRIMTAB_HOME to a folder you can write to",
        ) from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
        raise TrimtabError.of(
            "the folder is a link or belongs to another user",
            str(folder),
            "remove it, or set TRIMTAB_HOME to a folder of your own",
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def no_link(path: str, flags: int) -> int:
    """An ``opener`` for ``open``: what it makes is its owner's alone; raises OSError for a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def socket_path(of_home: Path | None = None) -> Path:
    """The engine's Unix socket: in the home folder, or, where that path is too long for a
    socket, in a 0700 folder under the temporary folder named by the home's hash."""
    base = of_home or home()
    plain = base / "engine.sock"
    if len(os.fsencode(plain)) <= SOCKET_PATH_LIMIT_BYTES:
        return plain
    digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"trimtab-{os.getuid()}-{digest}" / "engine.sock"


def lock_path(of_home: Path | None = None) -> Path:
    """The file whose lock says that an engine lives."""
    return (of_home or home()) / "engine.lock"


def engine_log(of_home: Path | None = None) -> Path:
    """What the engine writes when it has something to say."""
    return (of_home or home()) / "engine.log"


def studies(of_home: Path | None = None) -> Path:
    """The folder of the studies' folders."""
    return (of_home or home()) / "studies"


def study_folder(study: str, of_home: Path | None = None) -> Path:
    """One study's folder; its name has been checked by the spec."""
    return studies(of_home) / study


def here(text: str, folder: Path | None = None) -> str:
    """``text`` as an absolute path where there is such a file or folder, seen from ``folder`` (the current
    one); else, such as a hub's id or "demo:…", as it is.

    Links stay: caches keep files without their endings and link to them by their names.
    """
    if text.startswith("demo:"):
        return text
    try:
        place = (folder or Path()) / Path(text).expanduser()
        return str(place.absolute()) if place.exists() else text
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, no such user
        return text


def root() -> Path:
    """The folder that holds ``core`` and ``tui``: the checkout, or ``trimtab/`` in an installation."""
    return Path(__file__).resolve().parent.parent
