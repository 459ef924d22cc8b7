"""Makes a checkpoint available to another trial without copying it, where the file system allows that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from core import paths


def link_checkpoint(source: Path, place: Path) -> None:
    """Make the files of the folder ``source`` available at ``place``, by hard links if the file system has
    them.

    The folder appears complete or not at all. Files of a checkpoint are never modified, so either folder may
    be deleted. Raises OSError.
    """
    paths.make_private(place.parent)
    aside = place.with_name(f"{place.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    try:
        for file in sorted(source.iterdir()):
            _link_or_copy(file, aside / file.name)
        aside.rename(place)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _link_or_copy(file: Path, to: Path) -> None:
    try:
        os.link(file, to, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, to, follow_symlinks=False)
