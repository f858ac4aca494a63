"""Whole handshakes between our two sides, by every suite, proof and way of resumption."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.unit.dtls.lab import (
    NOW,
    PSK,
    SERVER,
    TARGET,
    Lab,
    Party,
    client_config,
    device,
    eim,
    ipa,
    pinned,
    psk_of,
    server_config,
)

from keim.errors import Refused
from keim.wire.dtls.config import DtlsConfig, Target
from keim.wire.dtls.credentials import credential_of
from keim.wire.dtls.events import Down
from keim.wire.dtls.fragments import HELLO_VERIFY_REQUEST
from keim.wire.dtls.hello import RAW_KEY, X509
from keim.wire.dtls.records import split
from keim.wire.dtls.suites import BRAINPOOL_P256R1, SUITE_NAMED, SUITES, X25519
from keim.wire.dtls.trust import Anchors, PinnedKeys

ECDSA = [suite for suite in SUITES if suite.exchange == "ecdsa"]
WITH_PSK = [suite for suite in SUITES if suite.exchange != "ecdsa"]


@pytest.mark.parametrize("suite", ECDSA, ids=lambda suite: suite.name)
@pytest.mark.parametrize("cid_octets", [8, None])
def test_certificates_prove_the_server_by_every_suite(suite: Any, cid_octets: int | None) -> None:
    lab = Lab(server_config(cid_octets=cid_octets))
    client, association = lab.connect(client_config(suites=(suite,)))
    [up] = lab.up()
    assert (up.suite, up.is_resumed, up.identity.kind) == (suite.name, False, "nobody")
    assert association.identity.kind == "certificate"
    assert association.identity.name == "eim.example.com"
    assert lab.echo(client, association) == b"HELLO"
    assert len(association.peer_cid) == (cid_octets or 0)


@pytest.mark.parametrize("suite", WITH_PSK, ids=lambda suite: suite.name)
def test_a_shared_key_proves_both_by_every_suite(suite: Any) -> None:
    lab = Lab(server_config(find_psk=psk_of))
    client, association = lab.connect(client_config(suites=(suite,)), Target(psk=PSK))
    [up] = lab.up()
    assert up.suite == suite.name
    assert (up.identity.kind, up.identity.value) == ("psk", b"device-7")
    assert lab.echo(client, association) == b"HELLO"


def test_raw_keys_prove_both_sides() -> None:
    server = server_config(
        credentials=(eim().raw,), client_proof="required", trust=PinnedKeys([ipa().raw.spki])
    )
    lab = Lab(server)
    client, association = lab.connect(client_config(trust=pinned(), credentials=(ipa().raw,)))
    [up] = lab.up()
    assert up.identity.kind == "raw_key"
    assert association.identity.kind == "raw_key"
    assert lab.echo(client, association) == b"HELLO"


@pytest.mark.parametrize(
    ("types", "kind"),
    [((RAW_KEY, X509), "raw_key"), ((X509, RAW_KEY), "certificate"), ((X509,), "certificate")],
)
def test_the_client_chooses_how_the_server_proves_itself(types: tuple[int, ...], kind: str) -> None:
    lab = Lab()
    _, association = lab.connect(client_config(trust=pinned(), certificate_types=types))
    assert association.identity.kind == kind


def test_certificates_prove_both_sides() -> None:
    lab = Lab(server_config(client_proof="required", trust=client_config().trust))
    client, association = lab.connect(client_config(credentials=(ipa().credential,)))
    [up] = lab.up()
    assert (up.identity.kind, up.identity.name) == ("certificate", "device.example.com")
    assert lab.echo(client, association) == b"HELLO"


def test_a_client_may_prove_nothing_where_that_is_optional() -> None:
    lab = Lab(server_config(client_proof="optional", trust=client_config().trust))
    client, association = lab.connect()
    assert lab.up()[0].identity.kind == "nobody"
    assert lab.echo(client, association) == b"HELLO"


def test_brainpool_keys_and_groups_work() -> None:
    party = Party("eim.example.com", curve=ec.BrainpoolP256R1())
    lab = Lab(server_config(credentials=(party.credential,)))
    client, association = lab.connect(client_config(groups=(BRAINPOOL_P256R1,)))
    assert lab.echo(client, association) == b"HELLO"


def test_x25519_works_beside_the_curve_of_the_certificate() -> None:
    lab = Lab()
    client, association = lab.connect(client_config(groups=(X25519, 23)))
    assert lab.echo(client, association) == b"HELLO"


def test_the_certificate_is_chosen_by_the_server_name() -> None:
    parties = {name: Party(name) for name in ("one.example.com", "two.example.com")}
    credentials = tuple(
        credential_of(party.key, party.credential.chain, names=[name]) for name, party in parties.items()
    )
    for number, name in enumerate(("one.example.com", "two.example.com"), 1):
        lab = Lab(server_config(credentials=credentials))
        _, association = lab.connect(target=Target(server_name=name), number=number)
        assert association.identity.name == name


@pytest.mark.parametrize("ours", [None, 0, 3, 8])
@pytest.mark.parametrize("theirs", [None, 0, 3, 8])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_connection_ids_of_any_length_are_agreed_by_each_side_for_itself(
    ours: int | None, theirs: int | None, is_resumed: bool
) -> None:
    lab = Lab(server_config(cid_octets=ours))
    config = client_config(cid_octets=theirs)
    client, association = lab.connect(config)
    if is_resumed:
        target = Target(server_name="eim.example.com", session=association.session)
        client, association = lab.connect(config, target, 2)
        assert association.is_resumed
    both = ours is not None and theirs is not None
    assert len(association.peer_cid) == (ours or 0 if both else 0)
    assert len(association.own_cid) == (theirs or 0 if both else 0)
    for _ in range(3):
        assert lab.echo(client, association) == b"HELLO"


# ---- refusals


def reason(lab: Lab, config: DtlsConfig, target: Target = TARGET) -> str:
    lab.connect(config, target)
    lab.link.run(100.0)
    [down] = lab.link.seen(Down, device())
    assert lab.up() == []
    assert lab.server.half_open == 0
    return str(down.reason)


@pytest.mark.parametrize(
    ("server", "client", "target", "expected"),
    [
        ({}, {"trust": PinnedKeys([b"other"])}, TARGET, "dtls.key_not_pinned"),
        ({}, {"trust": Anchors([])}, TARGET, "dtls.untrusted"),
        ({}, {}, Target(server_name="other.example.com"), "dtls.untrusted"),
        ({"suites": (SUITES[0],)}, {"suites": (SUITES[1],)}, TARGET, "alert handshake_failure"),
        ({"groups": (26,)}, {"groups": (23,)}, TARGET, "alert handshake_failure"),
        ({"client_proof": "required"}, {}, TARGET, "alert handshake_failure"),
        ({}, {"trust": None, "suites": WITH_PSK}, Target(psk=PSK), "alert handshake_failure"),
        (
            {"find_psk": lambda _: None},
            {"trust": None, "suites": WITH_PSK},
            Target(psk=PSK),
            "alert unknown_psk_identity",
        ),
        (
            {"find_psk": lambda _: b"another key"},
            {"trust": None, "suites": WITH_PSK},
            Target(psk=PSK),
            "dtls.timed_out",  # what cannot be opened is dropped in silence
        ),
    ],
    ids=["pin", "anchor", "name", "suite", "group", "client unproved", "no psk", "psk identity", "psk key"],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    server: dict[str, Any], client: dict[str, Any], target: Target, expected: str
) -> None:
    if "find_psk" in server:
        server = {**server, "suites": (SUITE_NAMED["PSK_WITH_AES_128_CCM_8"],)}
    assert reason(Lab(server_config(**server)), client_config(**client), target) == expected


@pytest.mark.parametrize(
    "flaw",
    [
        {"start": NOW - timedelta(days=10), "days": 5},
        {"signs": False},
        {"uses": (ExtendedKeyUsageOID.CLIENT_AUTH,)},
        {"critical": x509.UnrecognizedExtension(x509.ObjectIdentifier("2.999.1"), b"\x05\0")},
    ],
    ids=["expired", "key usage", "extended key usage", "critical and not understood"],
)
def test_unfit_certificates_are_refused(flaw: dict[str, Any]) -> None:
    party = Party("eim.example.com", **flaw)
    assert reason(Lab(server_config(credentials=(party.credential,))), client_config()) == "dtls.untrusted"


def test_a_pinned_key_needs_neither_name_nor_dates() -> None:
    party = Party("somebody.example.com", signs=False)
    lab = Lab(server_config(credentials=(party.credential,)))
    client, association = lab.connect(client_config(trust=PinnedKeys([party.credential.spki])))
    assert lab.echo(client, association) == b"HELLO"


def test_a_leaf_may_be_its_own_anchor() -> None:
    lab = Lab()
    client, association = lab.connect(client_config(trust=Anchors([eim().certificate])))
    assert lab.echo(client, association) == b"HELLO"


def test_a_server_that_is_not_there_is_given_up_after_its_tries() -> None:
    lab = Lab()
    lab.link.drop = lambda *_: True
    start = lab.link.now
    assert reason(lab, client_config()) == "dtls.timed_out"
    assert 63 <= lab.link.now - start <= 63 + 0.001
    assert len(lab.link.sent) == 6


# ---- resumption


@pytest.mark.parametrize("resumption", ["ids", "tickets"])
@pytest.mark.parametrize("suite", SUITES[:3], ids=lambda suite: suite.name)
def test_a_session_is_resumed_in_fewer_octets(resumption: Any, suite: Any) -> None:
    server = server_config(resumption=resumption, client_proof="optional", trust=client_config().trust)
    config = client_config(resumption=resumption, suites=(suite,), credentials=(ipa().credential,))
    lab = Lab(server)
    _, first = lab.connect(config)
    full = sum(len(data) for _, _, data in lab.link.sent)
    assert first.session is not None
    session = first.session
    for number in (2, 3):
        lab.link.sent.clear()
        client, again = lab.connect(config, Target(server_name="eim.example.com", session=session), number)
        assert again.is_resumed
        lab.link.run(0.2)
        up = lab.up()[-1]
        assert (up.is_resumed, up.identity) == (True, lab.up()[0].identity)
        assert again.identity == first.identity
        assert sum(len(data) for _, _, data in lab.link.sent) < full / 1.5
        assert lab.echo(client, again) == b"HELLO"
        assert again.session is not None
        session = again.session
    if resumption == "tickets":
        assert len(session.ticket) < 200


def test_data_may_follow_the_finished_of_a_resumption_at_once() -> None:
    lab = Lab()
    _, first = lab.connect()
    client = lab.client(number=2)
    again = client.connect(SERVER, lab.link.now, Target(server_name="eim.example.com", session=first.session))
    lab.link.run(10.0, lambda: again.handshake is None)
    assert len(lab.up()) == 1
    assert lab.echo(client, again) == b"HELLO"


def test_a_resumption_without_cookie_takes_one_round_trip_less_under_a_rate() -> None:
    lab = Lab(server_config(cookieless_resumptions_per_s=1))
    _, first = lab.connect()
    target = Target(server_name="eim.example.com", session=first.session)
    lab.link.sent.clear()
    _, again = lab.connect(target=target, number=2)
    assert again.is_resumed
    lab.link.run(0.2)
    assert len(lab.link.sent) == 3
    lab.link.sent.clear()
    _, third = lab.connect(target=target, number=3)  # the same second and prefix
    lab.link.run(0.2)
    assert third.is_resumed
    assert len(lab.link.sent) == 5


def test_only_a_hello_that_resumes_is_spared_the_cookie() -> None:
    """Else a session's id that was read on the way would have a whole flight sent to whatever address."""
    lab = Lab(server_config(cookieless_resumptions_per_s=100))
    _, first = lab.connect(client_config(suites=(SUITES[0],)))
    lab.link.sent.clear()
    target = Target(server_name="eim.example.com", session=first.session)
    _, again = lab.connect(client_config(suites=(SUITES[1],)), target, 2)
    assert not again.is_resumed
    answer = next(data for source, _, data in lab.link.sent if source == SERVER)
    [record] = split(answer, 8)
    assert record.fragment[0] == HELLO_VERIFY_REQUEST


def test_a_flight_to_an_address_that_showed_no_cookie_is_repeated_only_when_it_asks_again() -> None:
    lab = Lab(server_config(cookieless_resumptions_per_s=100))
    _, first = lab.connect()
    target = Target(server_name="eim.example.com", session=first.session)
    lab.link.drop = lambda _data, source, _target: source == SERVER
    client = lab.client(number=2)
    client.connect(SERVER, lab.link.now, target)
    [(hello, _)] = client.datagrams_to_send()
    lab.link.endpoints.pop(device(2))  # somebody sent its hello who is not there
    lab.link.sent.clear()
    lab.link.post(hello, device(2), SERVER)
    lab.link.run(600.0)
    assert lab.server.half_open == 0
    [flight] = [data for source, _, data in lab.link.sent if source == SERVER]
    assert len(flight) < 1.5 * len(hello)
    lost: list[bytes] = []

    def drop(data: bytes, source: object, _target: object) -> bool:
        if source == SERVER and not lost:
            lost.append(data)
            return True
        return False

    lab.link.drop = drop
    _, again = lab.connect(target=target, number=3)
    assert again.is_resumed
    assert len(lost) == 1


@pytest.mark.parametrize(
    "change",
    [{"server_name": "other.example.com"}, {"until": 0.0}, {"id": b"x" * 32}],
    ids=lambda c: next(iter(c)),
)
def test_a_session_that_does_not_fit_leads_to_a_full_handshake(change: dict[str, Any]) -> None:
    lab = Lab()
    _, first = lab.connect()
    assert first.session is not None
    session = msgspec.structs.replace(first.session, **change)
    name = change.get("server_name", "eim.example.com")
    _, again = lab.connect(client_config(trust=pinned()), Target(server_name=name, session=session), 2)
    assert not again.is_resumed
    assert len(lab.up()) == 2


def test_a_session_without_proof_does_not_open_a_server_that_asks_for_one() -> None:
    lab = Lab(server_config(client_proof="optional", trust=client_config().trust))
    _, first = lab.connect()
    strict = Lab(server_config(client_proof="required", trust=client_config().trust), seed="strict")
    strict.server.sessions = lab.server.sessions
    target = Target(server_name="eim.example.com", session=first.session)
    assert reason(strict, client_config(), target) == "alert handshake_failure"
    client, association = strict.connect(client_config(credentials=(ipa().credential,)), target, 2)
    assert not association.is_resumed
    assert strict.echo(client, association) == b"HELLO"


def test_sessions_end() -> None:
    lab = Lab(server_config(session_s=100.0))
    _, first = lab.connect()
    lab.link.now += 200.0
    _, again = lab.connect(target=Target(server_name="eim.example.com", session=first.session), number=2)
    assert not again.is_resumed


def test_no_session_is_made_where_resumption_is_off() -> None:
    lab = Lab(server_config(resumption="none"))
    _, first = lab.connect()
    assert first.session is None


# ---- sizes


@pytest.mark.parametrize("octets", [512, 1024, 2048, 4096])
def test_the_maximum_fragment_length_is_honoured(octets: int) -> None:
    lab = Lab()
    client, association = lab.connect(client_config(max_fragment_length=octets))
    assert association.largest_fragment == octets
    [up] = lab.up()
    assert up.association.largest_fragment == octets
    size = min(octets - 100, 1300)
    assert lab.echo(client, association, b"x" * size) == b"X" * size
    with pytest.raises(Refused):
        client.send(association, bytes(octets + 1), lab.link.now)


@pytest.mark.parametrize("mtu", [150, 300, 1200])
def test_flights_fit_into_small_datagrams(mtu: int) -> None:
    server = server_config(mtu=mtu, client_proof="required", trust=client_config().trust)
    lab = Lab(server)
    client, association = lab.connect(client_config(mtu=max(mtu, 300), credentials=(ipa().credential,)))
    assert lab.echo(client, association) == b"HELLO"
    assert max(len(data) for source, _, data in lab.link.sent if source == SERVER) <= mtu
