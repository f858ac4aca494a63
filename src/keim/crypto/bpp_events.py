"""What a card learns while a bound profile package comes in, and where the reading stands, as values."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from keim.crypto.bsp import BspState
from keim.crypto.secrets import Secret
from keim.errors import PeerError
from keim.messages.notification import BppCommandId, ErrorReason


class BppSession(msgspec.Struct, frozen=True):
    """What the eUICC fixed before the package came: at AuthenticateServer and PrepareDownload."""

    suite: str
    transaction_id: bytes
    eid: bytes
    one_time_scalar: Secret
    """otSK.EUICC, see `OneTimeKey.scalar`."""
    dppb_point: bytes


class BppProgress(msgspec.Struct, frozen=True, gc=False):
    """Where the reading stands: immutable, enough to go on elsewhere. Holds keys, so it prints none."""

    due: BppCommandId = BppCommandId.INITIALISE_SECURE_CHANNEL
    is_opened: bool = False
    """The header of BF36 has been read."""
    in_group: bool = False
    has_new_keys: bool = False
    """ReplaceSessionKeys has been obeyed; it comes once at most."""
    is_finished: bool = False
    left_in_package: int = 0
    left_in_group: int = 0
    bsp: BspState | None = None
    pending: bytes = b""
    """Octets of a TLV that has not come in whole."""
    command: bytes = b""
    """Plaintext of a command whose last TLV has not come in."""
    refusal: BppRefused | None = None

    def __repr__(self) -> str:
        return f"BppProgress(due={self.due!r}, left_in_package={self.left_in_package}, ***)"


class SecureChannelInitialised(msgspec.Struct, frozen=True):
    """BF23 held: signature, transaction, template and point were right, and the session keys exist."""

    host_id: bytes


class IsdpConfigured(msgspec.Struct, frozen=True):
    """ConfigureISDPRequest is complete (BF24, decrypted)."""

    request: bytes


class MetadataStored(msgspec.Struct, frozen=True):
    """StoreMetadataRequest is complete and well-formed (BF25); what it asks for is for the card to judge."""

    request: bytes


class SessionKeysReplaced(msgspec.Struct, frozen=True):
    """ReplaceSessionKeysRequest was obeyed: the profile elements come under the random key."""


class ProfileElements(msgspec.Struct, frozen=True, gc=False):
    """The next octets of the profile package; cuts need not follow its elements."""

    octets: bytes


class PackageFinished(msgspec.Struct, frozen=True):
    """The last octet of BF36 has been read."""


class BppRefused(msgspec.Struct, frozen=True):
    """The package must be refused; the two numbers go into the ErrorResult of the installation result."""

    command: BppCommandId
    reason: ErrorReason
    why: str


BppEvent: TypeAlias = (
    SecureChannelInitialised
    | IsdpConfigured
    | MetadataStored
    | SessionKeysReplaced
    | ProfileElements
    | PackageFinished
    | BppRefused
)


class BppFault(PeerError):
    """The same as an exception, for those who read a whole package."""

    code = "crypto.bpp_refused"

    def __init__(self, message: str, *, command: BppCommandId, reason: ErrorReason) -> None:
        super().__init__(message)
        self.command = command
        self.reason = reason
