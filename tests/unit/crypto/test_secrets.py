"""Secrets never appear in reprs, errors or logs: what holds one is made, shown and searched."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable

import pytest

from keim.crypto.bpp import binding, profile_protection_keys, protect_profile
from keim.crypto.bpp_events import BppSession
from keim.crypto.bpp_open import BppReceiver
from keim.crypto.bsp import Bsp, first_state
from keim.crypto.confirmation import confirmation_code_hash
from keim.crypto.kdf import SessionKeys, derive_session_keys
from keim.crypto.scp03 import Session, StaticKeys
from keim.crypto.scp80 import unwrap_command
from keim.crypto.scp80_security import Security
from keim.crypto.secrets import Secret
from keim.crypto.suites import ECDSA_P256
from keim.deciding import alone
from keim.errors import KeimError

SCALAR = bytes.fromhex("5e" * 31 + "01")
KEY = bytes.fromhex("c0ffee00" * 4)
KEYS = SessionKeys(initial_mac_chaining_value=KEY, s_enc=KEY, s_mac=KEY)
ONE_TIME = ECDSA_P256.one_time_key_of_scalar(SCALAR)
PEER = ECDSA_P256.one_time_key_of_scalar(bytes(31) + b"\x05")
Z = ONE_TIME.agree(PEER.public_point)
DERIVED = derive_session_keys(Z, host_id=b"host", eid=bytes(16))
SESSION = BppSession(
    suite=ECDSA_P256.name,
    transaction_id=b"\x01",
    eid=bytes(16),
    one_time_scalar=ONE_TIME.scalar,
    dppb_point=PEER.public_point,
)
SECRETS = {
    "scalar": SCALAR,
    "key": KEY,
    "z": Z.reveal(),
    "S-ENC": DERIVED.s_enc,
    "S-MAC": DERIVED.s_mac,
    "chain": DERIVED.initial_mac_chaining_value,
    "session": Session(StaticKeys(enc=KEY, mac=KEY, dek=KEY), bytes(8), bytes(8))._s_enc,
}


def holders() -> list[object]:
    """Everything of the package that holds key material, in the states in which it may be logged."""
    bpp = alone(
        binding(
            b"profile",
            store_metadata=b"\xbf\x25\x00",
            transaction_id=b"\x01",
            host_id=b"host",
            eid=bytes(16),
            euicc_otpk=ONE_TIME.public_point,
            signer=ECDSA_P256.signer_of_scalar(bytes(31) + b"\x05"),
            one_time_key=PEER,
        )
    )
    receiver = BppReceiver(SESSION)
    events = receiver.feed(bpp[:-3])
    assert len(events) == 3
    return [
        Secret(SCALAR),
        [Secret(SCALAR)],
        {"key": Secret(SCALAR)},
        ECDSA_P256.signer_of_scalar(SCALAR),
        ONE_TIME,
        ONE_TIME.scalar,
        KEYS,
        DERIVED,
        first_state(KEYS),
        first_state(DERIVED),
        Bsp.from_keys(KEYS),
        profile_protection_keys(KEY * 3),
        protect_profile(b"profile", KEYS),
        SESSION,
        receiver,
        receiver.progress,
        StaticKeys(enc=KEY, mac=KEY, dek=KEY),
        Session(StaticKeys(enc=KEY, mac=KEY, dek=KEY), bytes(8), bytes(8)),
        Security(spi=b"\x06\x19", kic=0x22, kid=0x22, kic_key=KEY, kid_key=KEY),
        confirmation_code_hash("12345678"),
    ]


def assert_shows_nothing(text: str) -> None:
    for name, secret in SECRETS.items():
        forms = (
            secret.hex(),
            secret.hex().upper(),
            repr(secret)[2:-1],
            str(int.from_bytes(secret, "big")),
            str(list(secret))[1:-1],
        )
        for form in forms:
            assert form not in text, name


@pytest.mark.parametrize("holder", holders(), ids=lambda holder: type(holder).__name__)
def test_nothing_that_holds_a_secret_shows_it(holder: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("any").info("%s %r", holder, holder)
    assert_shows_nothing(repr(holder) + str(holder) + f"{holder}" + caplog.text + repr([holder]))


@pytest.mark.parametrize(
    "fail",
    [
        lambda: ECDSA_P256.signer_of_scalar(SCALAR + b"\0"),
        lambda: ECDSA_P256.signer_of_scalar(SCALAR[:-1]),
        lambda: ECDSA_P256.one_time_key_of_scalar(b"\xff" * 32),
        lambda: ONE_TIME.agree(b"\x04" + bytes(64)),
        lambda: Bsp.from_keys(KEYS).unprotect(b"\x86\x18" + bytes(24)),
        lambda: derive_session_keys(Z, host_id=b"", eid=bytes(16)),
        lambda: profile_protection_keys(KEY),
        lambda: unwrap_command(
            Security(spi=b"\x06\x19", kic=0x22, kid=0x22, kic_key=KEY, kid_key=KEY), bytes(40)
        ),
        lambda: Session(StaticKeys(enc=KEY, mac=KEY, dek=KEY), bytes(8), bytes(8)).unwrap_command(bytes(20)),
    ],
)
def test_no_refusal_shows_a_secret(fail: Callable[[], object]) -> None:
    with pytest.raises(KeimError) as refusal:
        fail()
    fault = refusal.value
    # The frames' local values are not part of it: nobody logs those, and Python does not print them.
    assert_shows_nothing(
        str(fault) + repr(fault) + repr(vars(fault)) + "".join(traceback.format_exception(fault))
    )


def test_a_secret_is_opened_on_purpose_only() -> None:
    secret = Secret(SCALAR)
    assert secret.reveal() == SCALAR
    assert (str(secret), repr(secret), f"{secret}", len(secret)) == ("***", "***", "***", 32)
    with pytest.raises(TypeError):
        bytes(secret)  # type: ignore[call-overload] - that it is refused is the point
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_compare_by_value_and_with_nothing_else() -> None:
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"
    assert len({Secret(b"a"), Secret(b"a"), Secret(b"b")}) == 2
