"""Where trimtab keeps things: the home folder, the socket, the cache, one folder per study."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from core.errors import EngineError, TrimtabError


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


def hub_cache(environment: Mapping[str, str] | None = None) -> Path:
    """Where huggingface_hub keeps what it has fetched, as the variables of ``environment`` say, by default
    this process's own."""
    said = os.environ if environment is None else environment
    home_ = said.get("HF_HOME") or str(expanded("~/.cache/huggingface"))
    return expanded(said.get("HF_HUB_CACHE") or Path(home_) / "hub")


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


def private(folder: Path, kind: type[TrimtabError] = TrimtabError) -> Path:
    """Make ``folder`` readable by its owner alone (0700) and return it.

    Raises ``kind`` when it cannot be made, is a link or a file, or belongs to someone else.
    """
    fix = "set TRIMTAB_HOME to a folder you can write to"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except FileExistsError as error:
        raise kind.of("this is a file or a link to nothing, not a folder", str(folder), fix) from error
    except OSError as error:
        raise kind.of(f"cannot make the folder: {error.strerror}", str(folder), fix) from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
        raise kind.of(
            f"the folder {'is a link' if stat.S_ISLNK(found.st_mode) else 'belongs to another user'}",
            str(folder),
            "remove it, or set TRIMTAB_HOME to a folder of your own",
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        try:
            folder.chmod(0o700)
        except OSError as error:
            raise kind.of(f"cannot be made private: {error.strerror}", str(folder), fix) from error
    return folder


def refuse_strange_home(of_home: Path | None = None) -> bool:
    """Is the home folder there? Raises EngineError for one that cannot be read, is a link or a file, or
    belongs to another user: what stands in it may have been written to be believed."""
    folder, fix = of_home or home(), "set TRIMTAB_HOME to a folder of your own"
    try:
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            os.scandir(folder).close()
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise EngineError.of(f"the home folder cannot be read: {error.strerror}", str(folder), fix) from error
    kind = "link" if stat.S_ISLNK(found.st_mode) else "" if stat.S_ISDIR(found.st_mode) else "file"
    what = f"is a {kind}, not a folder" if kind else f"belongs to another user (uid {found.st_uid})"
    raise EngineError.of(f"the home folder {what}", str(folder), fix)


def is_own(path: Path) -> bool:
    """Is it a file or folder, no link, of this user or of root?"""
    try:
        found = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(found.st_mode) and found.st_uid in (os.getuid(), 0)


def no_link(path: str, flags: int) -> int:
    """An ``opener`` for ``open``: what it makes is its owner's alone; raises OSError for a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def keep(file: Path, content: bytes) -> None:
    """Write a file of the cache at once and whole. What cannot be kept is made again the next time."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.new")
    with contextlib.suppress(OSError, TrimtabError):
        private(file.parent)
        with open(aside, "wb", opener=no_link) as out:
            out.write(content)
        aside.rename(file)


def socket_path(of_home: Path | None = None) -> Path:
    """The engine's Unix socket, in the home folder; it is reached by ``core.contract.wire.local_socket``."""
    return (of_home or home()) / "engine.sock"


def lock_path(of_home: Path | None = None) -> Path:
    """The file whose lock says that an engine lives."""
    return (of_home or home()) / "engine.lock"


def engine_log(of_home: Path | None = None) -> Path:
    """What the engine writes when it has something to say."""
    return (of_home or home()) / "engine.log"


def studies(of_home: Path | None = None) -> Path:
    """The folder of the studies' folders."""
    return (of_home or home()) / "studies"


def replaced(of_home: Path | None = None) -> Path:
    """Where the folders of studies lie that trained nothing and were begun anew."""
    return (of_home or home()) / "replaced"


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
        place = (folder or Path()) / expanded(text)
        return str(place.absolute()) if place.exists() else text
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, no such user
        return text


def root() -> Path:
    """The folder that holds ``core`` and ``tui``: the checkout, or ``trimtab/`` in an installation."""
    return Path(__file__).resolve().parent.parent
