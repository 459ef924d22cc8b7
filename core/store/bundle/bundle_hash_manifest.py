"""A folder with a manifest of SHA-256 hashes: written atomically, and read only if every hash matches."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core import paths
from core.contract.text.sanitize import sanitize
from core.errors import Problem, TrimtabError
from core.store.input_fingerprints import hash_file

MANIFEST = "manifest.json"
FORMAT = "trimtab bundle 1"
MOST_FILES, MOST_BYTES = 20_000, 200 << 30  # limits for a zip that is unpacked
SHOWN = 5  # files to name in an error


class BundleError(TrimtabError):
    """The folder or zip is not a valid bundle."""

    exit_code = 2


def make_manifest(target: Path, fill: Callable[[Path], dict[str, Any]], force: bool, zipped: bool) -> Path:
    """Let ``fill`` write into a temporary folder, add the manifest, and move it to ``target`` (with
    ``zipped`` to ``target``.zip). The manifest includes what ``fill`` returns. Returns the path.

    Raises TrimtabError if anything but a bundle is there, or the disk is full; then nothing has changed.
    ``force`` moves such a folder aside and never deletes it.
    """
    end = target.with_name(f"{target.name}.zip") if zipped else target
    _refuse_overwrite(end, force)
    aside = target.with_name(f".{target.name}.new-{secrets.token_hex(4)}")
    try:
        end.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir(mode=0o755)
        _seal(aside, fill(aside))
        _place(_zip(aside, target.name) if zipped else aside, end)
    except OSError as error:
        message = f"the bundle cannot be written: {sanitize(str(error), 300)}"
        fix = "free disk space and check permissions, or give another folder with --out; nothing was changed"
        raise TrimtabError.of(message, str(end), fix) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        _zip_of(aside).unlink(missing_ok=True)
    return end


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest. Raises BundleError if it is missing or not trimtab's."""
    try:
        if not (folder / MANIFEST).is_file():  # reading a pipe would block
            raise FileNotFoundError(f"there is no {MANIFEST}")
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        if manifest["format"] != FORMAT or not all(_is_inside(name) for name in manifest["files"]):
            raise ValueError(f"the format is {manifest['format']!r}")
        return dict(manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError.of(
            f"this is not a bundle: {sanitize(f'{type(error).__name__}: {error}', 200)}",
            str(folder),
            "give a folder or zip that `trimtab export` wrote",
        ) from error


def check(folder: Path) -> dict[str, Any]:
    """Read the manifest and verify every file. Raises BundleError that names files that differ."""
    manifest = read_manifest(folder)
    wrong = [name for name, entry in manifest["files"].items() if _is_different(folder / name, entry)]
    if wrong:
        others_text = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise BundleError.of(
            f"files changed since the export: {sanitize(', '.join(wrong[:SHOWN]), 400)}{others_text}",
            str(folder),
            "use the unchanged bundle; to run a changed study, use `trimtab run`",
        )
    return manifest


@contextlib.contextmanager
def open_bundle(bundle: Path, scratch: Path) -> Iterator[Path]:
    """Return the bundle's folder; a zip is unpacked into ``scratch``. Raises BundleError."""
    if bundle.is_dir():
        yield bundle
        return
    try:
        with zipfile.ZipFile(bundle) as file:
            names = [entry for entry in file.infolist() if not entry.is_dir()]
            if len(names) > MOST_FILES or sum(entry.file_size for entry in names) > MOST_BYTES:
                raise ValueError("the zip is too large")
            if not all(_is_inside(entry.filename) for entry in names):
                raise ValueError("a file name in the zip leads out of its folder")
            file.extractall(scratch, names)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise BundleError.of(
            f"this is not a bundle's folder or zip: {sanitize(str(error), 200)}",
            str(bundle),
            "give a folder or zip that `trimtab export` wrote",
        ) from error
    yield next((manifest.parent for manifest in sorted(scratch.rglob(MANIFEST))), scratch)


def _is_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _is_different(path: Path, entry: dict[str, Any]) -> bool:
    try:
        return path.is_symlink() or not path.is_file() or hash_file(path) != entry["sha256"]
    except (OSError, KeyError, TypeError):
        return True


def _seal(folder: Path, content: dict[str, Any]) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {
        file.relative_to(folder).as_posix(): {"sha256": hash_file(file), "bytes": file.stat().st_size}
        for file in files
    }
    text = json.dumps({"format": FORMAT, **content, "files": sums}, indent=1)
    (folder / MANIFEST).write_text(text, "utf-8")
    for path in (*files, folder / MANIFEST):
        paths.sync_to_disk(path)


def _zip_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.zip")


def _zip(folder: Path, name: str) -> Path:
    path = _zip_of(folder)
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as file:
        for source in sorted(folder.rglob("*")):
            if source.is_file():
                file.write(source, f"{name}/{source.relative_to(folder).as_posix()}")
    paths.sync_to_disk(path)
    return path


def _refuse_overwrite(end: Path, force: bool) -> None:
    if not os.path.lexists(end) or _is_own_bundle(end):
        return
    if not force:
        fix = "give another --out, or --force to move it aside (it is not deleted)"
        raise TrimtabError(Problem("the target exists and is not a trimtab bundle", str(end), fix))


def _is_own_bundle(end: Path) -> bool:
    """Tell whether ``end`` is a bundle without any other files."""
    if end.is_symlink():
        return False
    try:
        if end.is_file():
            with zipfile.ZipFile(end) as file:
                return any(name.endswith(f"/{MANIFEST}") for name in file.namelist())
        files = read_manifest(end)["files"]
        present = {path.relative_to(end).as_posix() for path in end.rglob("*") if not path.is_dir()}
        return present <= {*files, MANIFEST}
    except (BundleError, OSError, zipfile.BadZipFile):
        return False


def _place(bundle: Path, end: Path) -> None:
    """Move ``bundle`` to ``end``; an older bundle there is deleted, anything else is moved aside."""
    if not os.path.lexists(end):
        bundle.rename(end)
        return
    is_own = _is_own_bundle(end)
    before = _free(end)
    end.rename(before)
    try:
        bundle.rename(end)
    except OSError:
        before.rename(end)
        raise
    if is_own:
        before.unlink() if before.is_file() else shutil.rmtree(before, ignore_errors=True)


def _free(end: Path) -> Path:
    number = 1
    while os.path.lexists(path := end.with_name(f"{end.name}.before-{number}")):
        number += 1
    return path
