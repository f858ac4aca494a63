"""The refusals of keim.crypto that callers tell apart by type. Imports keim.errors only."""

from __future__ import annotations

from enum import IntEnum

from keim.errors import PeerError


class BadPublicKey(PeerError):
    """A public key that no suite of ours takes: another curve, no point of it, another form."""

    code = "crypto.bad_public_key"


class BspFault(PeerError):
    """A protected TLV that does not open. The two codes are the two reasons that a card may report."""

    code = "crypto.bsp_structure"


class BppCommand(IntEnum):
    """BppCommandId: the command whose TLV is being processed or was due next."""

    INITIALISE_SECURE_CHANNEL = 0
    CONFIGURE_ISDP = 1
    STORE_METADATA = 2
    STORE_METADATA2 = 3
    REPLACE_SESSION_KEYS = 4
    LOAD_PROFILE_ELEMENTS = 5


class BppReason(IntEnum):
    """The values of ErrorReason that the protection layer can give (SGP.22 §2.5.6); the card knows more."""

    INCORRECT_INPUT_VALUES = 1
    INVALID_SIGNATURE = 2
    INVALID_TRANSACTION_ID = 3
    UNSUPPORTED_CRT_VALUES = 4
    UNSUPPORTED_REMOTE_OPERATION_TYPE = 5
    SCP03T_STRUCTURE_ERROR = 7
    SCP03T_SECURITY_ERROR = 8


class BppFault(PeerError):
    """A bound profile package that must be refused; the numbers are those of the installation result."""

    code = "crypto.bpp_refused"

    def __init__(self, message: str, *, command: BppCommand, reason: BppReason) -> None:
        super().__init__(message)
        self.command = command
        self.reason = reason
