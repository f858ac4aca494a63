"""Peers that lie: each check of the handshake is met by somebody whom only that check stops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.dtls.lab import (
    NOW,
    Lab,
    Party,
    client_config,
    device,
    eim,
    ipa,
    make_certificate,
    new_key,
    root,
    server_config,
)

from keim.wire.dtls.client import ClientHandshake
from keim.wire.dtls.config import Target
from keim.wire.dtls.credentials import Credential, credential_of
from keim.wire.dtls.events import Down, Up
from keim.wire.dtls.fragments import (
    CERTIFICATE_VERIFY,
    CLIENT_KEY_EXCHANGE,
    FINISHED,
    SERVER_HELLO,
    SERVER_KEY_EXCHANGE,
    HandshakeMessage,
)
from keim.wire.dtls.handshake import Handshake, Item
from keim.wire.dtls.server import ServerHandshake

MUTUAL = {"client_proof": "required", "trust": client_config().trust}


def outcome(lab: Lab, **client: Any) -> str:
    """Why the client's handshake ended; nobody may be up at the honest side."""
    lab.connect(client_config(**client))
    lab.link.run(100.0)
    [down] = lab.link.seen(Down, device())
    return str(down.reason)


def impostor(party: Party) -> Credential:
    """Shows the party's certificate, has another key."""
    return msgspec.structs.replace(party.credential, sign=credential_of(new_key()).sign)


def test_a_server_without_the_key_of_its_certificate_is_found_out() -> None:
    lab = Lab(server_config(credentials=(impostor(eim()),)))
    assert outcome(lab) == "dtls.wrong_signature"


def test_a_client_without_the_key_of_its_certificate_is_found_out() -> None:
    lab = Lab(server_config(**MUTUAL))
    assert outcome(lab, credentials=(impostor(ipa()),)) == "alert decrypt_error"
    assert lab.up() == []


def garble(monkeypatch: pytest.MonkeyPatch, side: type[Handshake], kind: int, change: Any) -> None:
    """Lets one side write a message of this kind otherwise than it should."""
    honest = Handshake.message

    def message(self: Handshake, number: int, body: bytes, *, is_heard: bool = True) -> HandshakeMessage:
        return honest(self, number, change(body) if number == kind else body, is_heard=is_heard)

    monkeypatch.setattr(side, "message", message)


def flip_last(body: bytes) -> bytes:
    return body[:-1] + bytes((body[-1] ^ 1,))


def test_a_wrong_finished_of_the_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, ClientHandshake, FINISHED, flip_last)
    lab = Lab()
    assert outcome(lab) == "alert decrypt_error"
    assert lab.up() == []


def test_a_wrong_finished_of_the_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, ServerHandshake, FINISHED, flip_last)
    lab = Lab()
    assert outcome(lab) == "dtls.wrong_finished"
    assert lab.link.seen(Up, device()) == []


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        (SERVER_HELLO, lambda body: body[:-2] + b"\x00\x63\x00\x00", "dtls.handshake_failed"),
        (SERVER_HELLO, lambda body: b"\xfe\xff" + body[2:], "dtls.handshake_failed"),
        (SERVER_HELLO, lambda body: body[:67] + b"\xc0\xac" + body[69:], "dtls.handshake_failed"),
        (SERVER_HELLO, lambda body: body[:69] + b"\x01" + body[70:], "dtls.handshake_failed"),
        (SERVER_HELLO, lambda body: body[:20], "dtls.handshake_failed"),
        (SERVER_KEY_EXCHANGE, lambda body: b"\x01" + body[1:], "dtls.handshake_failed"),
        (
            SERVER_KEY_EXCHANGE,
            lambda body: body[:5] + bytes((body[5] ^ 1,)) + body[6:],
            "dtls.wrong_signature",
        ),
        (SERVER_KEY_EXCHANGE, lambda body: body + b"\0", "dtls.handshake_failed"),
    ],
    ids=["no end", "version", "suite", "compression", "cut", "curve type", "point", "octets behind"],
)
def test_a_server_that_answers_what_it_may_not_is_left(
    kind: int, change: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    garble(monkeypatch, ServerHandshake, kind, change)
    lab = Lab()
    suites = tuple(suite for suite in client_config().suites if suite.number != 0xC0AC)
    assert outcome(lab, suites=suites) == expected


def test_an_extension_that_was_not_offered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ServerHandshake._answered_extensions
    monkeypatch.setattr(ServerHandshake, "_answered_extensions", lambda self: {**honest(self), 99: b""})
    assert outcome(Lab()) == "dtls.handshake_failed"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (CLIENT_KEY_EXCHANGE, lambda body: body[:1] + b"\x04" + bytes(64)),
        (CLIENT_KEY_EXCHANGE, lambda body: b"\0"),
        (CLIENT_KEY_EXCHANGE, lambda body: body + b"\0"),
        (CERTIFICATE_VERIFY, lambda body: b"\x02\x03" + body[2:]),
        (CERTIFICATE_VERIFY, lambda body: body[:-1]),
    ],
    ids=["point off the curve", "no point", "octets behind", "SHA-1", "cut"],
)
def test_a_client_that_answers_what_it_may_not_does_not_come_in(
    kind: int, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    garble(monkeypatch, ClientHandshake, kind, change)
    lab = Lab(server_config(**MUTUAL))
    assert outcome(lab, credentials=(ipa().credential,)).startswith("alert ")
    assert lab.up() == []


@pytest.mark.parametrize("left_out", [CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE, 11])
def test_a_client_that_leaves_a_step_out_does_not_come_in(
    left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ClientHandshake.send_flight

    def send_flight(self: ClientHandshake, flight: list[Item], *, is_last: bool = False) -> None:
        kept = [item for item in flight if isinstance(item, int) or item.type != left_out]
        first = min((item.sequence for item in flight if not isinstance(item, int)), default=0)
        moved: list[Item] = []
        for item in kept:  # numbered without a gap, so that only the order is wrong
            if isinstance(item, int):
                moved.append(item)
            else:
                number = first + sum(not isinstance(other, int) for other in moved)
                moved.append(HandshakeMessage(item.type, number, item.body))
        honest(self, moved, is_last=is_last)

    monkeypatch.setattr(ClientHandshake, "send_flight", send_flight)
    lab = Lab(server_config(**MUTUAL))
    assert outcome(lab, credentials=(ipa().credential,)) in ("alert unexpected_message", "dtls.timed_out")
    assert lab.up() == []


def test_a_hello_that_was_changed_on_the_way_is_found_out_by_the_finished() -> None:
    """Somebody in between who takes the first suite away, to have the weaker one chosen."""
    lab = Lab()
    honest = lab.server.receive
    seen: list[bytes] = []

    def receive(datagram: bytes, address: Any, now: float) -> list[Any]:
        changed = datagram.replace(b"\xc0\x2b\xc0\x2c", b"\xc0\xff\xc0\x2c")
        seen.append(changed)
        return honest(changed, address, now)

    lab.server.receive = receive  # type: ignore[method-assign]  # the man in the middle of this test
    assert outcome(lab).startswith(("alert ", "dtls."))
    assert any(b"\xc0\xff" in datagram for datagram in seen)
    assert lab.up() == []


# ---- chains


def chained(*, shows: bool = True, **middle_flaw: Any) -> Credential:
    """A leaf under an intermediate under the root."""
    key, middle_key = new_key(), new_key()
    middle = make_certificate("middle", middle_key, root(), **{"is_authority": True, **middle_flaw})
    leaf = make_certificate("eim.example.com", key, (middle, middle_key))
    chain = [leaf, middle] if shows else [leaf]
    return credential_of(key, [certificate.public_bytes(Encoding.DER) for certificate in chain])


def test_certificates_with_any_octet_changed_are_refused_and_raise_nothing() -> None:
    good = ipa().credential.chain[0]
    for place in range(0, len(good), 3):
        bad = good[:place] + bytes((good[place] ^ 0x15,)) + good[place + 1 :]
        lab = Lab(server_config(**MUTUAL))
        credential = msgspec.structs.replace(ipa().credential, chain=(bad,))
        assert outcome(lab, credentials=(credential,)).startswith("alert ")
        assert lab.up() == []


def test_an_intermediate_is_followed() -> None:
    lab = Lab(server_config(credentials=(chained(),)))
    client, association = lab.connect()
    assert lab.echo(client, association) == b"HELLO"


@pytest.mark.parametrize(
    "flaw",
    [
        {"is_authority": False},
        {"is_flagged": False},
        {"start": NOW - timedelta(days=9), "days": 5},
        {"shows": False},
        {"critical": x509.NameConstraints([x509.DNSName("other.example.com")], None)},
    ],
    ids=["no authority", "no authority by its flag", "expired", "not shown", "critical and not understood"],
)
def test_a_chain_with_a_flaw_is_refused(flaw: dict[str, Any]) -> None:
    lab = Lab(server_config(credentials=(chained(**flaw),)))
    assert outcome(lab) == "dtls.untrusted"


@pytest.mark.parametrize(("path_length", "is_good"), [(0, False), (1, True), (None, True)])
def test_an_authority_that_may_make_no_authorities_makes_none(path_length: int | None, is_good: bool) -> None:
    key, low_key, high_key = new_key(), new_key(), new_key()
    high = make_certificate("high", high_key, root(), is_authority=True, path_length=path_length)
    low = make_certificate("low", low_key, (high, high_key), is_authority=True)
    leaf = make_certificate("eim.example.com", key, (low, low_key))
    chain = [certificate.public_bytes(Encoding.DER) for certificate in (leaf, low, high)]
    lab = Lab(server_config(credentials=(credential_of(key, chain),)))
    _, association = lab.connect()
    assert (association.identity.kind == "certificate") == is_good


def test_a_root_of_the_same_name_with_another_key_is_no_root() -> None:
    key, fake_key = new_key(), new_key()
    fake = make_certificate("laboratory root", fake_key, None, is_authority=True)
    leaf = make_certificate("eim.example.com", key, (fake, fake_key))
    chain = [certificate.public_bytes(Encoding.DER) for certificate in (leaf, fake)]
    assert outcome(Lab(server_config(credentials=(credential_of(key, chain),)))) == "dtls.untrusted"


def test_names_are_compared_by_the_rules() -> None:

    party = Party("*.example.com")
    lab = Lab(server_config(credentials=(party.credential,)))
    for number, (name, is_good) in enumerate(
        {
            "eim.example.com": True,
            "EIM.example.com.": True,
            "a.b.example.com": False,
            "example.com": False,
        }.items()
    ):
        _, association = lab.connect(target=Target(server_name=name), number=number + 1)
        assert (association.identity.kind == "certificate") == is_good, name
