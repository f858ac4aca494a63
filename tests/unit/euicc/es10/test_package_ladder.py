"""LoadEuiccPackage: each line of the ladder with its exact answer (procedures.md section 5.1)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import EID, EIM, OTHER_EID, Lab, iccid, signer, world

from keim.crypto.ecdsa import VerifyingKey, der_of_raw
from keim.crypto.signed import euicc_package_error_tbs, euicc_package_result_tbs, euicc_package_tbs
from keim.crypto.suites import verifying_key_of_spki
from keim.der import read_tlv, tlv
from keim.messages.package import (
    EnablePsmo,
    EuiccPackageResult,
    GetRatPsmo,
    Psmo,
)

RAT = Psmo(get_rat=GetRatPsmo())


def card_key() -> VerifyingKey:
    return verifying_key_of_spki(world().euicc(EID).certificate.spki)


@pytest.fixture
def lab() -> Lab:
    return Lab()


def error_of(answer: EuiccPackageResult) -> int:
    assert answer.euicc_package_error_signed is not None, answer
    return int(answer.euicc_package_error_signed.euicc_package_error_data_signed.euicc_package_error_code)


@pytest.mark.parametrize(
    ("bent", "code"),
    [
        ({"eid_value": OTHER_EID.octets}, 3),
        ({"eid_value": OTHER_EID.octets, "counter_value": 0}, 3),
        ({"counter_value": 0}, 4),
        ({"counter_value": -1}, 4),
        ({"counter_value": 0x800000}, 6),
    ],
)
def test_a_refused_package_gets_its_signed_error_and_consumes_no_counter(
    lab: Lab, bent: dict[str, Any], code: int
) -> None:
    answer = lab.run(RAT, **bent)
    assert error_of(answer) == code
    signed = answer.euicc_package_error_signed
    assert signed is not None
    data = signed.euicc_package_error_data_signed
    assert (data.eim_id, data.eim_transaction_id) == (EIM, b"\x0a\x0b")
    assert data.counter_value == bent.get("counter_value", 1)
    card_key().verify(signed.euicc_sign_epe, euicc_package_error_tbs(data.encode(), lab.token))
    assert lab.card.state.isdr.eims[0].counter_value == 0
    assert lab.card.state.isdr.results == ()
    assert lab.card.state.isdr.next_sequence_number == 1


def test_a_result_is_signed_with_the_token_stored_and_repeated(lab: Lab) -> None:
    octets = lab.es10(lab.package(RAT))
    signed = EuiccPackageResult.decode(octets).euicc_package_result_signed
    assert signed is not None
    data = signed.euicc_package_result_data_signed
    assert (data.counter_value, data.seq_number) == (1, 1)
    card_key().verify(signed.euicc_sign_epr, euicc_package_result_tbs(data.encode(), lab.token))
    assert lab.es10("BF2B04A0028200") == tlv(0xBF2B, tlv(0xA2, octets))
    assert lab.es10("BF2B05A003800101") == tlv(0xBF2B, tlv(0xA2, octets))


def test_the_same_package_is_never_executed_twice(lab: Lab) -> None:
    octets = lab.package(RAT)
    assert EuiccPackageResult.decode(lab.es10(octets)).euicc_package_result_signed is not None
    assert error_of(EuiccPackageResult.decode(lab.es10(octets))) == 4


@pytest.mark.parametrize(
    ("bent", "token"),
    [
        ({"eim_id": "stranger"}, None),
        ({"signer": "dp-auth"}, 1),
        ({"token": 2}, 1),
        ({"token": None}, 1),
    ],
)
def test_an_unknown_or_unproved_sender_gets_the_unsigned_error(
    lab: Lab, bent: dict[str, Any], token: int | None
) -> None:
    if isinstance(bent.get("signer"), str):
        bent = {"signer": signer(bent["signer"])}
    unsigned = lab.run(RAT, **bent).euicc_package_error_unsigned
    assert unsigned is not None
    assert unsigned.eim_id == bent.get("eim_id", EIM)
    assert unsigned.eim_transaction_id == b"\x0a\x0b"
    assert unsigned.association_token == token


def test_a_der_signature_is_refused_unless_the_card_is_told_otherwise() -> None:
    def with_der(lab: Lab) -> EuiccPackageResult:
        package = lab.package(RAT)
        at = package.rindex(b"\x5f\x37\x40")
        inner = package[read_tlv(package).content : at] + tlv(0x5F37, der_of_raw(package[at + 3 :]))
        return EuiccPackageResult.decode(lab.es10(tlv(0xBF51, inner)))

    assert with_der(Lab()).euicc_package_error_unsigned is not None
    assert with_der(Lab(accepts_der_signatures=True)).euicc_package_result_signed is not None


def test_a_package_without_token_ends_its_signature_input_with_zero() -> None:
    lab = Lab(eim=False)
    lab.associate(token=False)
    assert lab.results(RAT) == lab.results(RAT)
    assert lab.run(RAT, token=0).euicc_package_result_signed is not None


def test_an_unreadable_package_is_answered_as_far_as_it_is_legible(lab: Lab) -> None:
    package = lab.package(RAT)
    body = package[read_tlv(package).content :]
    broken = tlv(0xBF51, body[:-3])
    answer = EuiccPackageResult.decode(lab.es10(broken)).euicc_package_error_unsigned
    assert answer is not None
    assert (answer.eim_id, answer.eim_transaction_id) == (EIM, b"\x0a\x0b")
    followed = EuiccPackageResult.decode(lab.es10(package + b"\x00")).euicc_package_error_unsigned
    assert followed == answer
    assert lab.status_of("BF5103300101") == 0x6A80


@pytest.mark.parametrize(("eim_id", "status"), [(EIM, 0x9000), ("stranger", 0x6A84)])
def test_a_package_beyond_the_buffer_is_sized_by_its_head(eim_id: str, status: int) -> None:
    lab = Lab(store_data_limit=600)
    commands = tuple(Psmo(enable=EnablePsmo(iccid=iccid(n))) for n in range(60))
    data, word = lab.chain(lab.package(*commands, eim_id=eim_id))
    assert word == status
    if status == 0x9000:
        assert error_of(EuiccPackageResult.decode(data)) == 15


def test_an_active_emergency_executes_nothing(lab: Lab) -> None:
    lab.download(1, metadata={"emergency": True})
    assert lab.es10("BF5B03800100").hex() == "bf5b03800100"
    package = lab.package(RAT)
    assert error_of(EuiccPackageResult.decode(lab.es10(package))) == 104
    assert lab.es10("BF5C03800100").hex() == "bf5c03800100"
    assert EuiccPackageResult.decode(lab.es10(package)).euicc_package_result_signed is not None


def test_a_full_store_refuses_rather_than_losing_a_result(lab: Lab) -> None:
    for _ in range(64):
        lab.results(RAT)
    assert error_of(lab.run(RAT)) == 127
    assert lab.es10("BF3003800101").hex() == "bf3003800100"
    lab.results(RAT)


@pytest.mark.parametrize("damaged", ["A60101", "BE00", "A3025A00"])
def test_an_unknown_or_damaged_command_ends_the_package(lab: Lab, damaged: str) -> None:
    signed = tlv(
        0x30,
        tlv(0x80, EIM.encode()),
        tlv(0x5A, lab.card.identity.eid.octets),
        b"\x81\x01\x01",
        tlv(0xA0, b"\xa6\x00" + bytes.fromhex(damaged) + b"\xa6\x00"),
    )
    signature = signer("eim-sign").sign(euicc_package_tbs(signed, lab.token))
    answer = EuiccPackageResult.decode(lab.es10(tlv(0xBF51, signed, tlv(0x5F37, signature))))
    assert answer.euicc_package_result_signed is not None
    entries = answer.euicc_package_result_signed.euicc_package_result_data_signed.euicc_result
    assert [entry.kind for entry in entries] == ["get_rat_result", "processing_terminated"]
    assert entries[1].value == 2
