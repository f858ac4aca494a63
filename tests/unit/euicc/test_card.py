"""The frame: channels, GET RESPONSE, STORE DATA, classes, power."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.euicc.cards import (
    ECASD,
    EID,
    ISD_R,
    SELECT_ISD_R,
    CountingEntropy,
    identity,
    new_card,
    profile,
    select,
    select_usim,
    send,
)

from keim.errors import Malformed
from keim.euicc import es10
from keim.euicc.card import Card
from keim.euicc.context import CardContext
from keim.euicc.identity import DEFAULT_ATR
from keim.euicc.state import CardState
from keim.euicc.status import StatusError

ANSWER = bytes(range(256)) * 3


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The ISD-R answers every request with `ANSWER`; the requests are kept."""
    requests: list[bytes] = []

    def answer(context: CardContext, request: bytes) -> bytes:
        requests.append(request)
        if request == b"\xbf\xff":
            raise StatusError(0x6A88)
        if request == b"\xbf\x00":
            raise Malformed("bad", offset=0)
        return b"" if request == b"\x00" else ANSWER

    monkeypatch.setattr(es10, "answer", answer)
    monkeypatch.setattr(es10, "is_stream", lambda context, block: block[:2] == b"\xbf\x36")
    return requests


def test_reset_gives_the_atr() -> None:
    assert new_card().reset() == DEFAULT_ATR
    assert new_card(atr=b"\x3b\x00").reset() == b"\x3b\x00"


def test_channels_are_assigned_from_the_lowest_free_number() -> None:
    card = new_card()
    assert [send(card, "0070000001") for _ in range(4)] == ["019000", "029000", "039000", "6A86"]
    assert send(card, "00708002") == "9000"
    assert send(card, "0070000001") == "029000"


def test_a_terminal_may_choose_the_channel() -> None:
    card = new_card()
    assert send(card, "0070000200") == "9000"
    assert send(card, "0070000200") == "6A86"
    assert send(card, "0070000400") == "6A86"
    assert send(card, "0070000001") == "019000"


def test_twenty_channels_when_configured() -> None:
    card = new_card("iot-2-auth", channels=20)
    numbers = [send(card, "0070000001") for _ in range(20)]
    assert numbers[:19] == [f"{n:02X}9000" for n in range(1, 20)]
    assert numbers[19] == "6A86"
    assert select(card, "2FE2", cla="4F").endswith("9000")
    assert send(card, "4FB000000A") == "980001010000000020F79000"
    assert send(card, "4F70800000") == "9000"
    assert send(card, "4FB000000A") == "6881"


@pytest.mark.parametrize("apdu", ["00708000", "00708001", "00708005", "00700100", "0070FF00"])
def test_channels_that_cannot_be_closed_or_opened(apdu: str) -> None:
    assert send(new_card(), apdu) == "6A86"


def test_a_closed_channel_answers_6881() -> None:
    card = new_card()
    assert send(card, "01A4040410" + ISD_R) == "6881"
    assert send(card, "81E2910006BF3E035C015A") == "6881"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [("00FF0000", "6D00"), ("80A40004023F00", "6E00"), ("00100000 0101", "6E00"), ("A0A40000023F00", "6E00")],
)
def test_unknown_instructions_and_classes(apdu: str, word: str) -> None:
    assert send(new_card("iot-2-auth"), apdu) == word


@pytest.mark.usefixtures("echo")
def test_a_case_4_answer_waits_for_get_response() -> None:
    card = new_card()
    send(card, SELECT_ISD_R)
    assert card.transmit(bytes.fromhex("80E2910001BF")) == b"\x61\xff"
    first = card.transmit(bytes.fromhex("80C00000FF"))
    assert first == ANSWER[:255] + b"\x61\xff"
    second = card.transmit(bytes.fromhex("00C0000010"))
    assert second == ANSWER[255:271] + b"\x61\xff"
    third = card.transmit(bytes.fromhex("00C0000000"))
    assert third == ANSWER[271:527] + b"\x61\xf1"
    assert card.transmit(bytes.fromhex("00C00000F1")) == ANSWER[527:] + b"\x90\x00"
    assert card.transmit(bytes.fromhex("00C0000001")) == b"\x69\x85"


@pytest.mark.usefixtures("echo")
def test_pending_data_are_lost_at_any_other_command_on_the_channel() -> None:
    card = new_card("iot-2-auth")
    send(card, "0070000001")
    send(card, SELECT_ISD_R)
    card.transmit(bytes.fromhex("80E2910001BF"))
    assert send(card, "01B000000A") == "6986"
    assert card.transmit(bytes.fromhex("00C0000001"))[:1] == ANSWER[:1]
    assert send(card, "0084000002").endswith("9000")
    assert send(card, "00C0000001") == "6985"


@pytest.mark.usefixtures("echo")
def test_a_card_may_be_configured_to_answer_directly() -> None:
    card = new_card(answers_directly=True)
    send(card, SELECT_ISD_R)
    response = card.transmit(bytes.fromhex("80E2910001BF"))
    assert response == ANSWER[:256] + b"\x61\xff"


def test_blocks_are_joined_in_order(echo: list[bytes]) -> None:
    card = new_card()
    send(card, SELECT_ISD_R)
    assert send(card, "80E2110003BF5100") == "9000"
    assert send(card, "80E2110102AABB") == "9000"
    assert send(card, "80E2910201CC").endswith("9000")
    assert echo == [bytes.fromhex("BF5100AABBCC")]


def test_a_first_block_starts_anew_and_a_wrong_number_drops_the_chain(echo: list[bytes]) -> None:
    card = new_card()
    send(card, SELECT_ISD_R)
    send(card, "80E2110001AA")
    send(card, "80E2110001BB")
    assert send(card, "80E2110201CC") == "6A86"
    assert send(card, "80E2910101CC") == "6A86"
    assert send(card, "80E2910001DD").endswith("9000")
    assert echo == [b"\xdd"]


def test_block_numbers_wrap_after_255(echo: list[bytes]) -> None:
    card = new_card()
    send(card, SELECT_ISD_R)
    for number in range(258):
        assert send(card, f"80E211{number & 0xFF:02X}0100") == "9000"
    assert send(card, "80E2910201FF").endswith("9000")
    assert echo == [bytes(258) + b"\xff"]


def test_chains_of_two_channels_do_not_mix(echo: list[bytes]) -> None:
    card = new_card()
    send(card, "0070000001")
    send(card, SELECT_ISD_R)
    send(card, "01A4040410" + ISD_R)
    send(card, "80E2110001AA")
    send(card, "81E2110001BB")
    send(card, "80E2910101AA")
    send(card, "81E2910101BB")
    assert echo == [b"\xaa\xaa", b"\xbb\xbb"]


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("80E2910002BFFF", "6A88"),
        ("80E2910002BF00", "6A80"),
        ("80E2910000", "6700"),
        ("80E29100", "6700"),
        ("80E2000001AA", "6A86"),
        ("80E2910001 00", "9000"),
    ],
)
def test_command_level_failures_of_store_data(apdu: str, word: str) -> None:
    card = new_card()
    send(card, SELECT_ISD_R)
    assert send(card, apdu) == word


def test_store_data_needs_the_isd_r() -> None:
    card = new_card("iot-2-auth")
    assert send(card, "80E2910006BF3E035C015A") == "6985"
    send(card, SELECT_ISD_R)
    select(card, "3F00")
    assert send(card, "80E2910006BF3E035C015A") == "6985"


def test_an_oversized_chain_is_swallowed_and_told_at_its_end(
    monkeypatch: pytest.MonkeyPatch, echo: list[bytes]
) -> None:
    heads: list[bytes] = []

    def oversized(context: CardContext, head: bytes) -> bytes:
        heads.append(head)
        return b"\xbf\x51\x00"

    monkeypatch.setattr(es10, "answer_oversized", oversized)
    card = new_card(store_data_limit=5)
    send(card, SELECT_ISD_R)
    assert send(card, "80E2110003AAAAAA") == "9000"
    assert send(card, "80E2110103BBBBBB") == "9000"
    assert send(card, "80E2110201CC") == "9000"
    assert send(card, "80E2910301DD") == "BF51009000"
    assert heads == [b"\xaa\xaa\xaa"]
    assert echo == []


def test_a_profile_package_is_handed_on_block_by_block(
    monkeypatch: pytest.MonkeyPatch, echo: list[bytes]
) -> None:
    blocks: list[bytes] = []

    def feed(context: CardContext, block: bytes) -> bytes:
        blocks.append(block)
        return b"\xbf\x37\x00" if block == b"\x02" else b""

    monkeypatch.setattr(es10, "feed_stream", feed)
    card = new_card(store_data_limit=4)
    send(card, SELECT_ISD_R)
    send(card, "80E2110003BF3601")
    for number in range(1, 300):
        octet = "02" if number == 290 else "01"
        assert send(card, f"80E211{number & 0xFF:02X}01{octet}") == "9000"
    assert send(card, f"80E291{300 & 0xFF:02X}0101") == "BF37009000"
    assert len(blocks) == 291
    assert echo == []


def test_the_ecasd_tells_the_eid() -> None:
    card = new_card()
    assert send(card, "00A4040410" + ECASD) == f"6F188410{ECASD}A5049F6501FF9000"
    assert send(card, "80CA005A00") == f"5A10{EID}9000"
    assert send(card, "80CA005A12") == f"5A10{EID}9000"
    assert send(card, "80CA005A10") == "6C12"
    assert send(card, "80CA005B00") == "6A88"


def test_get_data_needs_the_ecasd() -> None:
    assert send(new_card("iot-2-auth"), "80CA005A00") == "6985"


def test_challenges_have_the_asked_length_and_differ() -> None:
    card = new_card()
    first, second = send(card, "0084000010"), send(card, "0084000010")
    assert len(first) == len(second) == 36
    assert first != second
    assert len(send(card, "0084000000")) == 2 * 258
    assert send(card, "0084010010") == "6A86"


def test_a_reset_closes_channels_and_forgets_selections() -> None:
    card = new_card("iot-2-auth")
    send(card, "0070000001")
    select_usim(card)
    card.reset()
    assert send(card, "01B000000A") == "6881"
    assert send(card, "00880081 22" + ("10" + "00" * 16) * 2) == "6985"


def test_without_an_enabled_profile_there_is_no_file() -> None:
    card = new_card()
    assert select(card, "3F00") == "6A82"
    assert select_usim(card) == "6A82"
    assert send(card, "80F2000000") == "6A82"
    assert send(card, "80F2000C") == "9000"
    assert send(card, "0020000100") == "6A82"


def test_a_fault_of_ours_is_6f00_and_kept_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(context: CardContext, request: bytes) -> bytes:
        raise RuntimeError("bug")

    monkeypatch.setattr(es10, "answer", broken)
    card = new_card()
    send(card, SELECT_ISD_R)
    assert card.transmit(bytes.fromhex("80E2910001AA")) == b"\x6f\x00"
    assert isinstance(card.last_error, RuntimeError)


def test_an_apdu_powers_a_card_that_nobody_reset() -> None:
    card = new_card()
    card.power_off()
    assert send(card, "0070000001") == "019000"


def test_a_profile_whose_files_cannot_be_made_does_not_stay_enabled() -> None:
    broken = msgspec.structs.replace(profile("iot-2-auth"), package=b"\xa0\x03\x80\x01")
    card = Card(identity(), CountingEntropy(), state=CardState(profiles=(broken,)))
    card.reset()
    assert card.transmit(bytes.fromhex("00A40004023F00")) == b"\x6a\x82"
    assert card.state.enabled_profile is None
    card.reset()
    assert card.state.enabled_profile is None


@pytest.mark.parametrize(
    ("apdus", "word"),
    [
        (["80E2910005BF3E035C01", "80E291000100"], "6A80"),
        (["80E2910006BF3E035C015A"], "6A88"),
        (["80E2110002BF3E", "80E2910104035C015A"], "6A88"),
        (["80E2110002BF3E", "80E2910204035C015A"], "6A86"),
        (["80E2110004BF3E035C"] + [f"80E291{n:02X}01{n:02X}" for n in (1, 2)], "6A86"),
        (["80E29100"], "6700"),
    ],
)
def test_the_ecasd_takes_chains_and_knows_no_object(apdus: list[str], word: str) -> None:
    card = new_card("iot-2-auth")
    send(card, "00A4040410" + ECASD)
    assert [send(card, apdu) for apdu in apdus][-1] == word


def test_a_chain_beyond_the_buffer_is_refused_on_every_kind_of_card() -> None:
    consumer, iot = (new_card(is_consumer=is_consumer, store_data_limit=4) for is_consumer in (True, False))
    for card, aid in ((consumer, ISD_R), (iot, ISD_R), (iot, ECASD)):
        send(card, "00A4040410" + aid)
        assert send(card, "80E2110004BF3E035C") == "9000"
        assert send(card, "80E2910101AA") == "6A84"
