"""One suite for every `Signer`: key in memory, in a file, in a PKCS#11 token (SoftHSM2, started here)."""

from __future__ import annotations

import os
import subprocess
import traceback
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path

import pytest
from tests.shared import needs_system
from tests.system_packages import needs

from keim.crypto.bpp import binding
from keim.crypto.bpp_events import BppSession
from keim.crypto.bpp_whole import open_bpp
from keim.crypto.secrets import Secret
from keim.crypto.suites import SUITES, Suite
from keim.deciding import alone
from keim.errors import Refused, WorldError
from keim.io.keys import FileSigner, create_key_file
from keim.io.pkcs11 import Pkcs11Token
from keim.seams import Signer

PIN = "98765432"
NewSigner = Callable[[Suite], Signer]


def softhsm_module() -> str:
    """What KEIM_SOFTHSM2 names, or where tests/system_packages.toml finds the module."""
    patterns = needs()["softhsm2"].files[0].split("|")
    found = [os.environ.get("KEIM_SOFTHSM2", ""), *(path for pattern in patterns for path in glob(pattern))]
    return next(path for path in found if path)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pkcs11Token]:
    """A token of this module's own, in a temporary folder. The module reads its settings once per process."""
    module = softhsm_module()
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    command = ["softhsm2-util", "--init-token", "--free", "--label", "keim", "--so-pin", "1234", "--pin", PIN]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOFTHSM2_CONF", str(settings))
        subprocess.run(command, check=True, capture_output=True)
        opened = Pkcs11Token(module, "keim", Secret(PIN.encode()), writes=True)
        yield opened
        opened.close()


in_softhsm = needs_system("softhsm2")


@pytest.fixture(params=["memory", "file", pytest.param("pkcs11", marks=in_softhsm)])
def new_signer(request: pytest.FixtureRequest, tmp_path: Path) -> NewSigner:
    match request.param:
        case "memory":
            return lambda suite: suite.new_signer()
        case "file":
            return lambda suite: create_key_file(tmp_path / f"{suite.name}.key", suite)
    in_token: Pkcs11Token = request.getfixturevalue("token")
    return lambda suite: in_token.create_key(f"{request.node.name}-{suite.name}", suite)


suites = pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))


@suites
def test_a_signature_verifies_under_the_signers_point(new_signer: NewSigner, suite: Suite) -> None:
    signer = new_signer(suite)
    assert isinstance(signer, Signer)
    assert signer.algorithm == suite.name
    key = suite.verifying_key(signer.public_point)
    for message in (b"", b"message", bytes(range(256)) * 40):
        signature = signer.sign(message)
        assert len(signature) == suite.signature_octets
        key.verify(signature, message)
        assert not key.accepts(signature, message + b"\0")


@suites
def test_leading_zeros_of_r_and_s_are_kept(new_signer: NewSigner, suite: Suite) -> None:
    """About every 128th signature has a half that begins with 00: none of a few hundred may be short."""
    signer = new_signer(suite)
    count = 300 if suite.name == "ecdsa-p256-sha256" else 40
    assert {len(signer.sign(number.to_bytes(2, "big"))) for number in range(count)} == {64}


@suites
def test_a_profile_is_bound_through_the_signer(new_signer: NewSigner, suite: Suite) -> None:
    signer = new_signer(suite)
    card_key = suite.new_one_time_key()
    bpp = alone(
        binding(
            b"\xa0\x03\x80\x01\x02",
            store_metadata=b"\xbf\x25\x00",
            transaction_id=b"\x01" * 16,
            host_id=b"host",
            eid=bytes(16),
            euicc_otpk=card_key.public_point,
            signer=signer,
        )
    )
    session = BppSession(
        suite=suite.name,
        transaction_id=b"\x01" * 16,
        eid=bytes(16),
        one_time_scalar=card_key.scalar,
        dppb_point=signer.public_point,
    )
    assert open_bpp(session, bpp).upp == b"\xa0\x03\x80\x01\x02"


@suites
def test_no_signer_shows_its_key(
    new_signer: NewSigner, suite: Suite, caplog: pytest.LogCaptureFixture
) -> None:
    signer = new_signer(suite)
    signer.sign(b"message")
    shown = repr(signer) + str(signer) + caplog.text
    assert PIN not in shown
    assert "PRIVATE" not in shown


def test_a_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "eim.key"
    signer = create_key_file(path, SUITES["ecdsa-p256-sha256"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert FileSigner(path).public_point == signer.public_point
    for mode in (0o640, 0o604, 0o660, 0o620):
        path.chmod(mode)
        with pytest.raises(Refused) as refusal:
            FileSigner(path)
        assert refusal.value.code == "pki.key_exposed"


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "eim.key"
    create_key_file(path, SUITES["ecdsa-p256-sha256"])
    before = path.read_bytes()
    with pytest.raises(Refused) as refusal:
        create_key_file(path, SUITES["ecdsa-p256-sha256"])
    assert refusal.value.code == "crypto.key_exists"
    assert path.read_bytes() == before


def test_a_key_on_another_curve_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from keim.errors import KeimError
    from keim.io.pem import write_private_key

    path = tmp_path / "p384.key"
    write_private_key(path, ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(KeimError) as refusal:
        FileSigner(path)
    assert refusal.value.code == "crypto.wrong_curve"


@in_softhsm
def test_a_token_says_what_it_lacks(token: Pkcs11Token) -> None:
    with pytest.raises(Refused) as refusal:
        token.signer("no such key")
    assert refusal.value.code == "crypto.hsm_key_missing"
    token.create_key("taken", SUITES["ecdsa-p256-sha256"])
    with pytest.raises(Refused) as taken:
        token.create_key("taken", SUITES["ecdsa-p256-sha256"])
    assert taken.value.code == "crypto.key_exists"


@in_softhsm
@pytest.mark.parametrize(("label", "pin"), [("keim", "00000000"), ("no such token", PIN)])
def test_a_wrong_pin_or_token_is_told_without_the_pin(token: Pkcs11Token, label: str, pin: str) -> None:
    with pytest.raises(WorldError) as trouble:
        Pkcs11Token(softhsm_module(), label, Secret(pin.encode()))
    assert trouble.value.code == "crypto.hsm_unavailable"
    assert pin not in str(trouble.value) + repr(trouble.value)


def test_a_pin_that_is_no_text_is_refused_and_not_shown() -> None:
    pin = Secret(b"\xff" + PIN.encode())
    with pytest.raises(Refused) as refusal:
        Pkcs11Token("/nonexistent/module.so", "keim", pin)
    assert refusal.value.code == "crypto.hsm_pin_form"
    assert PIN not in "".join(traceback.format_exception(refusal.value))


def test_a_module_that_is_not_there_is_told() -> None:
    with pytest.raises(WorldError) as trouble:
        Pkcs11Token("/nonexistent/module.so", "keim", Secret(b"1"))
    assert trouble.value.code == "crypto.hsm_unavailable"
