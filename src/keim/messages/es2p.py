"""ES2+: orders between an operator and the SM-DP+ (SGP.22 §5.3). JSON only; names as on the wire.

Imports msgspec only.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from keim.messages.execution_status import ExecutionStatus, StatusCode


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    pass


class DownloadOrder(_Message, frozen=True, kw_only=True, rename="camel"):
    eid: str | None = None
    iccid: str | None = None
    profile_type: str | None = None


class ConfirmOrder(_Message, frozen=True, kw_only=True, rename="camel"):
    iccid: str
    eid: str | None = None
    matching_id: str | None = None
    confirmation_code: str | None = None
    smds_address: str | None = None
    release_flag: bool


class CancelOrder(_Message, frozen=True, kw_only=True, rename="camel"):
    iccid: str
    eid: str | None = None
    matching_id: str | None = None
    final_profile_status_indicator: Literal["Available", "Unavailable"]


class ReleaseProfile(_Message, frozen=True, kw_only=True, rename="camel"):
    iccid: str


Es2Request = DownloadOrder | ConfirmOrder | CancelOrder | ReleaseProfile


class DownloadOrderOk(_Message, frozen=True, kw_only=True, rename="camel"):
    iccid: str


class ConfirmOrderOk(_Message, frozen=True, kw_only=True, rename="camel"):
    eid: str | None = None
    matching_id: str
    smdp_address: str | None = None


class OrderOk(_Message, frozen=True, kw_only=True, rename="camel"):
    """CancelOrder and ReleaseProfile say no more than that they were executed."""


Es2Ok = DownloadOrderOk | ConfirmOrderOk | OrderOk


class NotificationPointStatus(_Message, frozen=True, kw_only=True, rename="camel"):
    status: ExecutionStatus
    status_code_data: PointStatusCode | None = None


class PointStatusCode(_Message, frozen=True, kw_only=True, rename="camel"):
    subject_code: str
    reason_code: str

    @classmethod
    def of(cls, code: StatusCode) -> PointStatusCode:
        return cls(subject_code=code.subject, reason_code=code.reason)


class HandleDownloadProgressInfo(_Message, frozen=True, kw_only=True, rename="camel"):
    """Points: 1 eligibility, 2 confirmation code, 3 package delivered, 4 installation; ours from 101 on."""

    eid: str | None = None
    iccid: str
    profile_type: str
    timestamp: str
    notification_point_id: int
    notification_point_status: NotificationPointStatus
    result_data: str | None = None
