"""What all sections of a study file share: the base class, and the types of values in several of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from core.contract import input_size_limits

Rows = Annotated[int, Field(ge=1, le=input_size_limits.MOST_ROWS)]
Key = Annotated[str, Field(max_length=input_size_limits.LONGEST_NAME)]
# a path, or the id of something on a hub
Place = Annotated[str, Field(min_length=1, max_length=input_size_limits.LONGEST_PATH, pattern=r"^[^\x00]*$")]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, numbers are finite, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)
