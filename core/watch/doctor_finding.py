"""The result of one check of `trimtab doctor`."""

from __future__ import annotations

import msgspec

OK, WARN, FAIL = "ok", "warn", "fail"


class Finding(msgspec.Struct, frozen=True):
    """The result of a check: ``level`` is ok, warn or fail; ``fix`` is empty for ok."""

    name: str
    level: str
    found: str
    fix: str = ""
