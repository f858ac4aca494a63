"""Secured packets: tampering, counters, lengths, and the algorithms that are not there."""

from __future__ import annotations

import pytest

from keim.crypto.remote_apdus import read_remote_result
from keim.crypto.scp80 import (
    CommandHeader,
    Status,
    counter_status,
    read_command_header,
    unwrap_command,
    unwrap_response,
    wrap_command,
    wrap_response,
)
from keim.crypto.scp80_security import Security
from keim.errors import BadSignature, KeimError, Malformed, Refused, Unencodable

AES = Security(spi=bytes.fromhex("1619"), kic=0x22, kid=0x22, kic_key=bytes(range(16)), kid_key=bytes(16))
TDES = Security(spi=bytes.fromhex("1619"), kic=0x15, kid=0x15, kic_key=bytes(range(16)), kid_key=bytes(16))
TDES3 = Security(spi=bytes.fromhex("1619"), kic=0x19, kid=0x19, kic_key=bytes(range(24)), kid_key=bytes(24))
CHECKED = Security(spi=bytes.fromhex("1209"), kic=0x22, kid=0x22, kic_key=b"k" * 16, kid_key=b"m" * 16)
CIPHERED = Security(spi=bytes.fromhex("0411"), kic=0x22, kid=0x22, kic_key=b"k" * 16, kid_key=b"m" * 16)
PLAIN = Security(spi=bytes.fromhex("0001"), kic=0x00, kid=0x00, kic_key=b"", kid_key=b"")
TAR = bytes.fromhex("b00120")

ways = pytest.mark.parametrize(
    "security", [AES, TDES, TDES3, CHECKED, CIPHERED, PLAIN], ids=["aes", "3des", "3des3", "cc", "c", "none"]
)


@ways
@pytest.mark.parametrize("octets", [0, 1, 7, 8, 15, 16, 17, 120])
def test_both_directions(security: Security, octets: int) -> None:
    data = bytes(range(octets))
    packet = wrap_command(security, tar=TAR, counter=0x0102030405, data=data)
    assert read_command_header(packet) == CommandHeader(
        spi=security.spi, kic=security.kic, kid=security.kid, tar=TAR
    )
    command = unwrap_command(security, packet)
    assert (command.tar, command.counter, command.data) == (TAR, 0x0102030405, data)
    response = unwrap_response(
        security, wrap_response(security, tar=TAR, counter=7, status=Status.TAR_UNKNOWN, data=data)
    )
    assert (response.tar, response.counter, response.status, response.data) == (TAR, 7, 9, data)


@pytest.mark.parametrize("security", [AES, TDES, CHECKED], ids=["aes", "3des", "cc"])
def test_every_bit_of_a_checked_packet_counts(security: Security) -> None:
    packet = wrap_command(security, tar=TAR, counter=1, data=b"select and read")
    answer = wrap_response(security, tar=TAR, counter=1, status=0, data=b"\x02\x90\x00data")
    for octets, unwrap in ((packet, unwrap_command), (answer, unwrap_response)):
        for position in range(len(octets)):
            bent = octets[:position] + bytes((octets[position] ^ 0x10,)) + octets[position + 1 :]
            with pytest.raises(KeimError) as refusal:
                unwrap(security, bent)
            assert refusal.value.code in ("crypto.ota_integrity", "crypto.ota_form")
        for cut in range(len(octets)):
            with pytest.raises(Malformed):
                unwrap(security, octets[:cut])


def test_wrong_keys_are_told_as_a_wrong_checksum() -> None:
    packet = wrap_command(AES, tar=TAR, counter=1, data=b"data")
    other = Security(spi=AES.spi, kic=AES.kic, kid=AES.kid, kic_key=AES.kic_key, kid_key=b"x" * 16)
    with pytest.raises(BadSignature) as refusal:
        unwrap_command(other, packet)
    assert refusal.value.code == "crypto.ota_integrity"


def test_the_length_is_part_of_the_checksum_also_in_clear() -> None:
    """One public tool leaves CPL out when it does not cipher; cards do not."""
    packet = wrap_command(CHECKED, tar=TAR, counter=1, data=b"data")
    longer = (len(packet) - 1).to_bytes(2, "big") + packet[2:] + b"\0"
    with pytest.raises(BadSignature):
        unwrap_command(CHECKED, longer)


@pytest.mark.parametrize(
    ("spi1", "received", "stored", "status"),
    [
        (0x06, 0, 9, Status.OK),
        (0x0E, 0, 9, Status.OK),
        (0x16, 9, 9, Status.COUNTER_LOW),
        (0x16, 8, 9, Status.COUNTER_LOW),
        (0x16, 10, 9, Status.OK),
        (0x16, 99, 9, Status.OK),
        (0x1E, 9, 9, Status.COUNTER_LOW),
        (0x1E, 10, 9, Status.OK),
        (0x1E, 11, 9, Status.COUNTER_HIGH),
    ],
)
def test_the_counter_rule_stands_in_the_first_octet(
    spi1: int, received: int, stored: int, status: Status
) -> None:
    assert counter_status(bytes((spi1, 0x19)), received, stored) is status


@pytest.mark.parametrize(
    "security",
    [
        Security(spi=b"\x01\x00", kic=0x22, kid=0x22, kic_key=bytes(16), kid_key=bytes(16)),  # RC
        Security(spi=b"\x03\x00", kic=0x22, kid=0x22, kic_key=bytes(16), kid_key=bytes(16)),  # DS
        Security(spi=b"\x06\x00", kic=0x11, kid=0x11, kic_key=bytes(8), kid_key=bytes(8)),  # DES
        Security(spi=b"\x06\x00", kic=0x15, kid=0x15, kic_key=bytes(24), kid_key=bytes(24)),
        Security(spi=b"\x06\x00", kic=0x20, kid=0x20, kic_key=bytes(16), kid_key=bytes(16)),
    ],
)
def test_what_is_not_supported_is_refused(security: Security) -> None:
    with pytest.raises(Refused) as refusal:
        wrap_command(security, tar=TAR, counter=0, data=b"data")
    assert refusal.value.code == "crypto.ota_unsupported"


@pytest.mark.parametrize(("padding", "code"), [(7, None), (8, "crypto.ota_form"), (200, "crypto.ota_form")])
def test_padding_is_less_than_a_block(padding: int, code: str | None) -> None:
    """Nothing protects a packet without checksum, but its padding count must still make sense."""
    packet = bytearray(wrap_command(PLAIN, tar=TAR, counter=0, data=bytes(20)))
    packet[15] = padding
    if code is None:
        assert unwrap_command(PLAIN, bytes(packet)).data == bytes(20 - padding)
        return
    with pytest.raises(Malformed) as refusal:
        unwrap_command(PLAIN, bytes(packet))
    assert refusal.value.code == code


def test_a_packet_for_other_parameters_is_refused() -> None:
    packet = wrap_command(AES, tar=TAR, counter=1, data=b"data")
    for other in (TDES, CHECKED):
        with pytest.raises(Malformed):
            unwrap_command(other, packet)


def test_a_counter_has_five_octets() -> None:
    for counter in (-1, 1 << 40):
        with pytest.raises(Unencodable):
            wrap_command(AES, tar=TAR, counter=counter, data=b"")
    assert (
        unwrap_command(AES, wrap_command(AES, tar=TAR, counter=(1 << 40) - 1, data=b"")).counter
        == (1 << 40) - 1
    )


def test_a_short_remote_answer_is_malformed() -> None:
    for data in (b"", b"\x01", b"\x01\x90"):
        with pytest.raises(Malformed):
            read_remote_result(data)
    assert read_remote_result(b"\x01\x90\x00").last_data == b""
