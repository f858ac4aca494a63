"""The sequences of the public IPAd suite against our card (procedures.md section 23.1).

What the eIM and the SM-DP+ say in between is made here; what the card answers decides.
"""

from __future__ import annotations

import pytest
from tests.card_lab import Lab, iccid

from keim.crypto.bpp_segments import load_segments
from keim.der import read_tlv, tlv, walk
from keim.messages.es10b import ProfileRollbackResponse
from keim.messages.notification import ProfileInstallationResult
from keim.messages.package import ConfigureImmediateEnablePsmo, EnablePsmo, EuiccPackageResult, Psmo

A, B = iccid(1), iccid(2)


class Ipad(Lab):
    """Talks on logical channel 1, as the suite does."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # the options are the card's
        self.on_channel_1 = False

    def start(self) -> None:
        self.card.reset()
        assert self.card.transmit(bytes.fromhex("80AA000005A903830107")) == b"\x90\x00"
        assert self.card.transmit(bytes.fromhex("0070000100")) == b"\x90\x00"
        selected = self.card.transmit(bytes.fromhex("01A4040410A0000005591010FFFFFFFF890000010000"))
        assert selected[-2] == 0x61
        self.on_channel_1 = True
        assert self.es10("BF3E035C015A")[:5] == bytes.fromhex("BF3E125A10")
        assert self.es10("BF5500")[:2] == bytes.fromhex("BF55")
        assert self.es10("BF2B00") == bytes.fromhex("BF2B02A000")

    def start_again(self) -> None:
        """The IPA resets the card after a profile change, and opens its channel anew."""
        self.card.reset()
        self.card.transmit(bytes.fromhex("0070000100"))
        self.card.transmit(bytes.fromhex("01A4040410A0000005591010FFFFFFFF890000010000"))

    def stop(self) -> None:
        assert self.card.transmit(bytes.fromhex("0070800100")) == b"\x90\x00"
        self.on_channel_1 = False

    def send(self, apdu: bytes) -> tuple[bytes, int]:
        if not getattr(self, "on_channel_1", False):
            return super().send(apdu)
        response = self.card.transmit(bytes((apdu[0] | 1,)) + apdu[1:])
        data, word = response[:-2], response[-2:]
        while word[0] == 0x61:
            response = self.card.transmit(bytes((0x01, 0xC0, 0, 0, word[1])))
            data, word = data + response[:-2], response[-2:]
        return data, int.from_bytes(word, "big")


def removed(ipad: Ipad, numbers: list[int]) -> list[int]:
    return [ipad.es10(tlv(0xBF30, tlv(0x80, bytes((number,)))))[5] for number in numbers]


def numbers_of(answer: bytes) -> list[int]:
    """seqNumbers in a list of notifications."""
    inner = read_tlv(answer, read_tlv(answer).content)
    found = []
    for item in walk(answer, inner.content, inner.end):
        metadata = next(walk(answer, item.content, item.end))
        if metadata.tag == 0xBF27:
            metadata = next(e for e in walk(answer, metadata.content, metadata.end) if e.tag == 0xBF2F)
        number = next(walk(answer, metadata.content, metadata.end))
        found.append(int.from_bytes(answer[number.content : number.end], "big"))
    return found


@pytest.fixture
def ipad() -> Ipad:
    """A card in the field: one enabled profile, nothing pending."""
    ipad = Ipad()
    for number in (1, 2):
        ipad.download(number, metadata={"notification_addresses": ("one.example", "two.example")})
    ipad.run(Psmo(enable=EnablePsmo(iccid=A)))
    removed(ipad, list(range(1, ipad.card.state.isdr.next_sequence_number)))
    ipad.start()
    return ipad


def test_indirect_download_with_immediate_enable(ipad: Ipad) -> None:
    on = ConfigureImmediateEnablePsmo(immediate_enable_flag=True)
    configured = ipad.run(Psmo(configure_immediate_enable=on)).euicc_package_result_signed
    assert configured is not None
    removed(ipad, [configured.euicc_package_result_data_signed.seq_number])
    ipad.es10("BF5500")
    ipad.es10("BF2000")
    otpk = ipad.prepare()
    answers = [ipad.es10(piece) for piece in load_segments(ipad.bound(otpk, 3))]
    assert answers[:-1] == [b""] * (len(answers) - 1)
    result = ProfileInstallationResult.decode(answers[-1]).profile_installation_result_data
    assert result.final_result.success_result is not None
    assert ipad.es10("BF5A03800100") == bytes.fromhex("BF5A03800100")
    assert ipad.enabled() == iccid(3)
    assert removed(ipad, [result.notification_metadata.seq_number]) == [0]
    ipad.stop()


def test_package_execution_and_acknowledgement(ipad: Ipad) -> None:
    signed = ipad.run(Psmo(enable=EnablePsmo(iccid=B))).euicc_package_result_signed
    assert signed is not None
    ipad.start_again()
    notifications = numbers_of(ipad.es10("BF2B00"))
    assert len(notifications) == 4
    number = signed.euicc_package_result_data_signed.seq_number
    assert removed(ipad, [number, *notifications]) == [0] * 5
    assert ipad.es10("BF2B04A0028200") == bytes.fromhex("BF2B02A200")
    ipad.stop()


def test_rollback_when_the_result_is_not_answered(ipad: Ipad) -> None:
    first = ipad.run(Psmo(enable=EnablePsmo(iccid=B, rollback_flag=True))).euicc_package_result_signed
    assert first is not None
    ipad.start_again()
    assert ipad.enabled() == B
    answer = ProfileRollbackResponse.decode(ipad.es10("BF58038001FF"))
    assert answer.cmd_result == 0
    assert isinstance(answer.euicc_package_result, EuiccPackageResult)
    again = answer.euicc_package_result.euicc_package_result_signed
    assert again is not None
    data = again.euicc_package_result_data_signed
    assert [entry.kind for entry in data.euicc_result] == ["enable_result", "rollback_result"]
    assert ipad.enabled() == A
    notifications = numbers_of(ipad.es10("BF2B00"))
    assert len(notifications) == 4
    assert removed(ipad, [data.seq_number, *notifications]) == [0] * 5
    old = first.euicc_package_result_data_signed.seq_number
    assert removed(ipad, [old]) == [1]
    ipad.stop()


def test_data_request(ipad: Ipad) -> None:
    for request in ("BF3C00", "BF2000", "BF2200", "BF5500", "BF5600", "BF2B00"):
        answer = ipad.es10(request)
        assert answer[:2] == bytes.fromhex(request)[:2]
    ipad.stop()


def test_the_authenticated_session_can_be_cancelled(ipad: Ipad) -> None:
    ipad.prepare()
    answer = ipad.es10(tlv(0xBF41, tlv(0x80, ipad.transaction_id), tlv(0x81, b"\x04")))
    assert answer[read_tlv(answer).content] == 0xA0
    ipad.stop()
