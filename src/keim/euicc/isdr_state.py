"""The ISD-R's part of the card's state (owned by the ES10 functions).

Everything here is a frozen struct of bytes, str, int, bool, enums, tuples, dicts that nobody mutates, and
further such structs: the card file writes and reads it through msgspec by the declared types.
"""

from __future__ import annotations

import msgspec


class IsdrState(msgspec.Struct, frozen=True):
    """Persistent: eIMs, counters, marks, notifications, results. Each field is one cell of the journal."""


class ProfileRecord(msgspec.Struct, frozen=True):
    """Persistent, per profile: what StoreMetadata and the commands of the ISD-R know of it."""


class RspSession(msgspec.Struct, frozen=True):
    """Volatile: challenge, session keys, the bound profile package's stream. Dropped at reset."""
