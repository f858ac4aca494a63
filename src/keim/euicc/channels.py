"""Logical channels as values: a fresh one, and what a profile switch leaves of the open ones."""

from __future__ import annotations

import msgspec

from keim.euicc.state import Channel, Volatile

ISD_R = bytes.fromhex("A0000005591010FFFFFFFF8900000100")
ECASD = bytes.fromhex("A0000005591010FFFFFFFF8900000200")
ISD_P_PREFIX = bytes.fromhex("A0000005591010FFFFFFFF8900")
MASTER_FILE = (0x3F00,)
MOST_CHANNELS = 20


def isd_p(instance: int) -> bytes:
    """The AID of an ISD-P: ...89 00 00 10 00 for instance 0010, then ...89 00 00 11 00 (euicc.md section
    2).
    """
    return ISD_P_PREFIX + instance.to_bytes(2, "big") + b"\x00"


def first_channel(has_file_system: bool) -> Channel:
    """A new channel stands on the MF of the enabled profile, or on nothing (euicc.md section 1.2)."""
    return Channel(directory=MASTER_FILE if has_file_system else ())


def after_switch(volatile: Volatile, has_file_system: bool) -> Volatile:
    """Channels on the ISD-R or ECASD stay as they are, all others stand on the new profile's MF (section
    10).
    """
    fresh = first_channel(has_file_system)
    channels = {
        number: _keep_application(channel, fresh) if channel.application in {ISD_R, ECASD} else fresh
        for number, channel in volatile.channels.items()
    }
    return msgspec.structs.replace(volatile, channels=channels, verified=frozenset())


def _keep_application(channel: Channel, fresh: Channel) -> Channel:
    return msgspec.structs.replace(
        channel, directory=fresh.directory, file=None, record=0, verified=frozenset()
    )
