"""A scripted eUICC and the world around it: every message of a download, each of which a test may bend.

It is made of keim.crypto and keim.messages alone, so that it can do what no card of ours would do.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

import msgspec

from keim.authentication import Server, server_identity
from keim.authentication.euicc import verifying_key
from keim.crypto.bpp_events import BppSession
from keim.crypto.bpp_whole import OpenedPackage, open_bpp
from keim.crypto.confirmation import confirmation_code_hash, hash_cc
from keim.crypto.secrets import Secret
from keim.crypto.signed import (
    cancel_session_tbs,
    euicc_signed1_tbs,
    euicc_signed2_tbs,
    other_notification_tbs,
    profile_installation_result_tbs,
    server_signed1_tbs,
    smdp_signed2_tbs,
)
from keim.crypto.suites import suite_of_curve
from keim.der import Certificate as CertificateOctets
from keim.ids import Eid, Iccid, Oid
from keim.io.key_wrap import AesKeyWrap
from keim.messages import authentication as auth
from keim.messages import es9p, info, notification
from keim.messages.common import NotificationEvent
from keim.messages.profile import PprIds
from keim.pki import Certificate, Curve
from keim.pki.world import Credential, World, WorldPlan, create_world, example_eids
from keim.saip.elements import ProfileHeader
from keim.saip.package import Package
from keim.smdp.opening import SessionNumbers
from keim.smdp.settings import SMDP_CODES, Rules, Smdp

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ADDRESS = "smdpplus.example.com"
SMDS_ADDRESS = "smds.example.com"
EIDS = tuple(str(eid) for eid in example_eids(4))

MINIMAL_UPP = bytes.fromhex(
    "a02d800103810103830a8900101000000000027fa50481008400a608060667810f010211a90980071002ff49ff0589bf"
    "2022a0058000810101810667810f010211a90b8309080910100000000020b20483020004a435a0058000810102a12ca1"
    "2a8001018101008210465b5ce8b199b49faa5f0a2ee238a6bc8310cd63cb71954a9f4e48a5994e37a02bafaa07a00580"
    "00810103"
)
"""Ours (a minimal IoT profile with test keys): the smallest package that can attach to a network."""


_SEQUENCE_NUMBERS = count(1)
"""One counter for all: two objects of one EID are the same card at different times."""


class FixedClock:
    def __init__(self, now: datetime = NOW) -> None:
        self.moment = now

    def now(self) -> datetime:
        return self.moment


class RealEntropy:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


def world(curve: Curve = Curve.NIST) -> World:
    return _world(curve)


@cache
def _world(curve: Curve) -> World:
    plan = WorldPlan(curves=(curve,), eids=EIDS, smdp_address=ADDRESS, smds_address=SMDS_ADDRESS)
    return create_world(plan, now=NOW)


def upp(number: int) -> bytes:
    """The minimal package under the ICCID of that number."""
    package = Package.decode(MINIMAL_UPP)
    header = package.elements[0].value
    assert isinstance(header, ProfileHeader)
    return Package.of([header.replace(iccid=iccid(number).header_octets), *package.elements[1:]]).encode()


def iccid(number: int) -> Iccid:
    return Iccid(f"8988{number:015d}0")


def smdp(given: World | None = None, **rules: Any) -> Smdp:
    """An SM-DP+ of the test world; `rules` are members of `Rules`."""
    given = given or world()
    roots = {curve: given.get("ci", curve).certificate for curve in given.curves}
    auths = tuple(server_identity(given.get("dp-auth", curve), root) for curve, root in roots.items())
    binders = tuple(server_identity(given.get("dp-pb", curve), root) for curve, root in roots.items())
    server = Server(addresses=(ADDRESS,), identities=auths, trust=given.trust, codes=SMDP_CODES)
    return Smdp(
        server=server,
        binders={binder.ci_pk_id: binder for binder in binders},
        key_wrap=AesKeyWrap(bytes(32)),
        session_numbers=SessionNumbers(server, Secret(bytes(32))),
        rules=Rules(**rules),
    )


class ScriptedEuicc:
    """One card. Arguments named after members of the messages replace what an honest card would say."""

    def __init__(
        self,
        eid: str = EIDS[0],
        *,
        given: World | None = None,
        curve: Curve = Curve.NIST,
        address: str = ADDRESS,
        matching_id: str | None = None,
        code: str | None = None,
        forbidden: PprIds | None = None,
        free_memory: int = 100_000,
    ) -> None:
        self.world = given or world(curve)
        self.eid = Eid(eid)
        self.credential: Credential = self.world.euicc(eid, curve)
        self.eum = self.credential.chain[0]
        self.ci = self.world.get("ci", curve).certificate.key_identifier
        self.suite = suite_of_curve(curve.domain)
        self.signer = self.suite.signer_of_scalar(
            self.credential.private_key.private_numbers().private_value.to_bytes(32, "big")
        )
        self.address = address
        self.matching_id = matching_id
        self.code = code
        self.forbidden = forbidden
        self.free_memory = free_memory
        self.challenge = b""
        self.transaction_id = b""
        self.one_time_key = self.suite.new_one_time_key()
        self.offer: es9p.AuthenticateClientOk | None = None
        self.opened: es9p.InitiateAuthenticationOkEs9 | None = None
        self.signature1 = b""

    # -- what the card says of itself

    def info1(self, **changes: Any) -> info.EUICCInfo1:
        members: dict[str, Any] = {
            "svn": b"\x02\x05\x00",
            "euicc_ci_pk_id_list_for_verification": (self.ci,),
            "euicc_ci_pk_id_list_for_signing": (self.ci,),
        }
        return info.EUICCInfo1(**{**members, **changes})

    def info2(self, **changes: Any) -> info.EUICCInfo2:
        memory = self.free_memory.to_bytes(4, "big")
        members: dict[str, Any] = {
            "profile_version": b"\x03\x03\x01",
            "svn": b"\x02\x05\x00",
            "euicc_firmware_ver": b"\x01\x00\x00",
            "ext_card_resource": b"\x81\x01\x00\x82\x04" + memory + b"\x83\x02\x10\x00",
            "uicc_capability": info.UICCCapability.USIM_SUPPORT,
            "rsp_capability": info.RspCapability.ADDITIONAL_PROFILE,
            "euicc_ci_pk_id_list_for_verification": (self.ci,),
            "euicc_ci_pk_id_list_for_signing": (self.ci,),
            "forbidden_profile_policy_rules": self.forbidden,
            "pp_version": b"\x01\x00\x00",
            "sas_acreditation_number": "",
            "ipa_mode": info.IpaMode.IPAD,
            "iot_specific_info": info.IoTSpecificInfo(iot_version=(b"\x01\x02\x00",)),
        }
        return info.EUICCInfo2(**{**members, **changes})

    # -- InitiateAuthentication

    def initiate(self, **changes: Any) -> es9p.InitiateAuthenticationRequest:
        self.challenge = os.urandom(16)
        members: dict[str, Any] = {
            "euicc_challenge": self.challenge,
            "smdp_address": self.address,
            "euicc_info1": self.info1(),
        }
        return es9p.InitiateAuthenticationRequest(**{**members, **changes})

    def accept_server(self, ok: Any) -> None:
        """What AuthenticateServer checks: an answer that fails here would stop at the card."""
        assert isinstance(ok, es9p.InitiateAuthenticationOkEs9), ok
        certificate = Certificate(ok.server_certificate)
        verifying_key(certificate).verify(
            ok.server_signature1, server_signed1_tbs(ok.server_signed1.encode())
        )
        assert ok.server_signed1.euicc_challenge == self.challenge
        assert ok.server_signed1.transaction_id == ok.transaction_id
        assert ok.euicc_ci_pk_id_to_be_used == self.ci
        self.opened, self.transaction_id = ok, ok.transaction_id

    # -- AuthenticateClient

    def signed1(self, **changes: Any) -> auth.EuiccSigned1:
        assert self.opened is not None
        context = auth.CtxParams1(
            ctx_params_for_common_authentication=auth.CtxParamsForCommonAuthentication(
                matching_id=self.matching_id,
                device_info=info.DeviceInfo(
                    tac=b"\x35\x29\x06\x11", device_capabilities=info.DeviceCapabilities()
                ),
            )
        )
        members: dict[str, Any] = {
            "transaction_id": self.transaction_id,
            "server_address": self.opened.server_signed1.server_address,
            "server_challenge": self.opened.server_signed1.server_challenge,
            "euicc_info2": self.info2(),
            "ctx_params1": context,
        }
        return auth.EuiccSigned1(**{**members, **changes})

    def authenticate(
        self, signed: auth.EuiccSigned1 | None = None, **changes: Any
    ) -> es9p.AuthenticateClientRequest:
        signed = signed or self.signed1()
        members: dict[str, Any] = {
            "euicc_signed1": signed,
            "euicc_signature1": self.signer.sign(euicc_signed1_tbs(signed.encode())),
            "euicc_certificate": CertificateOctets(self.credential.certificate.der),
            "eum_certificate": CertificateOctets(self.eum.der),
        }
        ok = auth.AuthenticateResponseOk(**{**members, **changes})
        self.signature1 = ok.euicc_signature1
        return es9p.AuthenticateClientRequest(
            transaction_id=self.transaction_id,
            authenticate_server_response=auth.AuthenticateServerResponse(authenticate_response_ok=ok),
        )

    def authenticate_error(self) -> es9p.AuthenticateClientRequest:
        error = auth.AuthenticateResponseError(
            transaction_id=self.transaction_id,
            authenticate_error_code=auth.AuthenticateErrorCode.INVALID_SIGNATURE,
        )
        return es9p.AuthenticateClientRequest(
            transaction_id=self.transaction_id,
            authenticate_server_response=auth.AuthenticateServerResponse(authenticate_response_error=error),
        )

    def accept_offer(self, ok: Any) -> None:
        """What PrepareDownload checks."""
        assert isinstance(ok, es9p.AuthenticateClientOk), ok
        certificate = Certificate(ok.smdp_certificate)
        covered = smdp_signed2_tbs(ok.smdp_signed2.encode(), self.signature1)
        verifying_key(certificate).verify(ok.smdp_signature2, covered)
        assert ok.smdp_signed2.transaction_id == self.transaction_id
        self.offer = ok

    # -- GetBoundProfilePackage

    def signed2(self, **changes: Any) -> auth.EUICCSigned2:
        code = None
        if self.code is not None:
            code = hash_cc(confirmation_code_hash(self.code), self.transaction_id)
        members: dict[str, Any] = {
            "transaction_id": self.transaction_id,
            "euicc_otpk": self.one_time_key.public_point,
            "hash_cc": code,
        }
        return auth.EUICCSigned2(**{**members, **changes})

    def prepare(
        self, signed: auth.EUICCSigned2 | None = None, **changes: Any
    ) -> es9p.GetBoundProfilePackageRequest:
        assert self.offer is not None
        signed = signed or self.signed2()
        covered = euicc_signed2_tbs(signed.encode(), self.offer.smdp_signature2)
        members: dict[str, Any] = {
            "euicc_signed2": signed,
            "euicc_signature2": self.signer.sign(covered),
        }
        ok = auth.PrepareDownloadResponseOk(**{**members, **changes})
        return es9p.GetBoundProfilePackageRequest(
            transaction_id=self.transaction_id,
            prepare_download_response=auth.PrepareDownloadResponse(download_response_ok=ok),
        )

    def prepare_error(self) -> es9p.GetBoundProfilePackageRequest:
        error = auth.PrepareDownloadResponseError(
            transaction_id=self.transaction_id, download_error_code=auth.DownloadErrorCode.INVALID_SIGNATURE
        )
        return es9p.GetBoundProfilePackageRequest(
            transaction_id=self.transaction_id,
            prepare_download_response=auth.PrepareDownloadResponse(download_response_error=error),
        )

    def open(self, ok: Any) -> OpenedPackage:
        """Opens the package as a card would."""
        assert isinstance(ok, es9p.GetBoundProfilePackageOk), ok
        assert self.offer is not None
        session = BppSession(
            suite=self.suite.name,
            transaction_id=self.transaction_id,
            eid=self.eid.octets,
            dppb_point=Certificate(self.offer.smdp_certificate).point,
            one_time_scalar=Secret(self.one_time_key.scalar.reveal()),
        )
        return open_bpp(session, ok.bound_profile_package.encode())

    # -- notifications and cancellation

    def result(
        self,
        iccid_: Iccid | None,
        reason: int | None = None,
        *,
        sequence_number: int | None = None,
        signature: bytes | None = None,
        **changes: Any,
    ) -> es9p.HandleNotification:
        self.sequence_number = next(_SEQUENCE_NUMBERS)
        metadata = notification.NotificationMetadata(
            seq_number=sequence_number or self.sequence_number,
            profile_management_operation=NotificationEvent.NOTIFICATION_INSTALL,
            notification_address=self.address,
            iccid=None if iccid_ is None else iccid_.octets,
        )
        if reason is None:
            final = notification.FinalResult(
                success_result=notification.SuccessResult(
                    aid=bytes.fromhex("a0000005591010ffffffff8900001100"),
                    sima_response=bytes.fromhex("3007a0053003800100"),
                )
            )
        else:
            final = notification.FinalResult(
                error_result=notification.ErrorResult(
                    bpp_command_id=notification.BppCommandId.LOAD_PROFILE_ELEMENTS,
                    error_reason=notification.ErrorReason(reason),
                )
            )
        members: dict[str, Any] = {
            "transaction_id": self.transaction_id,
            "notification_metadata": metadata,
            "smdp_oid": Oid("2.999.10"),
            "final_result": final,
        }
        data = notification.ProfileInstallationResultData(**{**members, **changes})
        signed = signature or self.signer.sign(profile_installation_result_tbs(data.encode()))
        return es9p.HandleNotification(
            pending_notification=notification.PendingNotification(
                profile_installation_result=notification.ProfileInstallationResult(
                    profile_installation_result_data=data, euicc_sign_pir=signed
                )
            )
        )

    def other(
        self,
        event: NotificationEvent,
        iccid_: Iccid | None,
        *,
        signature: bytes | None = None,
        certificate: bytes | None = None,
    ) -> es9p.HandleNotification:
        self.sequence_number = next(_SEQUENCE_NUMBERS)
        metadata = notification.NotificationMetadata(
            seq_number=self.sequence_number,
            profile_management_operation=event,
            notification_address=self.address,
            iccid=None if iccid_ is None else iccid_.octets,
        )
        signed = signature or self.signer.sign(other_notification_tbs(metadata.encode()))
        return es9p.HandleNotification(
            pending_notification=notification.PendingNotification(
                other_signed_notification=notification.OtherSignedNotification(
                    tbs_other_notification=metadata,
                    euicc_notification_signature=signed,
                    euicc_certificate=CertificateOctets(certificate or self.credential.certificate.der),
                    eum_certificate=CertificateOctets(self.eum.der),
                )
            )
        )

    def cancel(
        self, reason: int, *, oid: str = "2.999.10", signature: bytes | None = None, **changes: Any
    ) -> es9p.CancelSessionRequestEs9:
        members: dict[str, Any] = {
            "transaction_id": self.transaction_id,
            "smdp_oid": Oid(oid),
            "reason": auth.CancelSessionReason(reason),
        }
        signed = auth.EuiccCancelSessionSigned(**{**members, **changes})
        response = auth.CancelSessionResponse(
            cancel_session_response_ok=auth.CancelSessionResponseOk(
                euicc_cancel_session_signed=signed,
                euicc_cancel_session_signature=signature
                or self.signer.sign(cancel_session_tbs(signed.encode())),
            )
        )
        return es9p.CancelSessionRequestEs9(
            transaction_id=self.transaction_id, cancel_session_response=response
        )


def with_rules(given: Smdp, **rules: Any) -> Smdp:
    return msgspec.structs.replace(given, rules=Rules(**rules))
