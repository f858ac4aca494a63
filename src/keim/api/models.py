"""What bodies of requests and answers have in common: unknown members are refused, times are RFC 3339 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
)
from pydantic_core import CoreSchema

T = TypeVar("T")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EXACT = frozenset({"bool", "int", "float"})


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: object) -> object:
    """RFC 3339 and nothing else: a number could be seconds or milliseconds of whatever epoch."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("a time is text such as 2026-11-29T12:00:00Z, with its offset")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the moment lies outside of the calendar") from None


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_text),
    AfterValidator(_in_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    Field(examples=["2026-11-29T12:00:00Z"]),
]
"""A point in time with its offset; shown in UTC."""
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A name that people give to something: any printable text."""


def _be_exact(schema: Any) -> None:  # Any: the tree by which pydantic validates, of whatever shape
    """Enums and times come as text; the rest of JSON has types of its own."""
    if isinstance(schema, dict):
        if schema.get("type") in _EXACT:
            schema["strict"] = True
        for member in schema.values():
            _be_exact(member)
    elif isinstance(schema, list):
        for member in schema:
            _be_exact(member)


class Asked(BaseModel):
    """The body of a request. A number is no text and a truth value no number, as its schema says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _be_exact(schema)
        return schema


def with_examples(*examples: dict[str, Any]) -> ConfigDict:
    """Whole requests, for the OpenAPI; a test sends each of them."""
    return ConfigDict(json_schema_extra={"examples": list(examples)})


class Shown(BaseModel):
    """A resource in an answer; made from a row by its attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next: str | None = Field(
        default=None, description="Give it as `cursor` for the next page; null at the end."
    )


class Problem(BaseModel):
    """RFC 9457, from the table of error codes (`keim explain CODE`)."""

    type: str = Field(examples=["urn:keim:error:eim.device_unknown"])
    title: str = Field(examples=["No device of this EID is known here."])
    status: int = Field(examples=[404])
    detail: str = Field(description="What was wrong this time.")
    code: str = Field(examples=["eim.device_unknown"])
    who: str = Field(description="Who must act.", examples=["operator"])
    next: str = Field(description="What to do next.")
    retryable: bool
    request_id: str
    party: str | None = None
    step: str | None = None
    operation_id: str | None = None
    errors: list[dict[str, Any]] | None = Field(
        default=None, description="One entry for each member that is wrong."
    )

    model_config = ConfigDict(extra="allow")
