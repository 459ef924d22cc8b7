"""What a part of the ticket found: a JSON file, rewritten after every case so that nothing is lost."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMPLETE, PARTIAL, FAILED = "complete", "partial", "failed"
SHOWN = 4000  # characters kept of a traceback

Row = dict[str, Any]


class CaseSkippedError(Exception):
    """A case that cannot run on this machine, with the reason."""


class PartRecord:
    """The file of one part. Cases that it holds already are not run again."""

    def __init__(self, file: Path, limit_s: float = float("inf")) -> None:
        self._file = file
        self._ends_at = time.monotonic() + limit_s
        self.content = read(file)
        self.content.setdefault("state", PARTIAL)
        self.content.setdefault("rows", {})
        self.content.setdefault("notes", [])
        self.content.setdefault("about", {})

    @property
    def left_s(self) -> float:
        """Seconds until the part is ended from outside."""
        return self._ends_at - time.monotonic()

    def case(self, name: str, work: Callable[[], Row], needs_s: float = 0.0) -> None:
        """Run one case and keep its row; an error or a reason why it cannot run is its row, too. A case that
        needs more seconds than are left is left to the next run."""
        known = self.content["rows"].get(name)
        if known is not None and not {"error", "skipped"} & set(known):
            return
        if self.left_s < needs_s:
            self.note(f"{name}: not run, {self.left_s:.0f} s were left and it needs about {needs_s:.0f} s")
            return
        began = time.monotonic()
        try:
            row = work()
        except CaseSkippedError as reason:
            row = {"skipped": str(reason)}
        except Exception as error:
            row = {
                "error": f"{type(error).__name__}: {error}"[:600],
                "trace": traceback.format_exc()[-SHOWN:],
            }
            _forget(error)
        self.content["rows"][name] = {**row, "case_s": round(time.monotonic() - began, 3)}
        self.write()

    def about(self, **facts: Any) -> None:
        """Keep facts that belong to no single case."""
        self.content["about"] |= facts
        self.write()

    def note(self, text: str) -> None:
        """Keep a remark, once."""
        if text not in self.content["notes"]:
            self.content["notes"].append(text)
        self.write()

    def close(self, expected: int) -> None:
        """Mark the part as complete if it has a row without an error for each of the ``expected`` cases."""
        rows = self.content["rows"].values()
        sound = [row for row in rows if "error" not in row and row.get("outcome") != "failed"]
        self.content["state"] = COMPLETE if len(sound) >= expected else PARTIAL
        self.write()

    def fail(self, why: str) -> None:
        """Mark the part as failed; its rows stay."""
        self.content["state"] = FAILED
        self.note(why)

    def write(self) -> None:
        """Write the file atomically."""
        write(self._file, json.dumps(self.content, indent=1, default=str))


def read(file: Path) -> dict[str, Any]:
    """What a part found so far; empty without a usable file."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(file.read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def write(file: Path, text: str) -> None:
    """Replace a file atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.new")
    aside.write_text(text, "utf-8")
    aside.rename(file)


def _forget(error: BaseException | None) -> None:
    """Drop the frames of an error: they hold tensors of the case that failed."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
