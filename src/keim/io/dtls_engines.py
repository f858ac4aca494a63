"""The choice between the DTLS engines, by the word that stands in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from keim.errors import Refused
from keim.io.entropy import OsEntropy
from keim.pki.credentials import Credential
from keim.wire.dtls.config import DtlsConfig
from keim.wire.dtls.credentials import credential_of
from keim.wire.dtls.endpoint import DtlsEndpoint
from keim.wire.dtls.events import SecureDatagrams
from keim.wire.dtls.sessions import SessionStore
from keim.wire.dtls.trust import Trust

Engine = Literal["native", "openssl"]
ClientProof = Literal["none", "optional", "required"]

_SERVER: Final = DtlsConfig()
_DEVICE: Final = DtlsConfig(cid_octets=0)


def chain_of(credential: Credential) -> list[x509.Certificate]:
    """The leaf and what stands below the root: the anchor is never sent."""
    return [x509.load_der_x509_certificate(one.der) for one in (credential.certificate, *credential.chain)]


def server_datagrams(
    engine: Engine,
    key: ec.EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate] = (),
    *,
    trust: Trust | None = None,
    client_proof: ClientProof = "none",
    find_psk: Callable[[bytes], bytes | None] | None = None,
    sessions: SessionStore | None = None,
    native: DtlsConfig = _SERVER,
) -> SecureDatagrams:
    """Without a chain the raw key proves the server, with one whichever of both a client prefers.

    `native`: what only the native engine can be told.
    """
    if engine == "native":
        config = msgspec.structs.replace(
            native,
            credentials=(credential_of(key, [item.public_bytes(Encoding.DER) for item in chain]),),
            trust=trust,
            client_proof=client_proof,
            find_psk=find_psk,
        )
        return DtlsEndpoint(config, entropy=OsEntropy(), sessions=sessions)
    if find_psk is not None or sessions is not None or native.worker is not None or not chain:
        raise Refused(
            "the OpenSSL engine knows no shared keys, raw keys, workers or shared sessions",
            code="dtls.engine_lacks",
        )
    from keim.io.dtls_openssl import OpenSslConfig, OpenSslDatagrams

    return OpenSslDatagrams(
        OpenSslConfig(
            key=key,
            chain=tuple(chain),
            trust=trust,
            client_proof=client_proof,
            half_open=native.half_open,
            associations=native.associations,
        )
    )


def renew_server(lower: SecureDatagrams, credential: Credential) -> None:
    """New handshakes get the new certificate; associations and sessions live on."""
    key, chain = credential.private_key, chain_of(credential)
    if isinstance(lower, DtlsEndpoint):
        lower.prove_with(credential_of(key, [item.public_bytes(Encoding.DER) for item in chain]))
        return
    from keim.io.dtls_openssl import OpenSslDatagrams

    assert isinstance(lower, OpenSslDatagrams)
    lower.prove_with(key, tuple(chain))


def client_datagrams(
    engine: Engine,
    trust: Trust | None,
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    chain: Sequence[x509.Certificate] = (),
    native: DtlsConfig = _DEVICE,
) -> SecureDatagrams:
    """A device's end; `trust` may be None only where a shared key is given to `connect` (native)."""
    if engine == "native":
        octets = [item.public_bytes(Encoding.DER) for item in chain]
        config = msgspec.structs.replace(
            native, credentials=() if key is None else (credential_of(key, octets),), trust=trust
        )
        return DtlsEndpoint(config, entropy=OsEntropy())
    from keim.io.dtls_openssl import OpenSslConfig, OpenSslDatagrams

    return OpenSslDatagrams(OpenSslConfig(key=key, chain=tuple(chain), trust=trust))
