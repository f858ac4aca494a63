"""Notifications that devices bring: verified, kept, passed on by an errand, acknowledged (procedures §16).

Their addresses are used only after the signature was verified, and only if the policy allows it.
Pure; imports floor 0 and keim.eim only.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from keim.crypto.compact import RelayedSession, expand_pending_notification
from keim.crypto.signed import other_notification_tbs, profile_installation_result_tbs
from keim.deciding import alone
from keim.eim.asks import iccid_of
from keim.eim.change import Change
from keim.eim.events import NotificationRefused, NotificationTaken
from keim.eim.evidence import chain_above, chain_of
from keim.eim.picture import ProfileDeleted, ProfileDisabled, ProfileEnabled, ProfileInstalled
from keim.eim.relayed import session_of
from keim.eim.results import in_order
from keim.eim.results.verification import (
    BY_SIGNATURE,
    SWITCHED_OFF,
    is_signed_by,
    proved_certificate,
    remember_certificate,
    why_not,
)
from keim.eim.rows import Chore, Errand, Receipt
from keim.errors import KeimError
from keim.messages.common import NotificationEvent
from keim.messages.notification import (
    NotificationMetadata,
    OtherSignedNotification,
    PendingNotification,
    ProfileInstallationResult,
)

_EFFECTS: Final[
    dict[
        NotificationEvent,
        type[ProfileInstalled] | type[ProfileEnabled] | type[ProfileDisabled] | type[ProfileDeleted],
    ]
] = {
    NotificationEvent.NOTIFICATION_INSTALL: ProfileInstalled,
    NotificationEvent.NOTIFICATION_ENABLE: ProfileEnabled,
    NotificationEvent.NOTIFICATION_DISABLE: ProfileDisabled,
    NotificationEvent.NOTIFICATION_DELETE: ProfileDeleted,
}
_NAMES: Final = {
    NotificationEvent.NOTIFICATION_INSTALL: "install",
    NotificationEvent.NOTIFICATION_ENABLE: "enable",
    NotificationEvent.NOTIFICATION_DISABLE: "disable",
    NotificationEvent.NOTIFICATION_DELETE: "delete",
}


def take_all(change: Change, notifications: tuple[PendingNotification, ...]) -> list[int]:
    """The sequence numbers of those that are held safely now."""
    numbers = []
    for one in notifications:
        full = take(change, one)
        if full is not None:
            numbers.append(metadata_of(full).seq_number)
    return numbers


def take(change: Change, notification: PendingNotification) -> PendingNotification | None:
    """The notification in its full form; None if it is not believed."""
    try:
        full = expanded(notification, session_of(change.relay, change.knowledge))
    except KeimError as error:
        _refused(change, f"the compact form cannot be expanded: {error}")
        return None
    if change.eim.switches_of(change.device).verifies:
        why = _why_not(change, full)
        if why is not None:
            _refused(change, why)
            return None
    metadata = metadata_of(full)
    octets = full.encode()
    address = metadata.notification_address
    is_forwarded = bool(address) and change.eim.addresses.accepts(address)
    change.receipt(
        Receipt(
            eid=change.eid,
            sequence_number=metadata.seq_number,
            digest=sha256(octets).digest(),
            kind="notification",
            octets=octets,
            received_at=change.now,
            is_verified=change.eim.switches_of(change.device).verifies,
        )
    )
    if is_forwarded:
        change.errands.append(
            Errand(
                eid=change.eid,
                address=address,
                body=octets,
                sequence_number=metadata.seq_number,
                at=change.now,
            )
        )
    _picture(change, full)
    iccid = None if metadata.iccid is None else iccid_of(metadata.iccid)
    event = metadata.profile_management_operation
    verification = BY_SIGNATURE if change.eim.switches_of(change.device).verifies else SWITCHED_OFF
    change.tell(
        NotificationTaken(
            at=change.now,
            eid=change.eid,
            operation=_NAMES.get(event, "unknown"),
            sequence_number=metadata.seq_number,
            address=address,
            is_forwarded=is_forwarded,
            iccid=iccid,
            verification=verification,
        ),
        notification=full,
        chain=_chain(change, full),
        verification=verification,
    )
    return full


def _picture(change: Change, full: PendingNotification) -> None:
    metadata, result = metadata_of(full), full.profile_installation_result
    is_proved = change.eim.switches_of(change.device).verifies
    if is_proved:
        change.set(proved_at=change.now)
    has_failed = (
        result is not None and result.profile_installation_result_data.final_result.error_result is not None
    )
    effect = _EFFECTS.get(metadata.profile_management_operation)
    if metadata.iccid is None or effect is None or has_failed:
        return
    iccid = iccid_of(metadata.iccid)
    if effect is ProfileEnabled and not change.knows(iccid):
        change.want(Chore.LIST_PROFILES)
    in_order.take(change, metadata.seq_number, effect(iccid=iccid), is_proved=is_proved)


def _chain(change: Change, notification: PendingNotification) -> tuple[bytes, ...]:
    """A notification brings its certificates along; an installation result's stand in its session."""
    other, relay = notification.other_signed_notification, change.relay
    if other is not None:
        euicc, eum = bytes(other.euicc_certificate), bytes(other.eum_certificate)
        return chain_above(change.eim, euicc, eum, change.now)
    if relay is not None and relay.euicc_certificate is not None and relay.eum_certificate is not None:
        return chain_above(change.eim, relay.euicc_certificate, relay.eum_certificate, change.now)
    return chain_of(change.eim, change.knowledge, change.now)


def expanded(notification: PendingNotification, session: RelayedSession) -> PendingNotification:
    """A notification with every octet that the eUICC signed; a full one is returned as it is."""
    if notification.kind in ("profile_installation_result", "other_signed_notification"):
        return notification
    return PendingNotification.decode(expand_pending_notification(notification.encode(), session))


def metadata_of(notification: PendingNotification) -> NotificationMetadata:
    match notification:
        case PendingNotification(profile_installation_result=ProfileInstallationResult() as result):
            return result.profile_installation_result_data.notification_metadata
        case PendingNotification(other_signed_notification=OtherSignedNotification() as other):
            return other.tbs_other_notification
    raise AssertionError(notification)  # `expanded` returns the two full forms only


def _why_not(change: Change, notification: PendingNotification) -> str | None:
    result = notification.profile_installation_result
    if result is not None:
        tbs = profile_installation_result_tbs(result.profile_installation_result_data.encode())
        relay = change.relay
        if relay is not None and relay.euicc_certificate is not None:
            if is_signed_by(relay.euicc_certificate, result.euicc_sign_pir, tbs):
                return None
            return "euiccSignPIR does not verify"
        return alone(why_not(change, result.euicc_sign_pir, tbs))
    other = notification.other_signed_notification
    assert other is not None  # `expanded` returns the two full forms only
    leaf = proved_certificate(change, other.euicc_certificate, other.eum_certificate)
    if isinstance(leaf, str):
        return leaf
    tbs = other_notification_tbs(other.tbs_other_notification.encode())
    if not is_signed_by(leaf.der, other.euicc_notification_signature, tbs):
        return "the notification's signature does not verify"
    if change.device.point is None:
        remember_certificate(change, leaf, other.eum_certificate)
    return None


def _refused(change: Change, why: str) -> None:
    change.events.append(NotificationRefused(at=change.now, eid=change.eid, why=why))
