"""Invariants of keim.crypto over generated inputs: round trips, any cut, no input without a clean answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from keim.crypto.bpp import binding, profile_protection_keys, protect_profile
from keim.crypto.bpp_events import BppRefused, BppSession, ProfileElements
from keim.crypto.bpp_open import BppReceiver
from keim.crypto.bpp_segments import load_segments
from keim.crypto.bpp_whole import open_bpp
from keim.crypto.bsp import Bsp
from keim.crypto.compact import (
    RelayedSession,
    expand_authenticate_response,
    expand_cancel_session_response,
    expand_pending_notification,
    expand_prepare_download_response,
)
from keim.crypto.curves import split_spki
from keim.crypto.ecdsa import der_of_raw, raw_of_library_der, raw_of_peer_der
from keim.crypto.kdf import SessionKeys
from keim.crypto.scp03 import Session, StaticKeys
from keim.crypto.scp80 import unwrap_command, unwrap_response, wrap_command, wrap_response
from keim.crypto.scp80_security import Security
from keim.crypto.signed import euicc_package_tbs
from keim.crypto.suites import ECDSA_P256
from keim.crypto.tokens import association_token_tlv
from keim.deciding import alone
from keim.der import tlv
from keim.errors import KeimError

halves = st.integers(min_value=1, max_value=2**256 - 1)
keys = st.binary(min_size=48, max_size=48).map(profile_protection_keys)
tags = st.sampled_from([0x86, 0x87, 0x88])

DPPB = ECDSA_P256.signer_of_scalar(b"\x11" * 32, reproducible=True)
SMDP_KEY = ECDSA_P256.one_time_key_of_scalar(b"\x22" * 32)
EUICC_KEY = ECDSA_P256.one_time_key_of_scalar(b"\x33" * 32)
SESSION = BppSession(
    suite=ECDSA_P256.name,
    transaction_id=b"\x01" * 16,
    eid=bytes(16),
    one_time_scalar=EUICC_KEY.scalar,
    dppb_point=DPPB.public_point,
)


def bound(upp: bytes, metadata: bytes, ppk: SessionKeys | None) -> bytes:
    return alone(
        binding(
            upp if ppk is None else protect_profile(upp, ppk),
            store_metadata=tlv(0xBF25, metadata),
            transaction_id=SESSION.transaction_id,
            host_id=b"host",
            eid=SESSION.eid,
            euicc_otpk=EUICC_KEY.public_point,
            signer=DPPB,
            one_time_key=SMDP_KEY,
        )
    )


@given(r=halves, s=halves)
def test_raw_and_der_are_two_spellings_of_one_signature(r: int, s: int) -> None:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    der = encode_dss_signature(r, s)
    assert der_of_raw(raw) == der
    assert raw_of_library_der(der) == raw_of_peer_der(der) == raw


@given(message=st.binary(max_size=300), position=st.integers(0, 511))
def test_a_signature_is_for_its_message_and_every_bit_counts(message: bytes, position: int) -> None:
    key = ECDSA_P256.verifying_key(DPPB.public_point)
    signature = DPPB.sign(message)
    assert key.accepts(signature, message)
    bent = bytearray(signature)
    bent[position // 8] ^= 1 << position % 8
    assert not key.accepts(bytes(bent), message)


@given(signature=st.binary(max_size=140), message=st.binary(max_size=40), accept_der=st.booleans())
def test_no_octets_are_a_signature_by_chance(signature: bytes, message: bytes, accept_der: bool) -> None:
    assert not ECDSA_P256.verifying_key(DPPB.public_point).accepts(signature, message, accept_der=accept_der)


@given(token=st.integers(-(2**40), 2**40))
def test_the_token_is_minimal_twos_complement(token: int) -> None:
    encoded = association_token_tlv(token)
    content = encoded[2:]
    assert (encoded[0], encoded[1]) == (0x84, len(content))
    assert int.from_bytes(content, "big", signed=True) == token
    if len(content) > 1:
        assert int.from_bytes(content[1:], "big", signed=True) != token
    assert euicc_package_tbs(b"\x30\x00", token) == b"\x30\x00" + encoded


@given(
    keys=keys, pieces=st.lists(st.tuples(tags, st.binary(max_size=1008)), max_size=8), cut=st.integers(0, 8)
)
def test_what_is_protected_opens_in_order_from_any_state(
    keys: SessionKeys, pieces: list[tuple[int, bytes]], cut: int
) -> None:
    protecting, opening = Bsp.from_keys(keys), Bsp.from_keys(keys)
    for number, (tag, plaintext) in enumerate(pieces):
        if number == cut:
            protecting, opening = Bsp(protecting.state), Bsp(opening.state)
        assert opening.unprotect(protecting.protect(tag, plaintext)) == plaintext
        assert opening.state == protecting.state


@given(
    upp=st.binary(min_size=1, max_size=4000),
    metadata=st.binary(max_size=1500),
    ppk=st.none() | keys,
    cuts=st.lists(st.integers(1, 1500), max_size=30),
)
def test_a_bound_profile_opens_however_it_is_cut(
    upp: bytes, metadata: bytes, ppk: SessionKeys | None, cuts: list[int]
) -> None:
    bpp = bound(upp, metadata, ppk)
    opened = open_bpp(SESSION, bpp)
    assert (opened.upp, opened.store_metadata) == (upp, tlv(0xBF25, metadata))
    pieces = list(load_segments(bpp))
    assert b"".join(pieces) == bpp
    assert max(len(piece) for piece in pieces) <= 1020
    progress, start, events = None, 0, []
    for size in (*cuts, len(bpp)):
        receiver = BppReceiver(SESSION, progress)
        events += receiver.feed(bpp[start : start + size])
        progress, start = receiver.progress, start + size
    assert b"".join(event.octets for event in events if isinstance(event, ProfileElements)) == upp
    assert progress is not None
    assert progress.is_finished


@given(position=st.integers(0, 10**9), bit=st.integers(0, 7), ppk=st.none() | keys)
def test_no_single_bit_of_a_package_can_be_changed(position: int, bit: int, ppk: SessionKeys | None) -> None:
    """Either a refusal, or a card that waits for octets that never come; never another profile."""
    bpp = bytearray(bound(b"\xa0\x00" * 700, b"\x5a\x00", ppk))
    bpp[position % len(bpp)] ^= 1 << bit
    receiver = BppReceiver(SESSION)
    events = receiver.feed(bytes(bpp))
    refused = any(isinstance(event, BppRefused) for event in events)
    assert refused or not receiver.progress.is_finished


@given(
    octets=st.binary(max_size=400), start=st.sampled_from([b"", b"\xbf\x36", b"\xbf\x36\x82\x02\x00\xbf\x23"])
)
def test_a_receiver_takes_anything(octets: bytes, start: bytes) -> None:
    receiver = BppReceiver(SESSION)
    for event in receiver.feed(start + octets):
        assert isinstance(event, BppRefused)
    assert not receiver.progress.is_finished


SECURITIES = st.builds(
    Security,
    spi=st.sampled_from(
        [bytes((a, b)) for a in (0x00, 0x02, 0x04, 0x06, 0x16) for b in (0x01, 0x09, 0x11, 0x19)]
    ),
    kic=st.just(0x22),
    kid=st.just(0x22),
    kic_key=st.binary(min_size=16, max_size=16),
    kid_key=st.binary(min_size=16, max_size=16),
)


@given(
    security=SECURITIES,
    counter=st.integers(0, 2**40 - 1),
    data=st.binary(max_size=300),
    status=st.integers(0, 255),
)
def test_secured_packets_round_trip(security: Security, counter: int, data: bytes, status: int) -> None:
    tar = b"\xb0\x01\x20"
    command = unwrap_command(security, wrap_command(security, tar=tar, counter=counter, data=data))
    assert (command.tar, command.counter, command.data) == (tar, counter, data)
    wrapped = wrap_response(security, tar=tar, counter=counter, status=status, data=data)
    response = unwrap_response(security, wrapped)
    assert (response.counter, response.status, response.data) == (counter, status, data)


@given(
    level=st.sampled_from([0x01, 0x03, 0x11, 0x13, 0x33]),
    exchanges=st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=200)), max_size=6),
)
def test_a_secure_channel_stays_in_step(level: int, exchanges: list[tuple[bytes, bytes]]) -> None:
    static = StaticKeys(enc=bytes(16), mac=b"\x01" * 16, dek=bytes(16))
    host, card = (Session(static, b"h" * 8, b"c" * 8) for _ in range(2))
    assert card.accept_external_authenticate(host.external_authenticate(level)) == level
    for command, answer in exchanges:
        plain = b"\x80\xe2\x91\x00" + (bytes((len(command),)) + command if command else b"") + b"\x00"
        assert card.unwrap_command(host.wrap_command(plain)) == plain
        assert host.unwrap_response(card.wrap_response(answer, b"\x90\x00"), b"\x90\x00") == answer


Reader = Callable[[bytes], Any]
READERS: list[Reader] = [
    lambda octets: expand_authenticate_response(octets, RelayedSession()),
    lambda octets: expand_prepare_download_response(octets, RelayedSession()),
    lambda octets: expand_cancel_session_response(octets, RelayedSession()),
    lambda octets: expand_pending_notification(octets, RelayedSession()),
    lambda octets: list(load_segments(octets)),
    lambda octets: Bsp.from_keys(profile_protection_keys(bytes(48))).unprotect(octets),
    lambda octets: open_bpp(SESSION, octets),
    ECDSA_P256.verifying_key,
    EUICC_KEY.agree,
    split_spki,
    raw_of_peer_der,
    lambda octets: euicc_package_tbs(octets, None),
    lambda octets: unwrap_command(
        Security(spi=b"\x06\x19", kic=0x22, kid=0x22, kic_key=bytes(16), kid_key=bytes(16)), octets
    ),
    lambda octets: unwrap_response(
        Security(spi=b"\x00\x01", kic=0x22, kid=0x22, kic_key=bytes(16), kid_key=bytes(16)), octets
    ),
]


@pytest.mark.parametrize("reader", READERS)
@given(
    octets=st.binary(max_size=120)
    | st.builds(
        lambda tag, inner: tlv(tag, *inner),
        st.sampled_from([0xBF38, 0xBF21, 0xBF41, 0xBF36, 0xA0, 0xA1, 0x30, 0x86]),
        st.lists(
            st.builds(
                tlv,
                st.sampled_from([0xA0, 0xA1, 0xA2, 0x30, 0x5F37, 0xBF2F, 0xBF23, 0x80]),
                st.binary(max_size=30),
            ),
            max_size=4,
        ),
    )
)
def test_hostile_octets_are_answered_by_our_own_errors(reader: Reader, octets: bytes) -> None:
    """Nothing but a KeimError (or a value) comes out: no IndexError, no error of a library."""
    with suppress(KeimError):
        reader(octets)
