"""Validates the section [data] of a study file, and the sources of its mixture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from core.contract import input_size_limits
from core.contract.spec import study_spec
from core.contract.spec.data import mixture_source
from core.contract.spec.data.section_base import Key, Place, Rows, Section
from core.contract.spec.study_spec import BLOCKING, DEDUPLICATE, FORMATS

_DATA = study_spec.DataOptions()

MOST_SOURCES = 32  # of a mixture: each has a knob, a metric and an order of its own
Wanted = str | int | bool  # the value of a column
Validation = Place | Annotated[float, Field(gt=0, lt=1)]
Where = Annotated[dict[Key, Wanted | Annotated[list[Wanted], Field(min_length=1)]], Field(max_length=16)]


class MixtureEntry(Section):
    """A source of the mixture: its name, its weight, and the keys in which its rows differ from [data]."""

    name: str
    weight: Annotated[float, Field(ge=0, le=1e6)] | None = None
    replay: bool = False
    source: Place | None = None
    where: Where | None = None
    format: Literal[FORMATS] | None = None  # type: ignore[valid-type]
    split: Key | None = None
    subset: Key | None = None
    validation: Validation | None = None
    rows: Rows | None = None
    prompt_key: Key | None = None
    completion_key: Key | None = None
    messages_key: Key | None = None
    text_key: Key | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not mixture_source.NAME.fullmatch(name):
            raise ValueError(
                "a name is 1 to 40 letters, digits, '_' or '-', beginning with a letter or digit"
            )
        return name


class DataSection(Section):
    """Rows to train on, and rows for validation.

    Each source of the ``mixture`` takes over the keys that it does not set; without ``source`` each sets its
    own. Without weights, sources are drawn in proportion to rows ** (1 / ``temperature``).

    ``deduplicate`` leaves copies of rows out before the split; ``contamination`` names files that `trimtab
    check` compares the rows with; ``allow`` names findings that else keep a study from starting.
    """

    mixture: list[MixtureEntry] = Field(default=[], max_length=MOST_SOURCES)
    source: Annotated[str, Field(max_length=input_size_limits.LONGEST_PATH, pattern=r"^[^\x00]*$")] = Field(
        default=_DATA.source, validate_default=True
    )
    format: Literal[FORMATS] = _DATA.format  # type: ignore[valid-type]
    split: Key = _DATA.split
    subset: Key | None = None
    validation: Validation = _DATA.validation
    rows: Rows | None = None
    prompt_key: Key = _DATA.prompt_key
    completion_key: Key = _DATA.completion_key
    messages_key: Key = _DATA.messages_key
    text_key: Key = _DATA.text_key
    where: Where = _DATA.where
    temperature: Annotated[float, Field(ge=0.1, le=1000)] = _DATA.temperature
    deduplicate: bool | Literal[DEDUPLICATE] = _DATA.deduplicate  # type: ignore[valid-type]
    contamination: Annotated[list[Place], Field(max_length=input_size_limits.MOST_ENTRIES)] = list(
        _DATA.contamination
    )
    allow: list[Literal[BLOCKING]] = Field(  # type: ignore[valid-type]
        default=list(_DATA.allow), max_length=16
    )

    @field_validator("source", mode="before")
    @classmethod
    def _require_source(cls, source: object, info: ValidationInfo) -> object:
        """Let only a mixture do without a source: each of its entries may have its own."""
        if source == "" and not info.data.get("mixture", True):
            raise PydanticCustomError("missing", "source is missing")
        return source
