"""Bound profile packages: both modes, retries, cuts, and each fault with the numbers that a card reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keim.crypto.bpp import (
    ProtectedProfile,
    binding,
    control_ref_template,
    profile_protection_keys,
    protect_profile,
)
from keim.crypto.bpp_events import (
    BppFault,
    BppRefused,
    BppSession,
    IsdpConfigured,
    MetadataStored,
    PackageFinished,
    ProfileElements,
    SecureChannelInitialised,
    SessionKeysReplaced,
)
from keim.crypto.bpp_open import BppReceiver
from keim.crypto.bpp_segments import header_of, load_segments
from keim.crypto.bpp_whole import open_bpp
from keim.crypto.bsp import Bsp
from keim.crypto.elements import Element, elements_between, members_of
from keim.crypto.kdf import derive_session_keys
from keim.crypto.signed import initialise_secure_channel_tbs
from keim.crypto.suites import ECDSA_BRAINPOOL, ECDSA_P256, SUITES, Suite
from keim.deciding import alone
from keim.der import tlv
from keim.errors import Malformed, Refused, Unencodable
from keim.ids import Eid

EID = Eid("89049032123451234512345678901235").octets
TRANSACTION = bytes(range(16))
METADATA = tlv(0xBF25, tlv(0x5A, bytes(10)), tlv(0x91, b"provider"), tlv(0x92, b"profile"))
UPP = tlv(0xA0, bytes(2500)) + tlv(0xAA, b"\x80\x01\x00")
PPK = profile_protection_keys(bytes(range(48)))

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))


class Parties:
    """Fixed keys of one session, so that what a test builds is the same each time."""

    def __init__(self, suite: Suite = ECDSA_P256) -> None:
        self.suite = suite
        self.dppb = suite.signer_of_scalar(b"\x11" * 32, reproducible=True)
        self.smdp_key = suite.one_time_key_of_scalar(b"\x22" * 32)
        self.euicc_key = suite.one_time_key_of_scalar(b"\x33" * 32)
        self.session = BppSession(
            suite=suite.name,
            transaction_id=TRANSACTION,
            eid=EID,
            one_time_scalar=self.euicc_key.scalar,
            dppb_point=self.dppb.public_point,
        )

    def bind(self, profile: bytes | ProtectedProfile = UPP, **changes: object) -> bytes:
        arguments: dict[str, object] = {
            "store_metadata": METADATA,
            "transaction_id": TRANSACTION,
            "host_id": b"host",
            "eid": EID,
            "euicc_otpk": self.euicc_key.public_point,
            "signer": self.dppb,
            "one_time_key": self.smdp_key,
        }
        return alone(binding(profile, **{**arguments, **changes}))  # type: ignore[arg-type] - one test changes one of them

    def bsp(self) -> Bsp:
        z = self.smdp_key.agree(self.euicc_key.public_point)
        return Bsp.from_keys(derive_session_keys(z, host_id=b"host", eid=EID))

    def channel(
        self,
        *,
        operation: bytes = b"\x82\x01\x01",
        transaction: bytes = TRANSACTION,
        template: bytes | None = None,
        smdp_otpk: bytes | None = None,
        signature: bytes | None = None,
    ) -> bytes:
        fields = {
            "remote_op_id": operation,
            "transaction_id": tlv(0x80, transaction),
            "control_ref_template": template or control_ref_template(b"host"),
            "smdp_otpk": tlv(0x5F49, smdp_otpk or self.smdp_key.public_point),
        }
        covered = initialise_secure_channel_tbs(**fields, euicc_otpk=tlv(0x5F49, self.euicc_key.public_point))
        return tlv(0xBF23, *fields.values(), tlv(0x5F37, signature or self.dppb.sign(covered)))


@suites
@pytest.mark.parametrize("profile", [UPP, protect_profile(UPP, PPK)], ids=["session keys", "random key"])
def test_what_is_bound_is_opened(suite: Suite, profile: bytes | ProtectedProfile) -> None:
    parties = Parties(suite)
    opened = open_bpp(parties.session, parties.bind(profile))
    assert (opened.upp, opened.store_metadata) == (UPP, METADATA)
    assert opened.configure_isdp == bytes.fromhex("bf2400")
    assert opened.has_own_keys is isinstance(profile, ProtectedProfile)


@suites
def test_binding_makes_its_own_one_time_key_each_time(suite: Suite) -> None:
    parties = Parties(suite)
    first, second = (parties.bind(one_time_key=None) for _ in range(2))
    assert open_bpp(parties.session, first) == open_bpp(parties.session, second)
    points = {
        members_of(members_of(bpp, 0xBF36, "")[0].whole, 0xBF23, "")[3].value for bpp in (first, second)
    }
    assert len(points) == 2


def test_a_protected_profile_is_made_once_and_bound_for_any_card() -> None:
    profile = protect_profile(UPP, PPK)
    parties, other = Parties(), Parties()
    other.euicc_key = ECDSA_P256.one_time_key_of_scalar(b"\x44" * 32)
    groups = [members_of(who.bind(profile), 0xBF36, "")[-1] for who in (parties, other)]
    assert groups[0] == groups[1]
    assert groups[0].value == profile.segments


def test_a_retry_with_the_same_keys_renews_the_channel_request_alone() -> None:
    parties = Parties()
    first = members_of(parties.bind(), 0xBF36, "")
    second = members_of(parties.bind(transaction_id=b"\x99" * 16), 0xBF36, "")
    assert first[0] != second[0]
    assert first[1:] == second[1:]


def test_the_one_time_key_must_be_on_the_curve_of_dppb() -> None:
    with pytest.raises(Refused) as refusal:
        Parties().bind(one_time_key=ECDSA_BRAINPOOL.new_one_time_key())
    assert refusal.value.code == "crypto.mixed_curves"


def test_random_keys_are_forty_eight_octets() -> None:
    for octets in (b"", bytes(47), bytes(49)):
        with pytest.raises(Unencodable):
            profile_protection_keys(octets)


def test_the_events_come_in_order_and_as_early_as_possible() -> None:
    parties = Parties()
    receiver = BppReceiver(parties.session)
    kinds = [
        [type(event) for event in receiver.feed(segment)]
        for segment in load_segments(parties.bind(protect_profile(UPP, PPK)))
    ]
    assert kinds == [
        [SecureChannelInitialised],
        [IsdpConfigured],
        [],
        [MetadataStored],
        [SessionKeysReplaced],
        [],
        [ProfileElements],
        [ProfileElements],
        [ProfileElements, PackageFinished],
    ]
    assert receiver.progress.is_finished


@pytest.mark.parametrize("profile", [UPP, protect_profile(UPP, PPK)], ids=["session keys", "random key"])
def test_the_reading_survives_a_change_of_receiver_after_any_octet(profile: bytes | ProtectedProfile) -> None:
    parties = Parties()
    bpp = parties.bind(profile)
    whole = BppReceiver(parties.session).feed(bpp)
    progress, events = None, []
    for cut in range(0, len(bpp), 97):
        receiver = BppReceiver(parties.session, progress)
        events += receiver.feed(bpp[cut : cut + 97])
        progress = receiver.progress
    assert tuple(events) == whole


def assert_refused(bpp: bytes, command: int, reason: int, *, is_late: bool = False) -> None:
    """As a whole and in pieces. `is_late`: the fault comes after a complete package."""
    session = Parties().session
    with pytest.raises(BppFault) as fault:
        open_bpp(session, bpp)
    assert (fault.value.command, fault.value.reason) == (command, reason), fault.value.message
    receiver = BppReceiver(session)
    events = [event for start in range(0, len(bpp), 50) for event in receiver.feed(bpp[start : start + 50])]
    refusals = {event for event in events if isinstance(event, BppRefused)}
    assert {(event.command, event.reason) for event in refusals} == {(command, reason)}
    assert isinstance(events[-1], BppRefused)
    assert (PackageFinished() in events) is is_late
    assert receiver.feed(b"\x00") == (events[-1],)  # it stays refused


def package(*parts: bytes) -> bytes:
    return tlv(0xBF36, *parts)


class TestChannelRequest:
    """BF23: fields (1), signature (2), remoteOpId (5), transactionId (3), template (4), point (1)."""

    BAD_CRT = tlv(0xA6, b"\x80\x01\x87\x81\x01\x10\x84\x01h")
    LONG_KEY = tlv(0xA6, b"\x80\x01\x88\x81\x01\x20\x84\x01h")

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"signature": bytes(63) + b"\x01"}, 2),
            ({"signature": b"\x01" * 63}, 2),
            ({"operation": b"\x82\x01\x02"}, 5),
            ({"transaction": b"\x00" * 16}, 3),
            ({"transaction": TRANSACTION[:-1]}, 3),
            ({"template": BAD_CRT}, 4),
            ({"template": LONG_KEY}, 4),
            ({"template": control_ref_template(b"host")[:-1] + b"\x00"}, None),
            ({"smdp_otpk": b"\x04" + bytes(64)}, 1),
            ({"smdp_otpk": b"\x02" + bytes(32)}, 1),
            ({"template": tlv(0xA6, b"\x80\x01\x88\x81\x01\x10")}, 1),
            ({"template": tlv(0xA6, b"\x81\x01\x10\x80\x01\x88\x84\x01h")}, 1),
            ({"template": tlv(0xA6, b"\x80\x01\x88\x81\x01\x10\x84\x11" + bytes(17))}, 1),
            ({"template": tlv(0xA6, b"\x80\x01\x88\x81\x01\x10\x84\x00")}, 1),
            ({"template": tlv(0xA6, b"\x80\x05\x88")}, 1),
        ],
    )
    def test_one_fault(self, changes: dict[str, bytes], reason: int | None) -> None:
        parties = Parties()
        bpp = package(parties.channel(**changes), *rest(parties))
        if reason is None:  # another hostId is no fault of BF23: the keys differ, the first MAC fails
            assert_refused(bpp, 1, 8)
        else:
            assert_refused(bpp, 0, reason)

    def test_the_signature_is_judged_first(self) -> None:
        parties = Parties()
        everything_wrong = parties.channel(
            operation=b"\x82\x01\x02", transaction=b"\0", template=self.BAD_CRT, signature=b"\x01" * 64
        )
        assert_refused(package(everything_wrong, *rest(parties)), 0, 2)

    def test_then_operation_transaction_and_template_in_this_order(self) -> None:
        parties = Parties()
        wrong = {"operation": b"\x82\x01\x02", "transaction": b"\0", "template": self.BAD_CRT}
        for name, reason in (("operation", 5), ("transaction", 3), ("template", 4)):
            assert_refused(package(parties.channel(**wrong), *rest(parties)), 0, reason)
            del wrong[name]

    def test_missing_doubled_and_swapped_fields(self) -> None:
        parties = Parties()
        fields = [element.whole for element in members_of(parties.channel(), 0xBF23, "")]
        for bent in (fields[:-1], fields[1:], [fields[1], fields[0], *fields[2:]], [*fields, fields[-1]], []):
            assert_refused(package(tlv(0xBF23, *bent), *rest(parties)), 0, 1)
        assert_refused(package(tlv(0xBF23, b"\x82\x05\x01"), *rest(parties)), 0, 1)

    def test_the_key_of_another_card_or_dppb(self) -> None:
        parties, other = Parties(), Parties()
        other.dppb = ECDSA_P256.new_signer()
        assert_refused(package(other.channel(), *rest(parties)), 0, 2)
        other = Parties()
        other.euicc_key = ECDSA_P256.new_one_time_key()
        assert_refused(package(other.channel(), *rest(parties)), 0, 2)


def rest(parties: Parties) -> list[bytes]:
    return [element.whole for element in members_of(parties.bind(), 0xBF36, "")[1:]]


def groups(parties: Parties, profile: bytes | ProtectedProfile = UPP) -> list[Element]:
    return list(members_of(parties.bind(profile), 0xBF36, ""))


Bend = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("bend", "command", "reason"),
    [
        (lambda g: g[1:], 0, 7),
        (lambda g: [g[1], g[0], *g[2:]], 0, 7),
        (lambda g: [g[0], g[2], g[1], g[3]], 1, 7),
        (lambda g: [g[0], *g[2:]], 1, 7),
        (lambda g: [g[0], g[1], g[3]], 2, 7),
        (lambda g: g[:3], 5, 7),
        (lambda g: g[:2], 2, 7),
        (lambda g: g[:1], 1, 7),
        (lambda g: [], 0, 7),
        (lambda g: [*g, g[3]], 5, 7),
        (lambda g: [*g, b"\x05\x00"], 5, 7),
        (lambda g: [g[0], b"\xa0\x00", *g[2:]], 1, 7),
        (lambda g: [*g[:3], b"\xa3\x00"], 5, 7),
        (lambda g: [*g[:3], b"\xa4\x03\x86\x01\x00"], 5, 7),
        (lambda g: [g[0], b"\xa0" + g[1][1:2] + b"\x88" + g[1][3:], *g[2:]], 1, 7),
        (lambda g: [g[0], g[1], b"\xa1" + g[2][1:2] + b"\x87" + g[2][3:], g[3]], 2, 7),
        (lambda g: [g[0], tlv(0xA0, b"\x87\x07" + bytes(7)), *g[2:]], 1, 7),
        (lambda g: [g[0], tlv(0xA0, b"\x87\x19" + bytes(25)), *g[2:]], 1, 7),
        (lambda g: [g[0], tlv(0xA0, b"\x87\x20" + bytes(25)), *g[2:]], 1, 7),
        (lambda g: [g[0], tlv(0xA0, b"\x87\x80" + bytes(25)), *g[2:]], 1, 7),
        (lambda g: [*g[:3], tlv(0xA3, tlv(0x86, bytes(1048)))], 5, 7),
        (lambda g: [g[0], tlv(0xA0, b"\x87\x18" + bytes(24)), *g[2:]], 1, 8),
    ],
)
def test_a_wrong_structure(bend: Bend, command: int, reason: int) -> None:
    parties = Parties()
    assert_refused(package(*bend([element.whole for element in groups(parties)])), command, reason)


@pytest.mark.parametrize(
    "start", [b"\xbf\x37\x00", b"\x30\x00", b"\xbf\x36\x80\x00\x00", b"\xbf\x83\x01\x00"]
)
def test_something_else_than_a_package(start: bytes) -> None:
    assert_refused(start, 0, 7)


def commands(parties: Parties, *pieces: tuple[int, int, bytes]) -> bytes:
    """A package of (group, tag, plaintext) parts, one protected TLV each unless it is too long."""
    bsp = parties.bsp()
    return package(
        parties.channel(), *(tlv(group, bsp.protect_all(tag, plaintext)) for group, tag, plaintext in pieces)
    )


CONFIGURE, STORE, LOAD = (0xA0, 0x87, b"\xbf\x24\x00"), (0xA1, 0x88, METADATA), (0xA3, 0x86, UPP)
REPLACE = tlv(0xBF26, tlv(0x80, bytes(16)), tlv(0x81, bytes(16)), tlv(0x82, bytes(16)))


@pytest.mark.parametrize(
    ("pieces", "command", "reason"),
    [
        ([(0xA0, 0x87, b"\xbf\x25\x00"), STORE, LOAD], 1, 7),
        ([(0xA0, 0x87, b""), STORE, LOAD], 1, 7),
        ([(0xA0, 0x87, b"\xbf\x24\x00\xbf\x24\x00"), STORE, LOAD], 1, 7),
        ([(0xA0, 0x87, b"\xbf\x24\x01"), STORE, LOAD], 1, 7),
        ([CONFIGURE, (0xA1, 0x88, METADATA + b"\0"), LOAD], 2, 1),
        ([CONFIGURE, (0xA1, 0x88, METADATA[:-1]), LOAD], 2, 1),
        ([CONFIGURE, (0xA1, 0x88, b""), LOAD], 2, 1),
        ([CONFIGURE, (0xA1, 0x88, b"\xbf\x24\x00"), LOAD], 2, 1),
        ([CONFIGURE, (0xA1, 0x88, bytes(17 * 1024)), LOAD], 2, 7),
        ([CONFIGURE, STORE, (0xA2, 0x87, b"\xbf\x24\x00"), LOAD], 4, 7),
        ([CONFIGURE, STORE, (0xA2, 0x87, REPLACE + b"\0"), LOAD], 4, 7),
        ([CONFIGURE, STORE, (0xA2, 0x87, tlv(0xBF26, tlv(0x80, bytes(16)))), LOAD], 4, 1),
        ([CONFIGURE, STORE, (0xA2, 0x87, tlv(0xBF26, b"\x80\x40")), LOAD], 4, 1),
        ([CONFIGURE, STORE, (0xA2, 0x87, REPLACE[:-17] + b"\x0f" + bytes(15)), LOAD], 4, 7),
        ([CONFIGURE, STORE, (0xA2, 0x87, REPLACE), LOAD], 5, 8),  # LOAD goes on under the session keys
        ([CONFIGURE, STORE, (0xA2, 0x86, REPLACE), LOAD], 4, 7),
    ],
)
def test_a_wrong_command(pieces: list[tuple[int, int, bytes]], command: int, reason: int) -> None:
    parties = Parties()
    assert_refused(commands(parties, *pieces), command, reason)


def test_keys_are_replaced_once_at_most() -> None:
    parties, new = Parties(), Bsp.from_keys(PPK)
    twice = parties.bind(protect_profile(UPP, PPK))
    parts = [element.whole for element in members_of(twice, 0xBF36, "")]
    assert_refused(package(*parts[:4], tlv(0xA2, new.protect(0x87, REPLACE)), parts[4]), 5, 7)


def test_commands_may_be_spread_over_several_tlvs() -> None:
    parties = Parties()
    bsp = parties.bsp()
    spread = package(
        parties.channel(),
        tlv(0xA0, bsp.protect(0x87, b"\xbf"), bsp.protect(0x87, b"\x24"), bsp.protect(0x87, b"\x00")),
        tlv(0xA1, bsp.protect(0x88, METADATA[:5]), bsp.protect(0x88, b""), bsp.protect(0x88, METADATA[5:])),
        tlv(0xA2, bsp.protect(0x87, REPLACE[:30]), bsp.protect(0x87, REPLACE[30:])),
        tlv(0xA3, Bsp.from_keys(profile_protection_keys(bytes(48))).protect_all(0x86, UPP)),
    )
    assert open_bpp(parties.session, spread).upp == UPP


def test_a_card_waits_for_the_rest_and_a_reader_of_files_does_not() -> None:
    parties = Parties()
    bpp = parties.bind()
    receiver = BppReceiver(parties.session)
    events = receiver.feed(bpp[:-1])
    assert not any(isinstance(event, BppRefused | PackageFinished) for event in events)
    assert receiver.feed(bpp[-1:])[-1] == PackageFinished()
    for cut in (1, len(bpp) // 2, len(bpp) - 1):
        with pytest.raises(BppFault) as fault:
            open_bpp(parties.session, bpp[:-cut])
        assert fault.value.reason == 7
    assert_refused(bpp + b"\0", 5, 7, is_late=True)


def test_no_key_is_kept_after_the_end_or_a_refusal() -> None:
    parties = Parties()
    bpp = parties.bind()
    receiver = BppReceiver(parties.session)
    receiver.feed(bpp[:-1])
    assert receiver.progress.bsp is not None
    for last in (bpp[-1:], bytes((bpp[-1] ^ 1,))):
        ending = BppReceiver(parties.session, receiver.progress)
        ending.feed(last)
        assert (ending.progress.bsp, ending.progress.pending) == (None, b"")


def test_a_foreign_eid_fails_at_the_first_protected_tlv() -> None:
    parties = Parties()
    assert_refused(parties.bind(eid=bytes(16)), 1, 8)


class TestSegments:
    def test_the_pieces_are_those_of_the_standard_and_join_to_the_whole(self) -> None:
        parties = Parties()
        bpp = parties.bind(protect_profile(UPP, PPK))
        pieces = list(load_segments(bpp))
        assert b"".join(pieces) == bpp
        starts = [piece[:1] for piece in pieces]
        assert starts == [b"\xbf", b"\xa0", b"\xa1", b"\x88", b"\xa2", b"\xa3", b"\x86", b"\x86", b"\x86"]
        assert max(map(len, pieces)) == 1020

    @pytest.mark.parametrize(
        "bpp", [b"", b"\xbf\x36\x00", b"\xbf\x37\x00", package(b"\xa0\x00"), package(b"\xbf\x23\x00\x04\x00")]
    )
    def test_anything_else_is_malformed(self, bpp: bytes) -> None:
        with pytest.raises(Malformed):
            list(load_segments(bpp))

    @pytest.mark.parametrize(
        ("octets", "header"),
        [
            ("", None),
            ("bf", None),
            ("bf36", None),
            ("bf3682", None),
            ("bf368201", None),
            ("bf36820123", (0xBF36, 5, 5 + 0x123)),
            ("8600", (0x86, 2, 2)),
            ("868103", (0x86, 3, 6)),
            ("867f", (0x86, 2, 0x81)),
        ],
    )
    def test_a_header_is_read_as_soon_as_it_is_there(
        self, octets: str, header: tuple[int, int, int] | None
    ) -> None:
        assert header_of(bytes.fromhex(octets)) == header

    @pytest.mark.parametrize("octets", ["8680", "8685", "86ff", "bf8301"])
    def test_a_header_of_no_such_tlv_is_malformed(self, octets: str) -> None:
        with pytest.raises(Malformed):
            header_of(bytes.fromhex(octets))


def test_elements_are_found_with_their_octets() -> None:
    assert elements_between(b"\x80\x01\x01\x5f\x37\x00") == (
        Element(0x80, b"\x80\x01\x01", b"\x01"),
        Element(0x5F37, b"\x5f\x37\x00", b""),
    )
    with pytest.raises(Malformed):
        members_of(b"\x30\x00\x00", 0x30, "name")
