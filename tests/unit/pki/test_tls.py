"""TLS contexts joined in memory: trust, pins, names, versions and the role rules after the handshake."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.pki.forge import make_world

from keim.errors import Refused, Untrusted
from keim.io.pki_files import create_files
from keim.io.tls import (
    ClientCertificate,
    Pin,
    check_peer,
    check_spki,
    client_context,
    server_context,
    tls_credential,
)
from keim.pki import Certificate, Curve, Role
from keim.pki.world import World, rotate

HOST = "smdpplus.example.com"


@pytest.fixture(scope="module")
def today() -> World:
    """OpenSSL looks at the real clock, so this world is of today."""
    from keim.pki.world import WorldPlan, create_world

    return create_world(WorldPlan(curves=tuple(Curve)), now=datetime.now(UTC) - timedelta(hours=1))


def later_than(world: World) -> datetime:
    """A moment at which everything of this world is valid, whatever today is."""
    return world.get("ci").certificate.valid_from + timedelta(days=1)


def join(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str = HOST
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A whole handshake between two buffers."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    pending = [near, far]
    for _ in range(20):
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not pending:
            return near, far
    raise AssertionError("the handshake did not end")


@pytest.mark.parametrize("curve", Curve)
def test_server_is_accepted_by_its_root_and_role(today: World, curve: Curve) -> None:
    server = server_context(today.get("dp-tls", curve), for_devices=True)
    near, _ = join(server, client_context(today.roots, curve=curve))
    validation = check_peer(near, today.trust, role=Role.DP_TLS, now=later_than(today), server_name=HOST)
    assert validation.leaf == today.get("dp-tls", curve).certificate
    assert near.version() == ("TLSv1.3" if curve is Curve.NIST else "TLSv1.2")


def test_wrong_role_passes_openssl_and_is_refused_by_us(today: World) -> None:
    near, _ = join(server_context(today.get("ds-tls")), client_context(today.roots), "smds.example.com")
    with pytest.raises(Untrusted) as caught:
        check_peer(near, today.trust, role=Role.DP_TLS, now=later_than(today))
    assert caught.value.code == "pki.wrong_policy"
    assert caught.value.party == "server"


@pytest.mark.parametrize("host", ["other.example.com", "smds.example.com"])
def test_wrong_name_is_refused(today: World, host: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        join(server_context(today.get("dp-tls")), client_context(today.roots), host)


def test_unknown_root_is_refused(today: World) -> None:
    stranger = make_world()
    with pytest.raises(ssl.SSLCertVerificationError):
        join(server_context(today.get("dp-tls")), client_context(stranger.roots))


def test_pinned_leaf_is_its_own_anchor_and_its_name_is_checked(today: World) -> None:
    credential = today.get("eim-tls")
    pin = Pin(certificate=credential.certificate.der)
    join(server_context(credential), client_context(pin=pin), "eim.example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        join(server_context(credential), client_context(pin=pin), "evil.example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        join(server_context(today.get("dp-tls")), client_context(pin=pin))


def test_pinned_key_is_the_identity_whatever_the_name(today: World) -> None:
    credential = today.get("eim-tls")
    pin = Pin(spki=credential.certificate.spki)
    near, _ = join(server_context(credential), client_context(pin=pin), "anything.example.com")
    assert check_spki(near, credential.certificate.spki) == credential.certificate


def test_other_key_than_the_pinned_one_is_refused(today: World) -> None:
    credential = today.get("eim-tls")
    later = rotate(today, "eim-tls", now=later_than(today) - timedelta(days=1)).get("eim-tls")
    near, _ = join(server_context(later), client_context(pin=Pin(spki=credential.certificate.spki)))
    with pytest.raises(Untrusted) as caught:
        check_spki(near, credential.certificate.spki)
    assert caught.value.code == "pki.pinned_key_mismatch"


def test_client_proves_itself_where_the_server_asks(today: World) -> None:
    server = server_context(today.get("ds-tls"), clients=today.roots, ask=ClientCertificate.REQUIRED)
    client = client_context(today.roots, credential=today.get("dp-tls"))
    near, far = join(server, client, "smds.example.com")
    near.write(b"x")
    assert far.read(1) == b"x"
    validation = check_peer(
        far, today.trust, role=Role.DP_TLS, now=later_than(today), as_client=True, party="SM-DP+"
    )
    assert validation.leaf == today.get("dp-tls").certificate


def test_client_without_certificate_is_seen(today: World) -> None:
    server = server_context(today.get("ds-tls"), clients=today.roots, ask=ClientCertificate.OPTIONAL)
    _, far = join(server, client_context(today.roots), "smds.example.com")
    with pytest.raises(Untrusted) as caught:
        check_peer(far, today.trust, role=Role.DP_TLS, now=later_than(today), party="SM-DP+")
    assert caught.value.code == "pki.no_peer_certificate"


def test_mutual_tls_without_roots_makes_no_sense(today: World) -> None:
    with pytest.raises(Refused):
        server_context(today.get("ds-tls"), ask=ClientCertificate.REQUIRED)


def test_signing_role_is_no_role_of_a_connection(today: World) -> None:
    near, _ = join(server_context(today.get("dp-tls")), client_context(today.roots))
    with pytest.raises(Refused):
        check_peer(near, today.trust, role=Role.DP_AUTH, now=later_than(today))


def test_old_versions_are_not_spoken_and_groups_are_not_restricted(today: World) -> None:
    for context in (server_context(today.get("dp-tls")), client_context(today.roots)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert client_context(today.roots, curve=Curve.BRAINPOOL).maximum_version is ssl.TLSVersion.TLSv1_2


def test_cbc_is_accepted_from_devices_only_and_never_offered(today: World) -> None:
    def names(context: ssl.SSLContext) -> list[str]:
        return [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.2"]

    for_devices = names(server_context(today.get("dp-tls"), for_devices=True))
    assert for_devices == [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-SHA256",
    ]
    assert names(server_context(today.get("dp-tls"))) == for_devices[:2]
    assert names(client_context(today.roots)) == for_devices[:2]
    assert len(names(client_context(today.roots, with_public_web=True))) == 4


def test_credential_of_two_files_serves(today: World, tmp_path: Path) -> None:
    create_files(tmp_path / "pki", today)
    folder = tmp_path / "pki" / "nist"
    credential = tls_credential(folder / "eim-tls.pem", folder / "eim-tls.key", Role.EIM_TLS)
    near, _ = join(server_context(credential), client_context(today.roots), "localhost")
    assert Certificate(near.getpeercert(binary_form=True) or b"") == today.get("eim-tls").certificate
    with pytest.raises(Refused) as caught:
        tls_credential(folder / "eim-tls.pem", folder / "dp-tls.key", Role.EIM_TLS)
    assert caught.value.code == "pki.key_mismatch"
