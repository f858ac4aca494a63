"""EUICCResponse, the simaResponse of an installation result (profile-package.md sections 3.10 and 11)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from keim.der import Null, Sequence, Size, Tag
from keim.saip import ElementStatus


class PeStatus(Sequence):
    status: Annotated[int, Tag(0x80)]
    identification: Annotated[int | None, Tag(0x81)] = None
    additional_information: Annotated[int | None, Tag(0x82)] = None
    offset: Annotated[int | None, Tag(0x83)] = None


class EuiccResponse(Sequence):
    pe_status: Annotated[tuple[PeStatus, ...], Tag(0xA0)]
    profile_installation_aborted: Annotated[bool, Null(0x81)] = False
    status_message: Annotated[str | None, Tag(0x82), Size(2, 64)] = None


LONGEST_MESSAGE = 64


def euicc_response(statuses: Iterable[ElementStatus], *, is_aborted: bool) -> bytes:
    """Several warnings give several entries; the last one is the final ok or the reason of the abort."""
    entries = tuple(statuses)
    message = entries[-1].message[:LONGEST_MESSAGE] if is_aborted and entries else ""
    return EuiccResponse(
        pe_status=tuple(
            PeStatus(
                status=int(entry.status),
                identification=entry.identification,
                additional_information=entry.additional,
                offset=entry.offset,
            )
            for entry in entries
        ),
        profile_installation_aborted=is_aborted,
        status_message=message if len(message) > 1 else None,
    ).encode()
