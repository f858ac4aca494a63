"""Reading certificates and CRLs: what real ones carry is read, what is broken is Malformed, nothing else."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from tests.unit.pki.forge import NOW, resign, with_extensions

from keim.der import tlv
from keim.errors import KeimError, Malformed, Refused
from keim.pki import Certificate, Crl, Curve, Role, TrustStore, validate
from keim.pki.dates import moment_of, time_text
from keim.pki.describe import describe, describe_crl
from keim.pki.extensions import AlternativeNames
from keim.pki.leaf import matches_name
from keim.pki.world import World


def changed(certificate: Certificate, old: bytes, new: bytes) -> bytes:
    """A certificate of the same length with other octets somewhere (its signature no longer fits)."""
    assert len(old) == len(new)
    assert old in certificate.der
    return certificate.der.replace(old, new)


@pytest.mark.parametrize(
    "serial",
    [b"\x00", b"\x7f", b"\x80", b"\xff" * 9, b"\x00" + b"\xff" * 20, b"\x01" + b"\x00" * 63],
    ids=["zero", "one_octet", "negative", "nine_octets_negative", "twenty_octets", "sixty_four"],
)
def test_serial_numbers_of_any_sign_are_read_and_never_break_a_check(world: World, serial: bytes) -> None:
    old = world.get("dp-auth").certificate
    tbs = _with_serial(old, serial)
    leaf = Certificate(resign(tbs, world.get("ci").private_key))
    assert leaf.serial == int.from_bytes(serial, "big", signed=True)
    assert validate(leaf, (), world.trust, role="dp-auth", now=NOW, crls=world.crls).ok
    assert describe(leaf)["serial"] == f"{leaf.serial:X}"


@pytest.mark.parametrize("serial", [b"", b"\x01" * 65])
def test_serial_numbers_of_absurd_length_are_malformed(world: World, serial: bytes) -> None:
    tbs = _with_serial(world.get("dp-auth").certificate, serial)
    with pytest.raises(Malformed):
        Certificate(resign(tbs, world.get("ci").private_key))


def _with_serial(certificate: Certificate, serial: bytes) -> bytes:
    version = b"\xa0\x03\x02\x01\x02"
    start = certificate.tbs.index(version)
    after = certificate.tbs[start + len(version) :]
    return tlv(0x30, version, tlv(0x02, serial), after[2 + after[1] :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"20", b"2x"),
        (b"Z", b"+"),
    ],
)
def test_dates_in_other_forms_are_malformed(world: World, old: bytes, new: bytes) -> None:
    certificate = world.get("ci").certificate
    start = certificate.der.index(b"\x18\x0f")
    index = certificate.der.index(old, start)
    with pytest.raises(Malformed):
        Certificate(certificate.der[:index] + new + certificate.der[index + len(old) :])


@pytest.mark.parametrize(
    "date", [b"20261301000000Z", b"20260132000000Z", b"20260101240000Z", b"20260101006000Z"]
)
def test_dates_that_no_calendar_has_are_malformed(world: World, date: bytes) -> None:
    certificate = world.get("ci").certificate
    start = certificate.der.index(b"\x18\x0f") + 2
    with pytest.raises(Malformed):
        Certificate(certificate.der[:start] + date + certificate.der[start + 15 :])


def test_thirtieth_of_february_is_refused_where_somebody_wants_a_datetime(world: World) -> None:
    certificate = world.get("ci").certificate
    start = certificate.der.index(b"\x18\x0f") + 2
    strange = Certificate(certificate.der[:start] + b"20260230000000Z" + certificate.der[start + 15 :])
    with pytest.raises(Malformed):
        _ = strange.valid_until
    assert describe(strange)["valid_until"] == "2026-02-30T00:00:00Z"


def test_year_9999_is_compared_without_overflow(world: World) -> None:
    euicc = world.euiccs()[0].certificate
    assert euicc.valid_until.year == 9999
    assert time_text(euicc.not_after) == "9999-12-31T23:59:59Z"


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"\x30\x00",
        b"\x30\x81\x05" + b"\x00" * 5,
        b"\x30\x03\x02\x01",
        b"\x31\x03\x02\x01\x01",
        b"\x3f\x81\x01\x00",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x00" * 70000,
        b"\x30\x82\x00\x01\x00",
        b"\x30" * 4000,
        bytes(range(256)),
    ],
    ids=lambda der: der[:6].hex(),
)
def test_octets_that_are_no_certificate_are_malformed(der: bytes) -> None:
    for kind in (Certificate, Crl):
        with pytest.raises(Malformed):
            kind(der)
    with pytest.raises(Malformed) as caught:
        validate(b"\x30\x00", [der], (), role="euicc", now=NOW)
    assert caught.value.path == "leaf"


def test_malformed_says_which_certificate_it_was(world: World) -> None:
    good = world.euiccs()[0].certificate
    with pytest.raises(Malformed) as caught:
        validate(good, [b"\x30\x00"], world.trust, role="euicc", now=NOW)
    assert caught.value.path == "intermediates[0]"
    with pytest.raises(Malformed) as caught:
        TrustStore([good, b"\x30\x00"])
    assert caught.value.path == "roots[1]"
    with pytest.raises(Malformed) as caught:
        validate(good, (), world.trust, role="euicc", now=NOW, crls=[b"\x30\x00"])
    assert caught.value.path == "crls[0]"


def test_trailing_octets_are_malformed(world: World) -> None:
    with pytest.raises(Malformed):
        Certificate(world.get("ci").certificate.der + b"\x00")


@pytest.mark.parametrize(
    ("extension", "value"),
    [
        ("551d23", b"\x30\x03\x80\x05\x00"),
        ("551d20", b"\x30\x02\x30\x00"),
        ("551d0f", b"\x04\x00"),
        ("551d0e", b"\x05\x00"),
    ],
)
def test_broken_extension_is_malformed(world: World, extension: str, value: bytes) -> None:
    broken = tlv(0x30, tlv(0x06, bytes.fromhex(extension)), tlv(0x04, value))
    tbs = with_extensions(world.get("dp-auth").certificate, lambda _content: broken)
    with pytest.raises(Malformed):
        Certificate(resign(tbs, world.get("ci").private_key))


@pytest.mark.parametrize("extension", ["551d11", "551d13", "551d1e", "551d25"])
def test_broken_extension_that_is_read_late_is_malformed_and_nothing_else(
    world: World, extension: str
) -> None:
    broken = tlv(0x30, tlv(0x06, bytes.fromhex(extension)), tlv(0x04, b"\x30\x05\x01"))
    certificate = world.get("dp-tls").certificate

    def put(content: bytes) -> bytes:
        kept = [e for e in _elements(content) if bytes.fromhex("0603" + extension) not in e]
        return b"".join(kept) + broken

    def look_at(leaf: Certificate) -> None:
        validate(leaf, (), world.trust, role="dp-tls", now=NOW)
        describe(leaf)

    strange = Certificate(resign(with_extensions(certificate, put), world.get("ci").private_key))
    with pytest.raises(Malformed):
        look_at(strange)


def _append(extension: bytes, content: bytes) -> bytes:
    return content + extension


def _elements(content: bytes) -> list[bytes]:
    found, position = [], 0
    while position < len(content):
        end = position + 2 + content[position + 1]
        found.append(content[position:end])
        position = end
    return found


def test_extension_without_critical_and_one_with_explicit_false_mean_the_same(world: World) -> None:
    body = tlv(0x06, bytes.fromhex("2a0304"))
    plain = tlv(0x30, body, tlv(0x04, b"\x05\x00"))
    explicit = tlv(0x30, body, b"\x01\x01\x00", tlv(0x04, b"\x05\x00"))
    critical = tlv(0x30, body, b"\x01\x01\xff", tlv(0x04, b"\x05\x00"))
    found = []
    for extension in (plain, explicit, critical):
        tbs = with_extensions(world.get("dp-auth").certificate, partial(_append, extension))
        leaf = Certificate(resign(tbs, world.get("ci").private_key))
        found.append(validate(leaf, (), world.trust, role="dp-auth", now=NOW).verdict.value)
    assert found == ["ok", "ok", "unknown_critical_extension"]


def test_long_values_of_extensions_are_read_as_short_ones_are(world: World) -> None:
    long = tlv(0x30, tlv(0x06, bytes.fromhex("2a0304")), tlv(0x04, b"\x00" * 300))
    tbs = with_extensions(world.get("dp-auth").certificate, lambda content: content + long)
    leaf = Certificate(resign(tbs, world.get("ci").private_key))
    assert leaf.extensions[bytes.fromhex("2a0304")] == (False, b"\x00" * 300)


@pytest.mark.parametrize(
    ("name", "listed", "matches"),
    [
        ("a.example", "a.example", True),
        ("A.Example.", "a.EXAMPLE", True),
        ("b.example", "a.example", False),
        ("x.a.example", "*.a.example", True),
        ("a.example", "*.a.example", False),
        ("y.x.a.example", "*.a.example", False),
        ("x.a.example", "x*.a.example", False),
        ("example", "*", False),
        ("x.example", "*.example", False),
        ("xa.example", "a.example", False),
    ],
)
def test_server_names_match_as_rfc_6125_says(name: str, listed: str, matches: bool) -> None:
    assert matches_name(AlternativeNames((), (listed,), ()), name) == matches


@pytest.mark.parametrize("name", ["192.0.2.1", "2001:db8::1", "[2001:DB8:0:0::1]"])
def test_addresses_match_addresses_and_no_names(name: str) -> None:
    names = AlternativeNames((), ("192.0.2.1", "2001:db8::1"), ())
    assert not matches_name(names, name)
    assert matches_name(AlternativeNames((), (), ("192.0.2.1", "2001:db8::1")), name)


def test_time_without_zone_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        moment_of(NOW.replace(tzinfo=None))
    assert caught.value.code == "pki.naive_time"
    assert moment_of(NOW) == "20261120120000"
    assert moment_of(None) is None


def test_roles_are_named_or_refused(world: World) -> None:
    for role in ("nonsense", Role.CI, Role.EUM):
        with pytest.raises(Refused) as caught:
            validate(world.get("ci").certificate, (), world.trust, role=role, now=NOW)
        assert caught.value.code == "pki.unknown_role"


def test_key_identifier_is_found_by_its_beginning_if_only_one_has_it(world: World) -> None:
    trust = world.trust
    nist = world.get("ci", Curve.NIST).certificate.key_identifier
    assert trust.starting_with(nist[:4]) == nist
    assert trust.starting_with(nist) == nist
    assert trust.starting_with(b"") is None
    assert trust.starting_with(nist + b"\x00") is None


def test_crl_is_described_and_its_dates_are_checked(world: World) -> None:
    crl = world.crls[0]
    document = describe_crl(crl, now=NOW)
    assert document["number"] == 1
    assert document["revoked"] == []
    assert crl.is_current(moment_of(NOW))
    assert not crl.is_current(moment_of(NOW + timedelta(days=400)))
    assert not crl.is_current(moment_of(NOW - timedelta(days=1)))


def test_missing_list_is_seen(world: World) -> None:
    leaf, ci = world.get("dp-auth").certificate, world.get("ci").certificate
    moment = moment_of(NOW)
    assert world.revocations.is_covered(leaf, ci, moment)
    assert not world.revocations.is_covered(leaf, ci, moment_of(NOW + timedelta(days=400)))
    euicc, eum = world.euiccs()[0].certificate, world.get("eum").certificate
    assert not world.revocations.is_covered(euicc, eum, moment)


def test_certificate_with_an_unreadable_name_can_be_shown(world: World) -> None:
    strange = Certificate(
        changed(world.get("dp-auth").certificate, b"keim Test SM-DP+", b"keim Test SM-DP\xff")
    )
    assert "unreadable" in str(describe(strange)["subject"])
    assert "unreadable" in repr(strange)
    try:
        validation = validate(strange, (), world.trust, role="dp-auth", now=NOW)
    except KeimError as error:
        pytest.fail(f"a name that nobody looks at stopped the check: {error}")
    assert validation.verdict == "bad_signature"
    assert validation.refusal().code == "pki.bad_signature"
