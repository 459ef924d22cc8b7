"""The settings of the console: ``console.toml`` in the home folder."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from core.contract.text.sanitize import sanitize

FILE = "console.toml"
Rate = Annotated[float, msgspec.Meta(ge=0.1, le=60)]


class Notices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are announced, and how: by the bell, by the desktop (OSC 9 and 777), in the title of the
    window."""

    bell: bool = False
    desktop: bool = True
    title: bool = True
    study_ended: bool = True
    trial_failed: bool = True
    limit_broken: bool = True
    engine_back: bool = True


class OwnCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command of the user: ``run`` is a command line with placeholders such as {folder}. It gets the
    ``terminal``, or else runs in the background; a read-only console runs what only ``reads``."""

    key: str
    run: str
    name: str = ""
    terminal: bool = False
    confirm: bool = False
    reads: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``theme`` is empty where the console chooses; ``rate`` is in frames a second; without the ``mouse``
    the terminal selects text; ``keys`` are those of acts by their ids, such as ``"trial.prune" = "X"``."""

    theme: str = ""
    rate: Rate = 5.0
    glyphs: Literal["auto", "unicode", "cp437", "ascii"] = "auto"
    notices: Notices = Notices()
    mouse: bool = True
    keys: dict[str, str] = {}
    command: tuple[OwnCommand, ...] = ()


def read(home: Path) -> tuple[Settings, str]:
    """Return the settings, and why the file cannot be used: the console opens with the usual ones then."""
    try:
        return msgspec.convert(tomllib.loads((home / FILE).read_text("utf-8")), Settings), ""
    except FileNotFoundError:
        return Settings(), ""
    except OSError as error:
        why = error.strerror or type(error).__name__
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        why = str(error)
    return Settings(), f"{sanitize(str(home / FILE), 200)} is not used: {sanitize(why, 300)}"
