"""Notifications and sequence numbers (euicc.md section 8): one number space, one store, its capacity.

Imports floor 0 and the card's values only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from keim.crypto.signed import other_notification_tbs
from keim.der import tlv
from keim.euicc.isdr.profiles import metadata_of
from keim.euicc.isdr.signing import credential_of, sign
from keim.euicc.isdr_state import StoredNotification
from keim.messages.common import NotificationEvent
from keim.messages.notification import NotificationMetadata

if TYPE_CHECKING:
    from keim.euicc.context import CardContext
    from keim.euicc.state import CardState, Profile

CAPACITY = 64
"""Pending notifications and package results together; nothing signed is ever dropped for want of room."""


def has_room(state: CardState, needed: int = 1) -> bool:
    isdr = state.isdr
    return len(isdr.notifications) + len(isdr.results) + needed <= CAPACITY


def addresses_for(profile: Profile, event: NotificationEvent) -> list[str]:
    """One per entry of the profile's notification configuration that names the event, in its order."""
    return [
        entry.notification_address
        for entry in metadata_of(profile).notification_configuration_info or ()
        if entry.profile_management_operation & event
    ]


def announce(context: CardContext, state: CardState, profile: Profile, event: NotificationEvent) -> CardState:
    """The state with the event's notifications made, signed and numbered."""
    for address in addresses_for(profile, event):
        number = state.isdr.next_sequence_number
        metadata = NotificationMetadata(
            seq_number=number,
            profile_management_operation=event,
            notification_address=address,
            iccid=profile.iccid,
        ).encode()
        credential = credential_of(context.identity, b"")
        signature = sign(context, b"", other_notification_tbs(metadata))
        data = tlv(0x30, metadata, tlv(0x5F37, signature), credential.certificate, credential.eum_certificate)
        state = store(state, event, data)
    return state


def store(state: CardState, event: NotificationEvent, data: bytes) -> CardState:
    """Keeps a notification that was made for the next sequence number."""
    isdr = state.isdr
    number = isdr.next_sequence_number
    kept = (*isdr.notifications, StoredNotification(number, int(event), data))
    return replace(state, isdr=replace(isdr, notifications=kept, next_sequence_number=number + 1))
