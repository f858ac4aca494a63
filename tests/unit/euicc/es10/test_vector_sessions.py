"""Two whole lives of a card from the crypto vectors, answered by ours octet for octet.

AuthenticateServer alone differs, for EUICCInfo2 describes another card; its signature is put in place.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.card_lab import Lab
from tests.shared import needs_shared, shared_path

from keim.euicc.identity import Identity, Options, SigningCredential, TrustedCi
from keim.euicc.isdr.eims import entry
from keim.euicc.isdr_state import IsdrState
from keim.euicc.state import CardState
from keim.ids import Eid
from keim.messages.authentication import AuthenticateServerResponse
from keim.messages.package import EimConfigurationData, EimPublicKeyData
from keim.pki import Certificate

octets = bytes.fromhex


def vectors() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(shared_path("spec/vectors/crypto.json").read_text())
    return document


def session(number: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    document = vectors()
    return document["iot_sessions"][number], {
        name: octets(value) for name, value in document["certificates"].items()
    }


def card_key(case: dict[str, Any]) -> bytes:
    name = "brainpool/SK_EUICC_ECDSA_BRP.pem" if case["mode"] == "ppk" else "nist/SK_EUICC_ECDSA_NIST.pem"
    key = load_pem_private_key(shared_path(f"sgp26/original-2020/{name}").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")


class Script:
    """The entropy that the vector used: its challenge, then its one-time key."""

    def __init__(self, *values: bytes) -> None:
        self._values = list(values)

    def bytes(self, count: int) -> bytes:
        value = self._values.pop(0)
        assert len(value) == count
        return value


def card_of(case: dict[str, Any], certificates: dict[str, bytes]) -> Lab:
    euicc, eum = (certificates[name] for name in case["certificates"][:2])
    roots = tuple(Certificate(certificates[name]) for name in ("ci-2020-nist", "ci-2020-brp"))
    is_nist = case["curve"] == "secp256r1"
    identity = Identity(
        eid=Eid(case["eid"]),
        credentials=(
            SigningCredential(
                ci_pk_id=roots[0 if is_nist else 1].key_identifier,
                suite="ecdsa-p256-sha256" if is_nist else "ecdsa-brainpoolp256r1-sha256",
                private_key=card_key(case),
                certificate=euicc,
                eum_certificate=eum,
            ),
        ),
        trusted=tuple(TrustedCi(root.key_identifier, root.der) for root in roots),
        options=Options(has_reproducible_signatures=True),
    )
    eim = certificates[case["eim_certificate"]]
    configuration = EimConfigurationData(
        eim_id="eim.example.com",
        counter_value=0,
        eim_public_key_data=EimPublicKeyData(eim_certificate=eim),  # type: ignore[arg-type]  # a complete certificate
    )
    associated = entry(configuration, Certificate(eim).spki, case["eim_association_token"])
    lab = Lab(state=CardState(isdr=IsdrState(eims=(associated,))), eim=False, card_identity=identity)
    challenge = octets(case["get_euicc_challenge_response"])[-16:]
    lab.card.entropy = Script(challenge, octets(case["otsk_euicc"]))
    return lab


@needs_shared
@pytest.mark.parametrize("number", [0, 1])
def test_our_card_lives_the_life_of_the_vectors(number: int) -> None:
    case, certificates = session(number)
    lab = card_of(case, certificates)
    assert lab.es10("BF2000") == octets(case["euicc_info1"])
    assert lab.es10("BF2E00") == octets(case["get_euicc_challenge_response"])

    authenticated = AuthenticateServerResponse.decode(lab.es10(case["authenticate_server_request"]))
    theirs = AuthenticateServerResponse.decode(octets(case["authenticate_server_response"]))
    ours, other = authenticated.authenticate_response_ok, theirs.authenticate_response_ok
    assert ours is not None
    assert other is not None
    assert ours.euicc_certificate == other.euicc_certificate
    assert ours.eum_certificate == other.eum_certificate
    assert ours.euicc_signed1.ctx_params1 == other.euicc_signed1.ctx_params1
    assert ours.euicc_signed1.server_challenge == other.euicc_signed1.server_challenge
    rsp = lab.card.volatile.rsp
    assert rsp is not None
    replaced = msgspec.structs.replace(rsp, euicc_signature1=other.euicc_signature1)
    lab.card.volatile = msgspec.structs.replace(lab.card.volatile, rsp=replaced)

    assert lab.es10(case["prepare_download_request"]) == octets(case["prepare_download_response"])
    bpp, position, answer = octets(case["bound_profile_package"]), 0, b""
    for length in case["segment_lengths"]:
        assert answer == b""
        answer = lab.es10(bpp[position : position + length])
        position += length
    assert position == len(bpp)
    assert answer == octets(case["profile_installation_result"])

    assert lab.es10(case["euicc_package_request"]) == octets(case["euicc_package_result"])
    pending = lab.es10("BF2B00")
    for notification in case["notifications_after_enable"]:
        assert octets(notification) in pending
    assert lab.es10(case["euicc_package_request"]) == octets(case["replayed_package_result"])


@needs_shared
@pytest.mark.parametrize("block", [7, 120, 255])
def test_the_cuts_of_the_package_do_not_matter(block: int) -> None:
    case, certificates = session(0)
    lab = card_of(case, certificates)
    lab.es10("BF2E00")
    lab.es10(case["authenticate_server_request"])
    rsp = lab.card.volatile.rsp
    assert rsp is not None
    theirs = AuthenticateServerResponse.decode(octets(case["authenticate_server_response"]))
    assert theirs.authenticate_response_ok is not None
    signature = theirs.authenticate_response_ok.euicc_signature1
    replaced = msgspec.structs.replace(rsp, euicc_signature1=signature)
    lab.card.volatile = msgspec.structs.replace(lab.card.volatile, rsp=replaced)
    lab.es10(case["prepare_download_request"])
    bpp, answer = octets(case["bound_profile_package"]), b""
    for start in range(0, len(bpp), block):
        assert answer == b""
        answer = lab.es10(bpp[start : start + block])
    assert answer == octets(case["profile_installation_result"])
