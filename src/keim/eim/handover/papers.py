"""The papers that two eIMs exchange, as lines of JSON: invitation, bundle of devices, receipt.

A paper is a header and one line for each device; whoever carries it signs the octets as a whole. Unknown
members and anything beside the form are refused. Pure; imports keim.eim only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

import msgspec

from keim.eim.handover.rows import Arrived, Remover
from keim.eim.rows import ProfileImage
from keim.errors import Malformed

MOST_DEVICES: Final = 10_000
"""In one bundle; a larger fleet travels in several."""
LARGEST_PAPER: Final = 256 * 1024 * 1024
LARGEST_LINE: Final = 256 * 1024


class Paper(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Headers and lines alike: nothing that we do not know is passed over."""


class InvitationHeader(Paper, frozen=True, kw_only=True, tag_field="paper", tag="keim-handover-invitation/1"):
    id: str
    eim_id: str
    eim_configuration_data: str
    """Hexadecimal."""
    log_key: str
    expires_at: datetime


class BundleHeader(Paper, frozen=True, kw_only=True, tag_field="paper", tag="keim-handover-bundle/1"):
    handover: str
    number: int
    invitation: str
    sender: str
    """The old eIM's id."""
    receiver: str
    log_key: str
    made_at: datetime
    remover: Remover
    devices: int
    is_rehearsal: bool = False
    """Looked at and answered, never taken."""

    @property
    def id(self) -> str:
        return f"{self.handover}/{self.number}"


class BundleLine(Paper, frozen=True, kw_only=True, omit_defaults=True):
    """What the new eIM needs to speak with the eUICC, and what the old one knows."""

    eid: str
    token: int | None
    counter: int
    euicc_certificate: bytes
    eum_certificate: bytes
    proof: bytes = b""
    """The eUICC's signed result of addEim, and the old eIM's token, which that covers."""
    proof_token: int | None = None
    profiles: tuple[ProfileImage, ...] = ()
    profiles_at: datetime | None = None
    eims: tuple[str, ...] = ()
    info1: bytes | None = None
    info2: bytes | None = None
    device_info: bytes | None = None
    features: int | None = None
    protocols: int | None = None
    default_smdp_address: str | None = None
    root_smds_address: str | None = None
    tags: tuple[str, ...] = ()


class ReceiptHeader(Paper, frozen=True, kw_only=True, tag_field="paper", tag="keim-handover-receipt/1"):
    handover: str
    number: int
    invitation: str
    bundle_digest: bytes
    sender: str
    """The new eIM's id."""
    receiver: str
    made_at: datetime
    devices: int
    is_rehearsal: bool = False


class ReceiptLine(Paper, frozen=True, kw_only=True, omit_defaults=True):
    eid: str
    step: Arrived | None = None
    """None: refused, and `why` is the code."""
    why: str = ""
    contact: bytes = b""
    """A result that the eUICC signed for the new eIM."""
    package: bytes = b""
    """The new eIM's package that deleted the old one, and the eUICC's result of it."""
    removal: bytes = b""


Header = TypeVar("Header", bound=Paper)
Line = TypeVar("Line", bound=Paper)


def written(header: Paper, lines: tuple[bytes, ...] = ()) -> bytes:
    """The octets of a paper; `lines` as `line_of` made them."""
    return b"".join(line + b"\n" for line in (msgspec.json.encode(header), *lines))


def line_of(line: Paper) -> bytes:
    return msgspec.json.encode(line)


def read(octets: bytes, header: type[Header], line: type[Line]) -> tuple[Header, tuple[Line, ...]]:
    """`Malformed` for anything but what `written` makes."""
    if len(octets) > LARGEST_PAPER or not octets.endswith(b"\n"):
        raise _malformed("it does not end with its last line", 0)
    offset, found = 0, []
    rows = octets[:-1].split(b"\n")
    if len(rows) > MOST_DEVICES + 1:
        raise _malformed(f"it has more than {MOST_DEVICES} devices", 0)
    first: Header | None = None
    for row in rows:
        try:
            if first is None:
                first = msgspec.json.decode(row, type=header)
            elif len(row) > LARGEST_LINE:
                raise _malformed("a line is too long", offset)
            else:
                found.append(msgspec.json.decode(row, type=line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _malformed(f"line {len(found) + (first is not None) + 1}: {error}", offset) from None
        offset += len(row) + 1
    assert first is not None  # split gives one row at least
    return first, tuple(found)


def _malformed(why: str, offset: int) -> Malformed:
    return Malformed(why, offset=offset, path="paper", code="handover.bad_paper")
