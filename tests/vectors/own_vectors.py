"""Makes data/crypto-own.json: our own vectors in the format of the shared ones, from `reference` alone.

They prove keim.crypto where the shared folder is absent. `python -m tests.vectors.own_vectors` writes the
file; test_own_vectors.py checks that it is what this module makes. Scalars are not written: "scalar-of:LABEL"
stands for what the label gives, and the loader puts it in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.vectors.reference import (
    BRAINPOOL,
    P256,
    SCALAR_OF,
    Curve,
    Key,
    Protection,
    aes,
    agree,
    cbc,
    cmac,
    key,
    octets32,
    sign,
    tlv,
    x963,
)

FILE = Path(__file__).resolve().parent / "data" / "crypto-own.json"
SOURCE = "keim's tests/vectors/reference.py, which shares no code with keim.crypto"
CURVES = {"p256": P256, "brp": BRAINPOOL}
Vector = dict[str, Any]

EID = "89049032123451234512345678901235"
TID = hashlib.sha256(b"transaction").digest()[:16]
ADDRESS = b"smdp.example.com"
ICCID = bytes.fromhex("98440399999999990930")
OID = bytes.fromhex("88370a")
SIMA_OK = bytes.fromhex("3007a0053003800100")
AID = bytes.fromhex("a0000005591010ffffffff890000") + b"\x13\x00"
METADATA = tlv("bf25", tlv("5a", ICCID), tlv("91", b"keim"), tlv("92", b"own vector"))
LONG_METADATA = tlv("bf25", tlv("5a", ICCID), tlv("91", b"keim"), tlv("94", bytes(range(256)) * 5))
UPP = tlv("a0", bytes(range(256)) * 4) + tlv("aa", b"\x80\x01\x05")


def scalar_of(which: Key) -> str:
    return SCALAR_OF + which.label


def signature_vector(name: str, structure: str, signer: Key, parts: list[tuple[str, bytes]]) -> Vector:
    covered = b"".join(octets for _, octets in parts)
    return {
        "id": name,
        "structure": structure,
        "curve": signer.curve.name,
        "public_key": signer.point.hex(),
        "private_scalar": scalar_of(signer),
        "signed_parts": [{"name": part, "hex": octets.hex()} for part, octets in parts],
        "signed_bytes": covered.hex(),
        "signature": sign(signer, covered).hex(),
        "valid": True,
        "source": SOURCE,
    }


def signatures() -> Iterator[Vector]:
    for short, curve in CURVES.items():
        dp_auth, dp_pb, euicc = (key(curve, f"keim {short} {role}") for role in ("dpauth", "dppb", "euicc"))
        dp_key, card_key = (key(curve, f"keim {short} one-time {side}") for side in ("dp", "euicc"))
        server1 = tlv("30", tlv("80", TID), tlv("81", bytes(16)), tlv("83", ADDRESS), tlv("84", b"s" * 16))
        euicc1 = tlv(
            "30",
            tlv("80", TID),
            tlv("83", ADDRESS),
            tlv("84", b"s" * 16),
            tlv("bf22", b"\x81\x03\x02\x05\x00"),
            tlv("a0"),
        )
        smdp2 = tlv("30", tlv("80", TID), b"\x01\x01\xff")
        euicc2 = tlv("30", tlv("80", TID), tlv("5f49", card_key.point), tlv("04", bytes(32)))
        signature1 = tlv("5f37", sign(euicc, euicc1))
        signature2 = tlv("5f37", sign(dp_pb, smdp2 + signature1))
        channel = [
            ("remoteOpId", b"\x82\x01\x01"),
            ("transactionId", tlv("80", TID)),
            ("controlRefTemplate", tlv("a6", b"\x80\x01\x88\x81\x01\x10", tlv("84", b"host"))),
            ("smdpOtpk", tlv("5f49", dp_key.point)),
            ("euiccOtpk", tlv("5f49", card_key.point)),
        ]
        notification = tlv("bf2f", b"\x80\x01\x07\x81\x02\x06\x40", tlv("0c", ADDRESS), tlv("5a", ICCID))
        untrimmed = tlv("bf2f", b"\x80\x01\x07\x81\x02\x00\x40", tlv("0c", ADDRESS), tlv("5a", ICCID))
        cancelled = tlv("30", tlv("80", TID), tlv("81", OID), b"\x82\x01\x01")
        yield signature_vector(
            f"{short}-serverSigned1", "serverSigned1", dp_auth, [("serverSigned1", server1)]
        )
        yield signature_vector(f"{short}-euiccSigned1", "euiccSigned1", euicc, [("euiccSigned1", euicc1)])
        both = [("smdpSigned2", smdp2), ("euiccSignature1 TLV", signature1)]
        yield signature_vector(f"{short}-smdpSigned2", "smdpSigned2", dp_pb, both)
        both = [("euiccSigned2", euicc2), ("smdpSignature2 TLV", signature2)]
        good = signature_vector(f"{short}-euiccSigned2", "euiccSigned2", euicc, both)
        yield good
        yield good | {
            "id": f"{short}-euiccSigned2-alone",
            "signature": sign(euicc, euicc2).hex(),
            "valid": False,
        }
        yield signature_vector(f"{short}-channel", "initialiseSecureChannel smdpSign", dp_pb, channel)
        for name, octets in (("trimmed", notification), ("untrimmed", untrimmed)):
            parts = [("tbsOtherNotification", octets)]
            yield signature_vector(f"{short}-notification-{name}", "tbsOtherNotification", euicc, parts)
        parts = [("euiccCancelSessionSigned", cancelled)]
        yield signature_vector(f"{short}-cancel", "euiccCancelSessionSigned", euicc, parts)
        parts = [("profileInstallationResultData", installation_result())]
        yield signature_vector(f"{short}-pir", "ProfileInstallationResultData", euicc, parts)
        yield from encodings(short, euicc)


def encodings(short: str, signer: Key) -> Iterator[Vector]:
    """r || s only, each of 32 octets: what a verifier must tell apart."""
    good = signature_vector(f"{short}-encoding-raw", "(any)", signer, [("data", b"encodings")])
    signature, n = bytes.fromhex(good["signature"]), signer.curve.n
    r, s = signature[:32], signature[32:]
    yield good
    other_s = octets32(n - int.from_bytes(s, "big"))
    # The other half of the same signature is as valid; its id says to the test that ours is not these octets.
    yield good | {"id": "encoding-high-s", "signature": (r + other_s).hex()}
    for name, bent in {
        "swapped": s + r,
        "truncated": signature[:-1],
        "zero-r": bytes(32) + s,
        "zero-s": r + bytes(32),
        "r-is-n": octets32(n) + s,
        "s-is-n": r + octets32(n),
        "one-bit": signature[:-1] + bytes((signature[-1] ^ 1,)),
    }.items():
        yield good | {"id": f"{short}-encoding-{name}", "signature": bent.hex(), "valid": False}


def installation_result(final: bytes | None = None) -> bytes:
    final = final or tlv("a0", tlv("4f", AID), tlv("04", SIMA_OK))
    notification = tlv("bf2f", b"\x80\x01\x09\x81\x02\x07\x80", tlv("0c", ADDRESS), tlv("5a", ICCID))
    return tlv("bf27", tlv("80", TID), notification, tlv("06", OID), tlv("a2", final))


TOKENS = {
    None: "840100",
    0: "840100",
    1: "840101",
    127: "84017f",
    128: "84020080",
    255: "840200ff",
    256: "84020100",
    65535: "840300ffff",
    8388607: "84037fffff",
}


def euicc_packages() -> Iterator[Vector]:
    head = tlv("80", b"eim.example.com")
    counter = b"\x81\x02\x00\x80"
    package = tlv("30", head, tlv("5a", bytes.fromhex(EID)), counter, tlv("a0", tlv("a3", tlv("5a", ICCID))))
    result = tlv("30", head, counter, b"\x83\x01\x05", tlv("30", b"\x83\x01\x00"))
    error = tlv("30", head, counter, b"\x02\x01\x04")
    for short, curve in CURVES.items():
        eim, euicc = key(curve, f"keim {short} eim"), key(curve, f"keim {short} euicc")
        for token, token_tlv in TOKENS.items():
            for kind, signer, signed, arm in (
                ("euiccPackageSigned", eim, package, None),
                ("euiccPackageResultDataSigned", euicc, result, "a0"),
                ("euiccPackageErrorDataSigned", euicc, error, "a1"),
            ):
                yield package_vector(short, kind, signer, signed, arm=arm, token=token, token_tlv=token_tlv)
        without = package_vector(
            short, "euiccPackageSigned", eim, package, arm=None, token=7, token_tlv="840107"
        )
        yield without | {
            "id": f"{short}-without-token",
            "signature": sign(eim, package).hex(),
            "valid": False,
        }


def package_vector(
    short: str, kind: str, signer: Key, signed: bytes, *, arm: str | None, token: int | None, token_tlv: str
) -> Vector:
    covered = signed + bytes.fromhex(token_tlv)
    signature = sign(signer, covered)
    inner = signed + tlv("5f37", signature)
    return {
        "id": f"{short}-{kind}-{token}",
        "kind": kind,
        "association_token": token,
        "association_token_tlv": token_tlv,
        "curve": signer.curve.name,
        "public_key": signer.point.hex(),
        "private_scalar": scalar_of(signer),
        "signed_object": signed.hex(),
        "signed_bytes": covered.hex(),
        "signature": signature.hex(),
        "valid": True,
        "message": {"BF51": tlv("bf51", tlv(arm, inner) if arm else inner).hex()},
        "source": SOURCE,
    }


def session_values(curve: Curve, short: str, host_id: bytes) -> tuple[Vector, Protection]:
    dp_key, card_key = (key(curve, f"keim {short} one-time {side}") for side in ("dp", "euicc"))
    z = agree(dp_key, card_key)
    info = b"\x88\x10" + bytes((len(host_id),)) + host_id + b"\x10" + bytes.fromhex(EID)
    k = x963(z, info)
    values = {
        "curve": curve.name,
        "eid": EID,
        "host_id": host_id.hex(),
        "otsk_dp": scalar_of(dp_key),
        "otpk_dp": dp_key.point.hex(),
        "otsk_euicc": scalar_of(card_key),
        "otpk_euicc": card_key.point.hex(),
        "key_type": "88",
        "key_length": "10",
        "shared_secret_z": z.hex(),
        "shared_info": info.hex(),
        "x963_output": k.hex(),
        "initial_mac_chaining_value": k[:16].hex(),
        "s_enc": k[16:32].hex(),
        "s_mac": k[32:].hex(),
        "source": SOURCE,
    }
    return values, Protection(chain=k[:16], s_enc=k[16:32], s_mac=k[32:])


def kdf() -> Iterator[Vector]:
    for short, curve in CURVES.items():
        for host_id in (b"h", b"host", b"sixteen octets!!"):
            yield {"id": f"{short}-kdf-{len(host_id)}"} | session_values(curve, short, host_id)[0]


def bsp() -> Iterator[Vector]:
    start = Protection(chain=b"\x0c" * 16, s_enc=b"\x0e" * 16, s_mac=b"\x0a" * 16)
    pieces = [("87", b"\xbf\x24\x00"), ("88", METADATA), ("88", b""), ("86", b""), ("86", bytes(15))]
    pieces += [
        ("86", bytes(16)),
        ("86", bytes(range(256)) * 3),
        ("86", b"\x80" + bytes(40)),
        ("87", b"x" * 1007),
    ]
    yield {
        "id": "bsp",
        "s_enc": start.s_enc.hex(),
        "s_mac": start.s_mac.hex(),
        "initial_mac_chaining_value": start.chain.hex(),
        "operations": [start.protect(tag, plaintext) for tag, plaintext in pieces],
        "source": SOURCE,
    }


def bpp() -> Iterator[Vector]:
    for short, curve in CURVES.items():
        for mode in ("session", "ppk"):
            metadata = METADATA if mode == "session" else LONG_METADATA
            good = bound(short, curve, mode, metadata)
            yield good
            yield from bent_packages(good)


def bound(short: str, curve: Curve, mode: str, metadata: bytes) -> Vector:
    values, protection = session_values(curve, short, b"host")
    signer = key(curve, f"keim {short} dppb")
    fields = [
        b"\x82\x01\x01",
        tlv("80", TID),
        tlv("a6", b"\x80\x01\x88\x81\x01\x10", tlv("84", b"host")),
        tlv("5f49", bytes.fromhex(values["otpk_dp"])),
    ]
    signature = sign(signer, b"".join(fields) + tlv("5f49", bytes.fromhex(values["otpk_euicc"])))
    parts = [
        tlv("bf23", *fields, tlv("5f37", signature)),
        tlv("a0", protection.segments("87", b"\xbf\x24\x00")),
        tlv("a1", protection.segments("88", metadata)),
    ]
    ppk: Vector = {}
    if mode == "ppk":
        chain, enc, mac = (bytes((octet,)) * 16 for octet in (0xC1, 0xE1, 0xA1))
        request = tlv("bf26", tlv("80", chain), tlv("81", enc), tlv("82", mac))
        parts.append(tlv("a2", protection.segments("87", request)))
        protection = Protection(chain=chain, s_enc=enc, s_mac=mac)
        ppk = {
            "replace_session_keys": request.hex(),
            "ppk_initial_mac_chaining_value": chain.hex(),
            "ppk_enc": enc.hex(),
            "ppk_mac": mac.hex(),
        }
    elements = protection.segments("86", UPP)
    return values | {
        "id": f"{short}-{mode}",
        "expect": "ok",
        "mode": mode,
        "transaction_id": TID.hex(),
        "dppb_public_key": signer.point.hex(),
        "configure_isdp": "bf2400",
        "store_metadata": metadata.hex(),
        "segment_lengths": [1020, len(elements) - 1020],
        "upp": UPP.hex(),
        "upp_length": len(UPP),
        "upp_sha256": hashlib.sha256(UPP).hexdigest(),
        "protection_layer_only": True,
        "bpp": tlv("bf36", *parts, tlv("a3", elements)).hex(),
        **ppk,
    }


def bent_packages(good: Vector) -> Iterator[Vector]:
    octets = bytes.fromhex(good["bpp"])
    shared = {name: good[name] for name in ("curve", "eid", "otsk_euicc", "otpk_euicc", "dppb_public_key")}
    at = octets.index(tlv("80", TID)) + 2
    cases = [
        ("mac-bit", octets[:-1] + bytes((octets[-1] ^ 1,)), TID, EID, 5, 8),
        ("other-eid", octets, TID, "8" * 32, 1, 8),
        ("other-transaction", octets, bytes(16), EID, 0, 3),
        ("signature", octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :], TID, EID, 0, 2),
        ("trailing-octet", octets + b"\0", TID, EID, 5, 7),
        ("truncated", octets[:-5], TID, EID, None, None),
    ]
    for name, bent, transaction_id, eid, command, reason in cases:
        yield shared | {
            "id": f"{good['id']}-{name}",
            "expect": "error",
            "eid": eid,
            "session_transaction_id": transaction_id.hex(),
            "protection_layer_notices": True,
            "bpp": bent.hex(),
            "bpp_command_id": command,
            "error_reason": reason,
            "source": SOURCE,
        }


def compact() -> Iterator[Vector]:
    euicc = key(P256, "keim p256 euicc")
    error = tlv("a1", b"\x80\x01\x05\x81\x01\x0c")
    other = tlv("04", b"\x30\x00")
    for name, final, short in (
        ("success", tlv("a0", tlv("4f", AID), tlv("04", SIMA_OK)), tlv("a0", tlv("4f", AID[13:15]))),
        ("other-response", tlv("a0", tlv("4f", AID), other), tlv("a0", tlv("4f", AID[13:15]), other)),
        ("error", error, error),
    ):
        data = installation_result(final)
        signature = sign(euicc, data)
        form = tlv("a0", tlv("a0", tlv("80", TID), b"\x02\x01\x09", tlv("a2", short)), tlv("5f37", signature))
        yield {
            "id": f"pir-{name}",
            "compact": form.hex(),
            "full_signed_bytes": data.hex(),
            "full_message": tlv("bf37", data, tlv("5f37", signature)).hex(),
            "signature": signature.hex(),
            "public_key": euicc.point.hex(),
            "context": {
                "notification_address": ADDRESS.decode(),
                "iccid": ICCID.hex(),
                "smdp_oid": "2.999.10",
            },
            "source": SOURCE,
        }


def confirmation_code() -> Iterator[Vector]:
    for code in ("12345678", "0", "äöü-7"):
        inner = hashlib.sha256(code.encode()).digest()
        yield {
            "id": f"cc-{code}",
            "confirmation_code": code,
            "transaction_id": TID.hex(),
            "sha256_cc": inner.hex(),
            "hash_cc": hashlib.sha256(inner + TID).hexdigest(),
            "source": SOURCE,
        }


def scp80() -> Iterator[Vector]:
    kic, kid, tar = bytes(range(16)), bytes(range(16, 32)), bytes.fromhex("b00120")
    apdus = bytes.fromhex("00a40000023f0000b000000a")
    for spi, counter in (("0619", 0), ("1639", 0x0102030405), ("0209", 1), ("0411", 2), ("0601", 3)):
        first, second = bytes.fromhex(spi)
        command = packet(
            (kic, kid),
            bytes.fromhex(spi) + b"\x22\x22" + tar,
            counter,
            apdus,
            checked=first & 3 == 2,
            ciphered=bool(first & 4),
        )
        response = packet(
            (kic, kid),
            tar,
            counter,
            b"\x02\x90\x00" + ICCID,
            status=b"\x00",
            udh=bytes.fromhex("027100"),
            checked=second & 0x0C == 8,
            ciphered=bool(second & 0x10),
        )
        yield {
            "id": f"aes-{spi}",
            "kic_key": kic.hex(),
            "kid_key": kid.hex(),
            "spi": spi,
            "kic_byte": "22",
            "kid_byte": "22",
            "tar": tar.hex(),
            "counter": counter,
            "apdus": apdus.hex(),
            "command_packet": command.hex(),
            "tp_ud": "027000" + command.hex(),
            "response_tp_ud": "027100" + response.hex(),
            "response": {
                "status": 0,
                "counter": counter,
                "number_of_commands": 2,
                "last_sw": "9000",
                "last_data": ICCID.hex(),
            },
            "source": SOURCE,
        }


def packet(
    keys: tuple[bytes, bytes],
    clear: bytes,
    counter: int,
    data: bytes,
    *,
    status: bytes = b"",
    udh: bytes = b"",
    checked: bool,
    ciphered: bool,
) -> bytes:
    kic, kid = keys
    cc_octets = 8 if checked else 0
    body = 6 + len(status) + cc_octets + len(data)
    padding = -body % 16 if ciphered else 0
    counted = counter.to_bytes(5, "big") + bytes((padding,)) + status
    data += bytes(padding)
    header = len(clear) + len(counted) + cc_octets
    front = (1 + header + len(data)).to_bytes(2, "big") + bytes((header,)) + clear
    checksum = cmac(kid, udh + front + counted + data)[:cc_octets]
    secured = counted + checksum + data
    return front + (cbc(kic, bytes(16), secured) if ciphered else secured)


def scp03() -> Iterator[Vector]:
    static_enc, static_mac, host, card = bytes(range(16)), bytes(range(16, 32)), b"hostchal", b"cardchal"

    def derived(base: bytes, constant: int, octets: int) -> bytes:
        label = bytes(11) + bytes((constant, 0)) + (octets * 8).to_bytes(2, "big") + b"\x01"
        return cmac(base, label + host + card)[:octets]

    s_enc, s_mac, s_rmac = derived(static_enc, 4, 16), derived(static_mac, 6, 16), derived(static_mac, 7, 16)
    card_cryptogram, host_cryptogram = derived(s_mac, 0, 8), derived(s_mac, 1, 8)
    header = bytes.fromhex("8482330010")
    chain = cmac(s_mac, bytes(16) + header + host_cryptogram)
    authenticate = header + host_cryptogram + chain[:8]
    commands = []
    for counter, (plain, answer) in enumerate([("80e2910003bf3e00", b"answer"), ("80f22002", b"")], start=1):
        apdu, block = bytes.fromhex(plain), counter.to_bytes(16, "big")
        data = apdu[5:8]
        if data:
            padded = data + b"\x80" + bytes(12)
            data = cbc(s_enc, aes(s_enc, block), padded)
        front = bytes((0x84,)) + apdu[1:4] + bytes((len(data) + 8,)) + data
        chain = cmac(s_mac, chain + front)
        step = {"plain": plain, "wrapped": (front + chain[:8]).hex()}
        if answer:
            sealed = cbc(s_enc, aes(s_enc, b"\x80" + block[1:]), answer + b"\x80" + bytes(9))
            mac = cmac(s_rmac, chain + sealed + b"\x90\x00")[:8]
            step |= {"response_plain": answer.hex(), "response_wrapped": (sealed + mac).hex()}
        commands.append(step)
    yield {
        "id": "aes128-33",
        "static_enc": static_enc.hex(),
        "static_mac": static_mac.hex(),
        "static_dek": "00" * 16,
        "initialize_update": "8050300008" + host.hex() + "00",
        "initialize_update_response": "00" * 10 + "300370" + (card + card_cryptogram).hex() + "000001",
        "card_cryptogram": card_cryptogram.hex(),
        "host_cryptogram": host_cryptogram.hex(),
        "external_authenticate": authenticate.hex(),
        "commands": commands,
        "source": SOURCE,
    }


def document() -> dict[str, Any]:
    return {
        "about": {
            "title": "crypto test vectors of keim",
            "byte_strings": "lower-case hex; scalar-of:LABEL: SHA-256 of the label, first digit 0",
            "provenance": SOURCE,
        },
        "confirmation_code": list(confirmation_code()),
        "signatures": list(signatures()),
        "euicc_packages": list(euicc_packages()),
        "kdf": list(kdf()),
        "bsp": list(bsp()),
        "bpp": list(bpp()),
        "compact": list(compact()),
        "scp80": list(scp80()),
        "scp03": list(scp03()),
    }


def text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
