"""Where trimtab keeps things: the home folder, the socket, the cache, one folder per study."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from core.errors import TrimtabError

SOCKET_PATH_LIMIT_BYTES = 100  # sun_path holds 108 on Linux, 104 on macOS, with its NUL


def home() -> Path:
    """The home folder: ``$TRIMTAB_HOME``, else the user's data folder. Not created here.

    Raises TrimtabError where the user has none.
    """
    chosen = os.environ.get("TRIMTAB_HOME")
    return expanded(chosen).absolute() if chosen else _of_user(user_data_path)


def cache() -> Path:
    """Converted models and data: ``$TRIMTAB_CACHE``, else the user's cache folder. Where that cannot be
    written, or there is none, it is ``cache`` in ``$TRIMTAB_HOME``, if that is set.

    Raises TrimtabError where the user has no folder at all.
    """
    chosen = os.environ.get("TRIMTAB_CACHE")
    if chosen:
        return expanded(chosen).absolute()
    if not os.environ.get("TRIMTAB_HOME"):
        return _of_user(user_cache_path)
    try:
        usual = _of_user(user_cache_path)
    except TrimtabError:
        return home() / "cache"
    return usual if is_writable(usual) else home() / "cache"


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it has fetched, as its variables say."""
    home_ = os.environ.get("HF_HOME") or str(expanded("~/.cache/huggingface"))
    return expanded(os.environ.get("HF_HUB_CACHE") or Path(home_) / "hub")


def expanded(text: str | Path) -> Path:
    """``text`` with the user's folder in place of ``~``; as it is where there is no such user or folder."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  (that of pathlib raises)


def is_writable(folder: Path) -> bool:
    """Can something be written into ``folder``, or can it be made?"""
    if not folder.is_absolute():  # a "~" that stands for nothing
        return False
    for place in (folder, *folder.parents):
        try:
            if place.exists():
                return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
        except OSError:
            return False
    return False


def _of_user(find: Callable[[str], Path]) -> Path:
    try:
        found = find("trimtab")
    except (
        RuntimeError
    ):  # newer versions of platformdirs; earlier ones leave a "~" that is a folder of that name
        found = Path("~")
    if not found.is_absolute():
        raise TrimtabError.of(
            "this user has no home folder: HOME is not set, and the system knows none",
            f"user {os.getuid()}",
            "set TRIMTAB_HOME to a folder of your own",
        )
    return found


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


def root() -> Path:
    """The folder that holds ``core`` and ``tui``: the checkout, or ``trimtab/`` in an installation."""
    return Path(__file__).resolve().parent.parent
