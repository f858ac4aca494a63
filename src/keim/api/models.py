"""What bodies of requests and answers have in common: unknown members are refused, times are RFC 3339 UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

T = TypeVar("T")


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the moment lies outside of the calendar") from None


Moment = Annotated[
    AwareDatetime,
    AfterValidator(_in_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    Field(examples=["2026-11-29T12:00:00Z"]),
]
"""A point in time with its offset; shown in UTC."""
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A name that people give to something: any printable text."""


class Asked(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
