"""ETags of resources that carry a version: a change with `If-Match` never overwrites another's."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from keim.errors import Refused

IfMatch = Annotated[
    str | None,
    Header(max_length=1000, description="The ETag that was read; another one there now is a 412."),
]
IfNoneMatch = Annotated[
    str | None, Header(max_length=1000, description="The ETag that was read; unchanged is a 304.")
]


def etag_of(version: int) -> str:
    return f'"{version}"'


def check_match(if_match: str | None, version: int) -> None:
    """Without the header the change is made on whatever is there."""
    if if_match is not None and not is_among(if_match, version):
        raise Refused(f"the resource is at version {version} now", code="api.version_mismatch")


def is_among(header: str | None, version: int) -> bool:
    if header is None:
        return False
    given = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in given or etag_of(version) in given
