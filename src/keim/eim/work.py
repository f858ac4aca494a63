"""What can be ordered of a device: an eUICC package, IPA and eUICC data, a profile download.

A work is kept small and unsigned; it becomes octets when the device polls (docs/explanation: lazy signing).
Pure; imports floor 0 only.
"""

from __future__ import annotations

import msgspec


class PackageWork(msgspec.Struct, frozen=True, tag="package"):
    """`commands` is the EuiccPackage, A0 (PSMOs) or A1 (eCOs), as `compose` made and checked it."""

    commands: bytes


class DataWork(msgspec.Struct, frozen=True, kw_only=True, tag="data", omit_defaults=True):
    tag_list: bytes
    ci_pk_id: bytes | None = None
    notification_search: bytes | None = None
    """NotificationSearch as one TLV."""
    result_sequence_number: int | None = None


class DownloadWork(msgspec.Struct, frozen=True, kw_only=True, tag="download", omit_defaults=True):
    """One of: an activation code, an SM-DS (empty address: the eUICC's root), else the default SM-DP+."""

    activation_code: str | None = None
    smds_address: str | None = None
    code_hash: bytes | None = None
    """SHA-256 of the confirmation code; the code itself is not kept."""
    hides_data: bool = False
    """The trigger says nothing; only for IPAs with eimDownloadDataHandling."""


Work = PackageWork | DataWork | DownloadWork
