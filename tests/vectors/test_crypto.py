"""Every vector of every crypto file: other implementations' octets against ours, in both directions.

The members `certificates`, `certificate_chains`, `crls` and `load_crl` are judged in test_chains.py.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.shared import shared_path
from tests.vectors.loading import entries_of

from keim.crypto.agreement import OneTimeKey
from keim.crypto.bpp import (
    binding,
    control_ref_template,
    profile_protection_keys,
    protect_profile,
    replace_session_keys,
)
from keim.crypto.bpp_events import BppFault, BppRefused, BppSession
from keim.crypto.bpp_open import BppReceiver
from keim.crypto.bpp_segments import load_segments
from keim.crypto.bpp_whole import open_bpp
from keim.crypto.bsp import Bsp
from keim.crypto.compact import RelayedSession, expand_pending_notification
from keim.crypto.compact_make import compact_profile_installation_result
from keim.crypto.confirmation import confirmation_code_hash, hash_cc, is_confirmed
from keim.crypto.curves import curve_named
from keim.crypto.elements import elements_between, members_of
from keim.crypto.kdf import SessionKeys, derive_session_keys, shared_info, x963
from keim.crypto.remote_apdus import RemoteResult, read_remote_result, remote_result
from keim.crypto.scp03 import (
    Session,
    StaticKeys,
    host_session,
    initialize_update,
    read_initialize_update,
)
from keim.crypto.scp80 import (
    COMMAND_UDH,
    unwrap_command,
    unwrap_response,
    wrap_command,
    wrap_response,
)
from keim.crypto.scp80_security import Security
from keim.crypto.secrets import Secret
from keim.crypto.signed import (
    cancel_session_tbs,
    euicc_package_error_tbs,
    euicc_package_result_tbs,
    euicc_package_tbs,
    euicc_signed1_tbs,
    euicc_signed2_tbs,
    initialise_secure_channel_tbs,
    other_notification_tbs,
    profile_installation_result_tbs,
    server_signed1_tbs,
    smdp_signed2_tbs,
)
from keim.crypto.suites import Suite, suite_of_curve
from keim.crypto.tokens import association_token_tlv
from keim.deciding import alone
from keim.errors import KeimError, Refused
from keim.ids import Eid, Oid

octets = bytes.fromhex
Vector = dict[str, Any]


def cases(member: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", entries_of("crypto.json", member))


def suite_of(vector: Vector) -> Suite:
    return suite_of_curve(curve_named(vector["curve"]))


@cases("eid")
def test_eid_check_digits(vector: Vector) -> None:
    try:
        eid = Eid(vector["eid"])
    except Refused:
        assert not vector["valid"]
        return
    assert eid.has_valid_check_digits is vector["valid"]
    if "octets" in vector:
        assert eid.octets == octets(vector["octets"])
        assert Eid.from_octets(octets(vector["octets"])) == eid
    if "check_digits" in vector:
        assert Eid.with_check_digits(vector["first30"])[30:] == vector["check_digits"]


@cases("confirmation_code")
def test_confirmation_code(vector: Vector) -> None:
    code_hash = confirmation_code_hash(vector["confirmation_code"])
    transaction_id = octets(vector["transaction_id"])
    assert code_hash == Secret(octets(vector["sha256_cc"]))
    assert hash_cc(code_hash, transaction_id) == octets(vector["hash_cc"])
    assert is_confirmed(octets(vector["hash_cc"]), code_hash, transaction_id)
    assert not is_confirmed(octets(vector["hash_cc"]), code_hash, transaction_id + b"\0")


def covered_octets(structure: str, parts: list[bytes]) -> bytes:
    """What our function for the structure says is covered, from the parts as they travel."""
    match structure:
        case "serverSigned1":
            return server_signed1_tbs(*parts)
        case "euiccSigned1":
            return euicc_signed1_tbs(*parts)
        case "smdpSigned2":
            return smdp_signed2_tbs(parts[0], signature_value(parts[1]))
        case "euiccSigned2":
            return euicc_signed2_tbs(parts[0], signature_value(parts[1]))
        case "initialiseSecureChannel smdpSign":
            names = ("remote_op_id", "transaction_id", "control_ref_template", "smdp_otpk", "euicc_otpk")
            return initialise_secure_channel_tbs(**dict(zip(names, parts, strict=True)))
        case "ProfileInstallationResultData":
            return profile_installation_result_tbs(*parts)
        case "tbsOtherNotification":
            return other_notification_tbs(*parts)
        case "euiccCancelSessionSigned":
            return cancel_session_tbs(*parts)
        case "(any)":
            return b"".join(parts)
    raise AssertionError(f"no function for {structure}")


def signature_value(whole: bytes) -> bytes:
    (element,) = elements_between(whole)
    assert element.tag == 0x5F37
    return element.value


@cases("signatures")
def test_signature(vector: Vector) -> None:
    covered = covered_octets(vector["structure"], [octets(part["hex"]) for part in vector["signed_parts"]])
    assert covered == octets(vector["signed_bytes"])
    suite = suite_of(vector)
    signature = octets(vector["signature"])
    key = suite.verifying_key(octets(vector["public_key"]))
    assert key.accepts(signature, covered) is vector["valid"]
    signer = suite.signer_of_scalar(octets(vector["private_scalar"]), reproducible=True)
    assert signer.public_point == key.point
    ours = signer.sign(covered)
    assert key.accepts(ours, covered)
    if vector["valid"] and vector["id"] != "encoding-high-s":
        assert ours == signature  # RFC 6979 on both sides


_PACKAGE_TBS = {
    "euiccPackageSigned": euicc_package_tbs,
    "euiccPackageResultDataSigned": euicc_package_result_tbs,
    "euiccPackageErrorDataSigned": euicc_package_error_tbs,
}


@cases("euicc_packages")
def test_euicc_package_signature(vector: Vector) -> None:
    token = vector["association_token"]
    assert association_token_tlv(token) == octets(vector["association_token_tlv"])
    tbs = _PACKAGE_TBS[vector["kind"].split()[0]]
    covered = tbs(octets(vector["signed_object"]), token)
    if vector["valid"]:
        assert covered == octets(vector["signed_bytes"])
    key = suite_of(vector).verifying_key(octets(vector["public_key"]))
    assert key.accepts(octets(vector["signature"]), covered) is vector["valid"]
    signer = suite_of(vector).signer_of_scalar(octets(vector["private_scalar"]), reproducible=True)
    assert (signer.sign(covered) == octets(vector["signature"])) is vector["valid"]
    for message in vector["message"].values():
        assert octets(vector["signed_object"]) in octets(message)


@cases("kdf")
def test_key_agreement_and_derivation(vector: Vector) -> None:
    suite = suite_of(vector)
    dp = suite.one_time_key_of_scalar(octets(vector["otsk_dp"]))
    euicc = suite.one_time_key_of_scalar(octets(vector["otsk_euicc"]))
    assert (dp.public_point, euicc.public_point) == (octets(vector["otpk_dp"]), octets(vector["otpk_euicc"]))
    z = dp.agree(euicc.public_point)
    assert z == euicc.agree(dp.public_point) == Secret(octets(vector["shared_secret_z"]))
    host_id, eid = octets(vector["host_id"]), Eid(vector["eid"]).octets
    info = shared_info(
        host_id, eid, key_type=int(vector["key_type"], 16), key_length=int(vector["key_length"], 16)
    )
    assert info == octets(vector["shared_info"])
    assert x963(z.reveal(), info, 48) == octets(vector["x963_output"])
    assert derive_session_keys(z, host_id=host_id, eid=eid) == session_keys(vector)


def session_keys(
    vector: Vector, prefix: str = "", names: tuple[str, str] = ("s_enc", "s_mac")
) -> SessionKeys:
    return SessionKeys(
        initial_mac_chaining_value=octets(vector[f"{prefix}initial_mac_chaining_value"]),
        s_enc=octets(vector[prefix + names[0]]),
        s_mac=octets(vector[prefix + names[1]]),
    )


@cases("bsp")
def test_protected_tlvs(vector: Vector) -> None:
    protecting, opening = Bsp.from_keys(session_keys(vector)), Bsp.from_keys(session_keys(vector))
    for operation in vector["operations"]:
        state = protecting.state
        assert state.counter == operation["block_counter"]
        assert state.chain == octets(operation["mac_chaining_value_in"])
        protected = protecting.protect(int(operation["tag"], 16), octets(operation["plaintext"]))
        assert protected == octets(operation["tlv"])
        assert protecting.state.chain == octets(operation["mac_full"])
        assert opening.unprotect(protected) == octets(operation["plaintext"])
        assert opening.state == protecting.state
        # A state taken in between and resumed elsewhere goes on in the same way.
        assert Bsp(state).unprotect(protected) == octets(operation["plaintext"])


def bpp_session(vector: Vector) -> BppSession:
    return BppSession(
        suite=suite_of(vector).name,
        transaction_id=octets(vector.get("transaction_id") or vector["session_transaction_id"]),
        eid=Eid(vector["eid"]).octets,
        one_time_scalar=Secret(octets(vector["otsk_euicc"])),
        dppb_point=octets(vector["dppb_public_key"]),
    )


def upp_of(vector: Vector) -> bytes:
    if "upp" in vector:
        return octets(vector["upp"])
    return shared_path(vector["upp_file"]).read_bytes()


@cases("bpp")
def test_bound_profile_package_is_opened_or_refused(vector: Vector) -> None:
    session, bpp = bpp_session(vector), octets(vector["bpp"])
    if vector["expect"] == "ok" or (not vector["protection_layer_notices"] and vector["error_reason"] == 12):
        opened = open_bpp(session, bpp)
        if vector["expect"] == "ok":
            assert hashlib.sha256(opened.upp).hexdigest() == vector["upp_sha256"]
            assert opened.upp == upp_of(vector)
            assert opened.store_metadata == octets(vector["store_metadata"])
            assert opened.configure_isdp == octets(vector["configure_isdp"])
            assert opened.has_own_keys is (vector["mode"] == "ppk")
        else:
            # The MACs hold, but a wrong counter garbles the first block: no ProfileHeader (A0) starts here.
            assert not opened.upp.startswith(b"\xa0\x81")
            for other in good_packages_of(session):
                assert opened.upp[:16] != other[:16]
                assert opened.upp[16:] == other[16:]
        return
    with pytest.raises(BppFault) as fault:
        open_bpp(session, bpp)
    if vector["bpp_command_id"] is None:
        assert fault.value.reason == 7
    else:
        assert (fault.value.command, fault.value.reason) == (vector["bpp_command_id"], vector["error_reason"])


def good_packages_of(session: BppSession) -> list[bytes]:
    """The profiles of the vectors that the faulty ones were made of: those of the same one-time key."""
    vectors = [param.values[0] for param in entries_of("crypto.json", "bpp")]
    return [
        upp_of(vector)
        for vector in vectors
        if vector["expect"] == "ok" and Secret(octets(vector["otsk_euicc"])) == session.one_time_scalar
    ]


@cases("bpp")
@pytest.mark.parametrize("piece_octets", [1, 255])
def test_a_card_that_sees_pieces_reports_the_same(vector: Vector, piece_octets: int) -> None:
    session, bpp = bpp_session(vector), octets(vector["bpp"])
    progress, events = BppReceiver(session).progress, []
    for start in range(0, len(bpp), piece_octets):
        receiver = BppReceiver(session, progress)  # every piece survives on its own
        events += receiver.feed(bpp[start : start + piece_octets])
        progress = receiver.progress
        if progress.refusal:
            break
    whole = BppReceiver(session)
    assert events == list(whole.feed(bpp))
    refusals = [event for event in events if isinstance(event, BppRefused)]
    expected = vector.get("error_reason") in (None, 12)
    assert (refusals == []) is (vector["expect"] == "ok" or expected)


@cases("bpp")
def test_the_same_inputs_bind_to_the_same_octets(vector: Vector) -> None:
    """From the one-time keys of the vector; BF23's signature needs DPpb's key and is left out."""
    if vector["expect"] != "ok" or vector["id"] == "mini-nist-pysim-segmentation":
        assert vector["expect"] != "ok" or max(vector["segment_lengths"]) > 1020
        return
    suite = suite_of(vector)
    profile: Any = upp_of(vector)
    if vector["mode"] == "ppk":
        keys = session_keys(vector, "ppk_", ("enc", "mac"))
        assert replace_session_keys(keys) == octets(vector["replace_session_keys"])
        profile = protect_profile(profile, keys)
    ours = alone(
        binding(
            profile,
            store_metadata=octets(vector["store_metadata"]),
            configure_isdp=octets(vector["configure_isdp"]),
            transaction_id=octets(vector["transaction_id"]),
            host_id=octets(vector["host_id"]),
            eid=Eid(vector["eid"]).octets,
            euicc_otpk=octets(vector["otpk_euicc"]),
            signer=suite.new_signer(),
            one_time_key=OneTimeKey.from_scalar(suite.curve, octets(vector["otsk_dp"])),
        )
    )
    our_parts = members_of(ours, 0xBF36, "ours")
    their_parts = members_of(octets(vector["bpp"]), 0xBF36, "theirs")
    assert our_parts[1:] == their_parts[1:]
    our_fields, their_fields = (
        members_of(parts[0].whole, 0xBF23, "BF23") for parts in (our_parts, their_parts)
    )
    assert our_fields[:-1] == their_fields[:-1]
    assert our_fields[2].whole == control_ref_template(octets(vector["host_id"]))
    lengths = [len(segment.whole) for segment in elements_between(our_parts[-1].value)]
    assert lengths == vector["segment_lengths"]
    assert b"".join(load_segments(ours)) == ours


@cases("live_bpp_shapes")
def test_our_segments_are_as_long_as_those_of_live_servers(vector: Vector) -> None:
    keys = profile_protection_keys(bytes(48))
    for group in ("a0", "a1", "a3"):
        for size in vector[group][:-1]:
            assert size in (1004, 1020)
    segments = elements_between(Bsp.from_keys(keys).protect_all(0x86, bytes(5000)))
    assert {len(segment.whole) for segment in segments[:-1]} == {1020}


@cases("compact")
def test_compact_form_is_expanded_and_made(vector: Vector) -> None:
    context = vector["context"]
    session = RelayedSession(
        server_address=context["notification_address"].encode(),
        iccid=octets(context["iccid"]),
        smdp_oid=Oid(context["smdp_oid"]).content,
    )
    full = expand_pending_notification(octets(vector["compact"]), session)
    assert full == octets(vector["full_message"])
    data, signature = members_of(full, 0xBF37, "profileInstallationResult")
    assert profile_installation_result_tbs(data.whole) == octets(vector["full_signed_bytes"])
    assert signature.value == octets(vector["signature"])
    point = octets(vector["public_key"])
    suites = [suite_of_curve(curve_named(name)) for name in ("secp256r1", "brainpoolP256r1")]
    assert any(verifies(suite, point, signature.value, data.whole) for suite in suites)
    again = compact_profile_installation_result(full, server_address=context["notification_address"].encode())
    assert again == octets(vector["compact"])


def verifies(suite: Suite, point: bytes, signature: bytes, message: bytes) -> bool:
    try:
        return suite.verifying_key(point).accepts(signature, message)
    except KeimError:
        return False


def scp80_security(vector: Vector) -> Security:
    return Security(
        spi=octets(vector["spi"]),
        kic=int(vector["kic_byte"], 16),
        kid=int(vector["kid_byte"], 16),
        kic_key=octets(vector["kic_key"]),
        kid_key=octets(vector["kid_key"]),
    )


@cases("scp80")
def test_secured_packet(vector: Vector) -> None:
    security, tar = scp80_security(vector), octets(vector["tar"])
    packet = wrap_command(security, tar=tar, counter=vector["counter"], data=octets(vector["apdus"]))
    assert packet == octets(vector["command_packet"])
    if "tp_ud" in vector:
        assert COMMAND_UDH + packet == octets(vector["tp_ud"])
    command = unwrap_command(security, packet)
    assert (command.tar, command.counter, command.data) == (tar, vector["counter"], octets(vector["apdus"]))
    expected = vector["response"]
    response = unwrap_response(security, octets(vector["response_tp_ud"]))
    assert (response.tar[:2], response.status) == (tar[:2], expected["status"])
    assert response.counter == expected["counter"]
    result = read_remote_result(response.data)
    assert result == RemoteResult(
        number_of_commands=expected["number_of_commands"],
        last_sw=octets(expected["last_sw"]),
        last_data=octets(expected["last_data"]),
    )
    again = wrap_response(
        security,
        tar=response.tar,
        counter=response.counter,
        status=response.status,
        data=remote_result(result),
    )
    assert again == octets(vector["response_tp_ud"])


@cases("scp03")
def test_secure_channel(vector: Vector) -> None:
    keys = StaticKeys(*(octets(vector[f"static_{name}"]) for name in ("enc", "mac", "dek")))
    update = octets(vector["initialize_update"])
    host_challenge = update[5:13]
    assert initialize_update(update[2], host_challenge) == update
    response = read_initialize_update(octets(vector["initialize_update_response"]))
    host = host_session(keys, host_challenge, response)
    card = Session(keys, host_challenge, response.card_challenge)
    assert card.card_cryptogram == octets(vector["card_cryptogram"])
    assert host.host_cryptogram == octets(vector["host_cryptogram"])
    authenticate = octets(vector["external_authenticate"])
    assert host.external_authenticate(authenticate[2]) == authenticate
    assert card.accept_external_authenticate(authenticate) == authenticate[2]
    for command in vector["commands"]:
        wrapped = host.wrap_command(octets(command["plain"]))
        assert wrapped == octets(command["wrapped"])
        assert card.unwrap_command(wrapped) == octets(command["plain"])
        if "response_wrapped" in command:
            data = octets(command["response_plain"])
            assert card.wrap_response(data, b"\x90\x00") == octets(command["response_wrapped"])
            assert host.unwrap_response(octets(command["response_wrapped"]), b"\x90\x00") == data
