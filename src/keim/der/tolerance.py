"""Every deviation from strict DER and from the v1.2 module that a decoder may be told to accept.

Decoding is strict unless a caller names tolerances; encoding never emits any of these forms. Imports nothing
of keim.
"""

from __future__ import annotations

from collections.abc import Set
from enum import Enum


class Tolerance(Enum):
    """Each member's value is the reason why the tolerance exists."""

    LONG_LENGTHS = "peers write lengths in more octets than needed; they are BER, and the value is clear"
    PADDED_INTEGERS = "some encoders leave a superfluous leading 00 or FF in an INTEGER"
    ANY_TRUE = "BER takes every octet but 00 as TRUE, and C programs send 01"
    UNSTRIPPED_BITS = "asn1tools, pycrate and the peers built on them keep trailing zeros of named bit lists"
    EXPLICIT_DEFAULTS = "some encoders write a value that equals the DEFAULT"
    NESTED_X509 = "openiotrsp and YggdraSIM put a complete 30... inside A0/A1/A5/A6 (objects §2.4)"
    NATURAL_TAGS = (
        "openiotrsp writes 30, 02 and 0C where automatic tags prescribe A0, 81 and 80 (objects §2.4)"
    )
    CONTEXT_TAGS = (
        "YggdraSIM's card writes 80 where automatic tagging is off and the module gives 02 (euicc §18)"
    )
    BARE_CONTENT = "openiotrsp leaves out A0 under BF52 (objects §2.4)"
    KEPT_INNER_TAG = (
        "pycrate and asn1tools keep a CHOICE's own tag under the tag that replaces it (objects §2.4)"
    )
    SPLIT_LISTS = "YggdraSIM's card writes one A0 per entry of a list instead of one for all (objects §2.4)"
    OLD_TAGS = "v1.0 used other tags for the same field where no later field can be meant (objects §19.1)"
    OLD_EMPTY = "v1.0 answers BF50 with nothing inside where v1.2 has an empty SEQUENCE (objects §19.1)"
    ANY_SIZE = "a relay must not refuse what it does not use (objects §1.1)"
    UNKNOWN_ALTERNATIVES = (
        "the modules are extensible: an unknown alternative spoils its own object only (objects §1.1)"
    )


STRICT: Set[Tolerance] = frozenset()
"""DER and the v1.2 module to the letter (unknown trailing elements are allowed by the module itself)."""
V1_0: Set[Tolerance] = frozenset({Tolerance.OLD_TAGS, Tolerance.OLD_EMPTY})
"""The profile for peers of SGP.32 v1.0, in no other set: whoever talks to one adds it for that peer alone.

What differs by more than a tag is translated by `keim.messages.v1_0`.
"""
TOLERANT: Set[Tolerance] = frozenset(Tolerance) - {Tolerance.ANY_SIZE, Tolerance.UNKNOWN_ALTERNATIVES} - V1_0
"""What silicon and known peers of v1.2 need."""
RELAY: Set[Tolerance] = frozenset(Tolerance) - V1_0
"""For parties that pass a message on and look at a part of it only."""
