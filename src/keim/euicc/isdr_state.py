"""The ISD-R's part of the card's state (owned by the ES10 functions).

Everything here is a frozen struct of bytes, str, int, bool, enums, tuples, dicts that nobody mutates, and
further such structs: the card file writes and reads it through msgspec by the declared types.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from keim.crypto.bpp_open import BppReceiver

NO_CRLS: Mapping[bytes, bytes] = {}


class Eim(msgspec.Struct, frozen=True, gc=False):
    """One associated eIM (euicc.md section 11)."""

    eim_id: str
    counter_value: int
    """The last one accepted."""
    association_token: int | None
    public_key: bytes
    """SubjectPublicKeyInfo that verifies its packages."""
    ci_pk_id: bytes
    """CI under which the card signs for it; empty: the card's first."""
    configuration: bytes
    """EimConfigurationData as BF55 shows it, without counterValue and associationToken."""


class ImmediateEnable(msgspec.Struct, frozen=True, gc=False):
    """What configureImmediateEnable or BF59 left; the address is the card's own reading of it."""

    is_on: bool = False
    smdp_oid: str = ""
    smdp_address: str = ""


IMMEDIATE_ENABLE_OFF = ImmediateEnable()


class StoredNotification(msgspec.Struct, frozen=True, gc=False):
    """A pending notification: `data` is BF37 or the signed 30, repeated to the octet until BF30."""

    sequence_number: int
    event: int
    data: bytes


class StoredResult(msgspec.Struct, frozen=True, gc=False):
    """A signed package result: `data` is the whole BF51."""

    sequence_number: int
    data: bytes


class Author(msgspec.Struct, frozen=True, gc=False):
    """Who sent a package, with the token and the signing CI of that moment: the eIM may delete itself in
    it.
    """

    eim_id: str
    counter_value: int
    transaction_id: bytes | None
    association_token: int | None
    ci_pk_id: bytes


class PackageJournal(msgspec.Struct, frozen=True, gc=False):
    """A package under execution (T2 to T4 of section 14)."""

    author: Author
    commands: int
    """How many it holds."""
    position: int = 0
    results: bytes = b""
    is_ended: bool = False
    """The last command was executed, or one failed: only the signed result is missing."""


class RollbackGrant(msgspec.Struct, frozen=True, gc=False):
    """Given by an enable with rollbackFlag; single use (section 9.1)."""

    author: Author
    previous: bytes
    """AID of the profile to go back to."""
    sequence_number: int = 0
    """Of the result of the granting package; 0 until it is stored."""
    notifications: tuple[int, ...] = ()
    """Sequence numbers of what the granted enable's switch announced; a rollback discards them."""


class Links(msgspec.Struct, frozen=True, gc=False):
    """Where the special mechanisms lead back to: AIDs, empty when there is nothing (section 3)."""

    fallback_return: bytes = b""
    emergency_return: bytes = b""
    test_return: bytes = b""
    is_emergency: bool = False
    """The emergency profile is enabled as such."""


NO_LINKS = Links()


class Marks(msgspec.Struct, frozen=True, gc=False):
    """A switch that is decided and not yet done (T1a without T1b)."""

    enable: bytes = b""
    disable: bytes = b""
    deletes: tuple[bytes, ...] = ()
    """Removed after the switch: profiles that were to be disabled when the delete came."""
    links: Links = NO_LINKS
    """As they are after the switch."""
    is_silent: bool = False
    """No notifications (emergency)."""


class InstallJournal(msgspec.Struct, frozen=True, gc=False):
    """A bound profile package is coming in: what an installation result after a power loss has to say."""

    transaction_id: bytes
    server_address: str
    smdp_oid: str
    ci_pk_id: bytes
    command: int
    """BppCommandId that is due."""
    iccid: bytes = b""


class OneTimeKeyRecord(msgspec.Struct, frozen=True, gc=False):
    """otSK.EUICC, kept for a retry by the same SM-DP+ until an installation result exists (crypto.md
    section 3).
    """

    suite: str
    scalar: bytes
    public_point: bytes
    smdp_oid: str

    def __repr__(self) -> str:
        return f"OneTimeKeyRecord({self.suite}, {self.public_point.hex()}, ***)"


IPAE_OFF, IPAE_REQUESTED, IPAE_ACTIVE = 0, 1, 2


class IsdrState(msgspec.Struct, frozen=True, gc=False):
    """Persistent: eIMs, counters, marks, notifications, results. Each field is one cell of the journal."""

    next_sequence_number: int = 1
    eims: tuple[Eim, ...] = ()
    last_association_token: int = 0
    """Never reset, so that packages for an earlier association fail."""
    journal: PackageJournal | None = None
    marks: Marks | None = None
    rollback: RollbackGrant | None = None
    links: Links = NO_LINKS
    fallback_profile: bytes = b""
    """AID of the profile with the fallback attribute; empty: none has it."""
    notifications: tuple[StoredNotification, ...] = ()
    results: tuple[StoredResult, ...] = ()
    staging: InstallJournal | None = None
    one_time_key: OneTimeKeyRecord | None = None
    default_smdp_address: str | None = None
    """None: the factory value."""
    immediate_enable: ImmediateEnable = IMMEDIATE_ENABLE_OFF
    crls: Mapping[bytes, bytes] = NO_CRLS
    """CI key identifier -> CertificateList, by LoadCRL."""
    ipae: int = IPAE_OFF
    next_instance: int = 0x10
    """Octet of the next ISD-P's AID: numbers go up, so that no pending notification names another profile."""


class ProfileRecord(msgspec.Struct, frozen=True, gc=False):
    """Persistent, per profile: what StoreMetadata and the commands of the ISD-R know of it."""

    metadata: bytes
    """StoreMetadataRequest as received (BF25)."""
    nickname: str = ""
    smdp_oid: str = ""
    """Of the SM-DP+ that it came from; empty for a preloaded one."""
    is_preloaded: bool = False
    dp_proprietary_data: bytes = b""
    """DpProprietaryData (B8) of ConfigureISDP."""
    connectivity_parameters: bytes | None = None
    """Of the profile header."""


class Staged(msgspec.Struct, frozen=True):
    """What has come in of a bound profile package; invisible, and lost with the session."""

    receiver: BppReceiver
    dp_proprietary_data: bytes = b""
    metadata: bytes = b""
    """StoreMetadataRequest, once it was accepted."""
    iccid: bytes = b""
    elements: tuple[bytes, ...] = ()
    octets: int = 0


class RspSession(msgspec.Struct, frozen=True):
    """Volatile: challenge, session keys, the bound profile package's stream. Dropped at reset."""

    challenge: bytes
    is_challenge_open: bool = True
    transaction_id: bytes = b""
    """Empty until AuthenticateServer succeeded."""
    server_address: str = ""
    server_certificate: bytes = b""
    server_oid: str = ""
    is_smds: bool = False
    ci_pk_id: bytes = b""
    """CI of the card's own signatures in this session."""
    euicc_signature1: bytes = b""
    dppb_point: bytes = b""
    """Key of CERT.DPpb; empty until PrepareDownload succeeded."""
    staged: Staged | None = None
    is_swallowing: bool = False
    """The result of this package was given; what still comes of it is answered 9000."""
    installed: bytes = b""
    """AID of the profile that this session installed: ImmediateEnable may follow."""
