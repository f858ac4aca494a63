"""A test world around the software eUICC: its eIM, its SM-DP+ and an IPA, as short as tests want them.

Every message is made with keim.crypto and keim.messages and may be bent before it is sent. The card is
reached through APDUs only.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keim.app.new_card import identity_from
from keim.crypto.bpp import binding
from keim.crypto.ecdsa import MemorySigner
from keim.crypto.signed import euicc_package_tbs, server_signed1_tbs, smdp_signed2_tbs
from keim.crypto.suites import suite_named
from keim.deciding import alone
from keim.der import Certificate, Choice, PublicKeyInfo, read_tlv, tlv, walk
from keim.euicc.card import Card
from keim.euicc.faults import Faults
from keim.euicc.identity import Identity, Options
from keim.euicc.nvm import Medium
from keim.euicc.state import CardState
from keim.ids import Iccid
from keim.messages import authentication as auth
from keim.messages.info import DeviceCapabilities, DeviceInfo
from keim.messages.package import (
    Eco,
    EimConfigurationData,
    EimPublicKeyData,
    EuiccPackage,
    EuiccPackageRequest,
    EuiccPackageResult,
    EuiccPackageSigned,
    Psmo,
)
from keim.messages.profile import StoreMetadataRequest
from keim.pki.world import Credential, World, WorldPlan, create_world, example_eids
from keim.saip import Package
from keim.saip.elements import ProfileHeader
from keim.saip.store_metadata import metadata as metadata_of

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EID, OTHER_EID = example_eids(2)
EIM = "eim.example.com"
SMDP = "smdpplus.example.com"
SMDP_OID = "2.999.10"
SELECT = bytes.fromhex("00A4040010A0000005591010FFFFFFFF8900000100")
P256 = "ecdsa-p256-sha256"


class SeededEntropy:
    """Octets that differ from call to call and are the same in every run."""

    def __init__(self, seed: int = 0) -> None:
        self._seed, self._calls = seed, 0

    def bytes(self, count: int) -> bytes:
        self._calls += 1
        out = b""
        while len(out) < count:
            out += hashlib.sha256(f"{self._seed}/{self._calls}/{len(out)}".encode()).digest()
        return out[:count]


@cache
def world() -> World:
    return create_world(WorldPlan(eids=(EID, OTHER_EID), smdp_address=SMDP, eim_address=EIM), now=NOW)


def signer_of(credential: Credential) -> MemorySigner:
    scalar = credential.private_key.private_numbers().private_value.to_bytes(32, "big")
    return suite_named(P256).signer_of_scalar(scalar)


@cache
def signer(name: str) -> MemorySigner:
    return signer_of(world().get(name))


@cache
def base_identity() -> Identity:
    return identity_from(
        world(), EID, options=Options(), default_smdp_address=SMDP, root_smds_address="smds.example.com"
    )


def identity(**options: Any) -> Identity:
    rat = options.pop("rat", base_identity().rat)
    forbidden = options.pop("forbidden_pprs", 0)
    return msgspec.structs.replace(
        base_identity(), options=Options(**options), rat=rat, forbidden_pprs=forbidden
    )


def iccid(number: int) -> bytes:
    """The ICCID of a test profile, as on the wire."""
    return Iccid(f"8900010000000{number:07d}").octets


@cache
def upp(number: int) -> bytes:
    """A profile package of our own under another ICCID."""
    from tests.unit.euicc.cards import package  # here, because that module is the UICC tests' own

    found = Package.decode(package("iot-2-auth"))
    elements: list[Any] = []
    for element in found.elements:
        if isinstance(element.value, ProfileHeader):
            header_octets = Iccid.from_octets(iccid(number)).header_octets
            elements.append(element.value.replace(iccid=header_octets, connectivity_parameters=b"apn"))
        else:
            elements.append(element)
    return Package.of(elements).encode()


def metadata(number: int, **fields: Any) -> StoreMetadataRequest:
    """Notifications go to one address for all events, unless the test says otherwise."""
    fields.setdefault("notification_addresses", ("notify.example.com",))
    made = metadata_of(
        Package.decode(upp(number)), service_provider_name="Test", profile_name=f"profile {number}", **fields
    )
    return made.replace(iccid=iccid(number))


def result_of(octets: bytes, kind: type[Choice] = EuiccPackageResult) -> Any:
    return kind.decode(octets)


class Lab:
    """One card with what it needs around it. `bytes` in and out are ES10 objects, not APDUs."""

    def __init__(
        self,
        *,
        state: CardState | None = None,
        faults: Faults | None = None,
        medium: Medium | None = None,
        eim: bool = True,
        seed: int = 0,
        card_identity: Identity | None = None,
        **options: Any,
    ) -> None:
        self.card = Card(
            card_identity if card_identity is not None else identity(**options),
            SeededEntropy(seed),
            state=state,
            medium=medium,
            faults=faults,
        )
        self.counter = 0
        self.token: int | None = None
        self.sessions = 0
        self.power_on()
        if eim:
            self.associate()

    # the wire

    def power_on(self) -> None:
        self.card.reset()
        self.card.transmit(SELECT)

    def send(self, apdu: bytes) -> tuple[bytes, int]:
        response = self.card.transmit(apdu)
        data, word = response[:-2], response[-2:]
        while word[0] == 0x61:
            response = self.card.transmit(bytes((0x80, 0xC0, 0, 0, word[1])))
            data, word = data + response[:-2], response[-2:]
        assert self.card.last_error is None, repr(self.card.last_error)
        return data, int.from_bytes(word, "big")

    def chain(self, request: bytes, block: int = 255) -> tuple[bytes, int]:
        """One STORE DATA chain."""
        pieces = [request[i : i + block] for i in range(0, len(request), block)] or [b""]
        for number, piece in enumerate(pieces[:-1]):
            data, word = self.send(_store_data(0x11, number, piece))
            if word != 0x9000:
                return data, word
        return self.send(_store_data(0x91, len(pieces) - 1, pieces[-1]))

    def es10(self, request: bytes | str) -> bytes:
        octets = bytes.fromhex(request) if isinstance(request, str) else request
        return self.es10_of(self.chain(octets))

    def status_of(self, request: bytes | str) -> int:
        octets = bytes.fromhex(request) if isinstance(request, str) else request
        return self.chain(octets)[1]

    # the eIM

    def associate(self, *, token: bool = True) -> None:
        answer = self.es10(tlv(0xBF57, tlv(0xA0, configuration(token=-1 if token else None).encode())))
        first = next(walk(answer, read_tlv(answer, read_tlv(answer).content).content))
        assert answer[read_tlv(answer).content] == 0xA0, answer.hex()
        self.token = int.from_bytes(answer[first.content : first.end], "big") if token else None

    def package(self, *commands: Psmo | Eco, **bent: Any) -> bytes:
        """A signed package with the next counter; `bent` replaces fields, token or signer."""
        token = bent.pop("token", self.token)
        signing = bent.pop("signer", None) or signer("eim-sign")
        if "counter_value" not in bent:
            self.counter += 1
        fields: dict[str, Any] = {
            "eim_id": EIM,
            "eid_value": EID.octets,
            "counter_value": self.counter,
            "eim_transaction_id": b"\x0a\x0b",
        } | bent
        if "euicc_package" not in fields:
            is_eco = bool(commands) and isinstance(commands[0], Eco)
            fields["euicc_package"] = (
                EuiccPackage(eco_list=commands) if is_eco else EuiccPackage(psmo_list=commands)  # type: ignore[arg-type]  # one kind only
            )
        signed = EuiccPackageSigned(**fields)
        signature = signing.sign(euicc_package_tbs(signed.encode(), token))
        return EuiccPackageRequest(euicc_package_signed=signed, eim_signature=signature).encode()

    def run(self, *commands: Psmo | Eco, **bent: Any) -> EuiccPackageResult:
        found: EuiccPackageResult = EuiccPackageResult.decode(self.es10(self.package(*commands, **bent)))
        return found

    def results(self, *commands: Psmo | Eco, **bent: Any) -> list[tuple[str, Any]]:
        """The entries of the signed result, by name."""
        signed = self.run(*commands, **bent).euicc_package_result_signed
        assert signed is not None
        return [(entry.kind, entry.value) for entry in signed.euicc_package_result_data_signed.euicc_result]

    # the SM-DP+

    def challenge(self) -> bytes:
        return self.es10("BF2E00")[-16:]

    def authenticate_request(self, challenge: bytes, *, role: str = "dp-auth", **bent: Any) -> bytes:
        self.sessions += 1
        signing = bent.pop("signer", None) or signer(role)
        certificate = bent.pop("certificate", None) or world().get(role).certificate.der
        ci = bent.pop("ci", world().get("ci").certificate.key_identifier)
        address = SMDP if role == "dp-auth" else "smds.example.com"
        fields: dict[str, Any] = {
            "transaction_id": self.sessions.to_bytes(16, "big"),
            "euicc_challenge": challenge,
            "server_address": address,
            "server_challenge": bytes(range(16)),
        } | bent
        signed1 = auth.ServerSigned1(**fields)
        return auth.AuthenticateServerRequest(
            server_signed1=signed1,
            server_signature1=signing.sign(server_signed1_tbs(signed1.encode())),
            euicc_ci_pk_id_to_be_used=ci,
            server_certificate=Certificate(certificate),
            ctx_params1=auth.CtxParams1(
                ctx_params_for_common_authentication=auth.CtxParamsForCommonAuthentication(
                    matching_id="M-1",
                    device_info=DeviceInfo(tac=bytes(4), device_capabilities=DeviceCapabilities()),
                )
            ),
        ).encode()

    def authenticate(self, **bent: Any) -> auth.AuthenticateServerResponse:
        request = self.authenticate_request(self.challenge(), **bent)
        found: auth.AuthenticateServerResponse = auth.AuthenticateServerResponse.decode(self.es10(request))
        return found

    @property
    def transaction_id(self) -> bytes:
        return self.sessions.to_bytes(16, "big")

    def prepare_request(self, answer: auth.AuthenticateServerResponse, **bent: Any) -> bytes:
        ok = answer.authenticate_response_ok
        signature1 = bent.pop("signature1", None) or (ok.euicc_signature1 if ok is not None else bytes(64))
        signing = bent.pop("signer", None) or signer("dp-pb")
        certificate = bent.pop("certificate", None) or world().get("dp-pb").certificate.der
        hash_cc = bent.pop("hash_cc", None)
        fields: dict[str, Any] = {"transaction_id": self.transaction_id, "cc_required_flag": False} | bent
        signed2 = auth.SmdpSigned2(**fields)
        return auth.PrepareDownloadRequest(
            smdp_signed2=signed2,
            smdp_signature2=signing.sign(smdp_signed2_tbs(signed2.encode(), signature1)),
            hash_cc=hash_cc,
            smdp_certificate=Certificate(certificate),
        ).encode()

    def prepare(self, **bent: Any) -> bytes:
        """An authenticated session up to PrepareDownload; the card's one-time public key."""
        answer = auth.PrepareDownloadResponse.decode(
            self.es10(self.prepare_request(self.authenticate(), **bent))
        )
        assert answer.download_response_ok is not None, answer
        return answer.download_response_ok.euicc_signed2.euicc_otpk

    def bound(self, otpk: bytes, number: int, **bent: Any) -> bytes:
        fields = bent.pop("metadata", None)
        stored = fields if isinstance(fields, bytes) else metadata(number, **(fields or {})).encode()
        profile = bent.pop("upp", None) or upp(number)
        arguments: dict[str, Any] = {
            "store_metadata": stored,
            "transaction_id": self.transaction_id,
            "host_id": b"host",
            "eid": EID.octets,
            "euicc_otpk": otpk,
            "signer": signer("dp-pb"),
        } | bent
        return alone(binding(profile, **arguments))

    def load(self, bpp: bytes, block: int = 255) -> bytes:
        """The whole package in one chain; the installation result."""
        return self.es10_of(self.chain(bpp, block))

    def es10_of(self, answer: tuple[bytes, int]) -> bytes:
        assert answer[1] == 0x9000 or answer[1] >> 8 == 0x91, f"{answer[1]:04X}"
        return answer[0]

    def download(self, number: int, **bent: Any) -> bytes:
        return self.load(self.bound(self.prepare(), number, **bent))

    # looking

    def states(self) -> dict[bytes, bool]:
        return {profile.iccid: profile.is_enabled for profile in self.card.state.profiles}

    def enabled(self) -> bytes | None:
        profile = self.card.state.enabled_profile
        return profile.iccid if profile is not None else None


def _store_data(p1: int, number: int, piece: bytes) -> bytes:
    return bytes((0x80, 0xE2, p1, number & 0xFF, len(piece))) + piece


@cache
def eim_spki() -> bytes:
    key = world().get("eim-sign").private_key.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def configuration(eim_id: str = EIM, *, token: int | None = -1, **fields: Any) -> EimConfigurationData:
    given: dict[str, Any] = {
        "eim_id": eim_id,
        "eim_fqdn": eim_id,
        "counter_value": 0,
        "association_token": token,
        "eim_public_key_data": EimPublicKeyData(eim_public_key=PublicKeyInfo(eim_spki())),
    } | fields
    return EimConfigurationData(**given)
