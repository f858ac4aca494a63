"""Secure channels: both sides at every level, and what must break them."""

from __future__ import annotations

import pytest

from keim.crypto.scp03 import (
    InitializeUpdate,
    Session,
    StaticKeys,
    host_session,
    initialize_update,
    read_initialize_update,
)
from keim.errors import BadSignature, KeimError, Malformed

KEYS = StaticKeys(enc=bytes(range(16)), mac=bytes(range(16, 32)), dek=bytes(16))
HOST, CARD = b"hostchal", b"cardchal"
LEVELS = [0x01, 0x03, 0x11, 0x13, 0x33]


def channel(level: int) -> tuple[Session, Session]:
    card = Session(KEYS, HOST, CARD)
    answer = InitializeUpdate(
        key_version=0x30, parameter=0x70, card_challenge=CARD, card_cryptogram=card.card_cryptogram
    )
    host = host_session(KEYS, HOST, answer)
    assert card.accept_external_authenticate(host.external_authenticate(level)) == level
    return host, card


@pytest.mark.parametrize("level", LEVELS)
def test_commands_and_responses_pass_at_every_level(level: int) -> None:
    host, card = channel(level)
    for apdu in ("80f22002", "80ca006600", "80e2910003bf3e00", "80f280020f4f0d" + "11" * 13 + "00"):
        plain = bytes.fromhex(apdu)
        wrapped = host.wrap_command(plain)
        assert wrapped[0] == 0x84
        assert card.unwrap_command(wrapped) == plain
        for data in (b"", b"answer", bytes(16), bytes(200)):
            sent = card.wrap_response(data, b"\x90\x00")
            assert host.unwrap_response(sent, b"\x90\x00") == data


@pytest.mark.parametrize("level", LEVELS)
def test_a_changed_command_breaks_the_channel(level: int) -> None:
    host, _ = channel(level)
    wrapped = host.wrap_command(bytes.fromhex("80e2910003bf3e00"))
    for position in range(len(wrapped)):
        _, card = channel(level)
        bent = wrapped[:position] + bytes((wrapped[position] ^ 1,)) + wrapped[position + 1 :]
        with pytest.raises(KeimError):
            card.unwrap_command(bent)


@pytest.mark.parametrize("level", [0x11, 0x13, 0x33])
def test_a_changed_response_is_noticed(level: int) -> None:
    host, card = channel(level)
    card.unwrap_command(host.wrap_command(bytes.fromhex("80ca006600")))
    sent = card.wrap_response(b"answer", b"\x90\x00")
    with pytest.raises(BadSignature) as refusal:
        host.unwrap_response(sent, b"\x91\x00")
    assert refusal.value.code == "crypto.scp03_mac"
    for bent in (sent[:-1] + bytes((sent[-1] ^ 1,)), sent[:-1], bytes((sent[0] ^ 1,)) + sent[1:], b""):
        with pytest.raises(KeimError):
            host.unwrap_response(bent, b"\x90\x00")


def test_a_repeated_command_is_noticed() -> None:
    host, card = channel(0x03)
    wrapped = host.wrap_command(bytes.fromhex("80e2910003bf3e00"))
    card.unwrap_command(wrapped)
    with pytest.raises(BadSignature):
        card.unwrap_command(wrapped)


def test_cryptograms_prove_the_keys() -> None:
    other = StaticKeys(enc=bytes(16), mac=bytes(16), dek=bytes(16))
    card = Session(KEYS, HOST, CARD)
    answer = InitializeUpdate(
        key_version=0x30, parameter=0x70, card_challenge=CARD, card_cryptogram=card.card_cryptogram
    )
    with pytest.raises(BadSignature) as refusal:
        host_session(other, HOST, answer)
    assert refusal.value.code == "crypto.scp03_cryptogram"
    with pytest.raises(BadSignature):
        card.accept_external_authenticate(Session(other, HOST, CARD).external_authenticate(0x33))
    host = Session(KEYS, HOST, CARD)
    another_command = host.wrap_command(b"\x80\x50\x00\x00\x08" + host.host_cryptogram)
    with pytest.raises(BadSignature):
        card.accept_external_authenticate(another_command)


@pytest.mark.parametrize("response", [b"", bytes(28), bytes(29), bytes(30), bytes(33)])
def test_another_answer_to_initialize_update_is_refused(response: bytes) -> None:
    with pytest.raises(Malformed):
        read_initialize_update(response)


def test_initialize_update_asks_for_the_key_version() -> None:
    assert initialize_update(0x30, HOST).hex() == "8050300008" + HOST.hex() + "00"


@pytest.mark.parametrize("apdu", ["", "80", "80f220", "80e2910009bf3e00", "80e2910001bf3e0000"])
def test_what_is_no_short_apdu_is_malformed(apdu: str) -> None:
    host, card = channel(0x03)
    for use in (host.wrap_command, card.unwrap_command):
        with pytest.raises(Malformed):
            use(bytes.fromhex(apdu))
