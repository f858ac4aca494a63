"""HandleDownloadProgressInfo: what the operator of an order is told, and when (procedures §12.6).

Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from keim.messages.es2p import HandleDownloadProgressInfo, NotificationPointStatus, PointStatusCode
from keim.messages.execution_status import ExecutionStatus, StatusCode
from keim.smdp.rows import Errand, ErrandKind, Profile
from keim.smdp.settings import Smdp

ELIGIBILITY: Final = 1
CONFIRMATION_CODE: Final = 2
PACKAGE_DELIVERED: Final = 3
INSTALLATION: Final = 4
LATER_EVENTS: Final = {"enable": 101, "disable": 102, "delete": 103}
"""SGP.22 v2 ends with point 4; these numbers are ours."""


def progress(
    smdp: Smdp,
    profile: Profile,
    point: int,
    *,
    now: datetime,
    failure: StatusCode | None = None,
    eid: str | None = None,
    result: str | None = None,
) -> tuple[Errand, ...]:
    """The errand for the operator, if that operator wants to be told."""
    target = profile.ordered_by
    if target is None or target not in smdp.progress_targets:
        return ()
    status = NotificationPointStatus(
        status=ExecutionStatus.SUCCESS if failure is None else ExecutionStatus.FAILED,
        status_code_data=None if failure is None else PointStatusCode.of(failure),
    )
    message = HandleDownloadProgressInfo(
        eid=eid or profile.bound_eid or profile.eid,
        iccid=profile.iccid,
        profile_type=profile.profile_type,
        timestamp=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        notification_point_id=point,
        notification_point_status=status,
        result_data=result,
    )
    return (Errand(kind=ErrandKind.PROGRESS, target=target, body=msgspec.json.encode(message), at=now),)


def event_deletion(profile: Profile, *, now: datetime) -> tuple[Errand, ...]:
    """The event at the SM-DS has no purpose once the order has left Released and Downloaded."""
    if not profile.has_event or profile.smds_address is None:
        return ()
    eid = profile.eid or ""
    body = msgspec.json.encode({"eid": eid, "eventId": profile.matching_id or ""})
    return (Errand(kind=ErrandKind.DELETE_EVENT, target=profile.smds_address, body=body, at=now),)
