"""SELECT and STATUS on the files of the enabled profile."""

from __future__ import annotations

import pytest
from tests.shared import needs_shared
from tests.unit.euicc.cards import ECASD, ISD_R, SELECT_ISD_R, USIM, new_card, select, select_usim, send

MF = "62208202782183023F00A5038001718A01058B032F060EC60990014083010183010A"
ICCID = "62168202412183022FE28A01058B032F060B8002000A8800"
FULL_AID = "A0000000871002FF49FF0589"
ADF = f"622E8202782183027FFF840C{FULL_AID}A5038001718A01058B032F060EC60990014083010183010A"
IMSI = "62178202412183026F078A01058B036F060280020009880138"


@pytest.mark.parametrize(
    ("apdu", "response"),
    [
        ("00A40004023F00", MF),
        ("00A40000023F00", MF),
        ("00A40004", MF),
        ("00A40004022FE2", ICCID),
        ("00A40804022FE2", ICCID),
        ("00A40804043F002FE2", ICCID),
        ("00A40904022FE2", ICCID),
        ("00A40204022FE2", ICCID),
        ("00A4000C023F00", ""),
        ("00A404000C" + FULL_AID, ADF),
        ("00A4040407" + USIM, ADF),
        ("00A4040405A000000087", ADF),
        ("00A4040C07" + USIM, ""),
        ("00A4030400", MF),
    ],
)
def test_what_select_returns_from_the_mf(apdu: str, response: str) -> None:
    assert send(new_card("iot-2-auth"), apdu) == response + "9000"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("00A40004026F07", "6A82"),
        ("00A40004027FFF", "6A82"),
        ("00A40004027FD0", "6A82"),
        ("00A40004027F20", "6A82"),
        ("00A4000401 3F", "6700"),
        ("00A40004033F0000", "6700"),
        ("00A40804033F002F", "6A82"),
        ("00A40804042FE22FE2", "6A82"),
        ("00A40104022FE2", "6A82"),
        ("00A4040404A0000000", "6A82"),
        ("00A40404", "6A82"),
        ("00A4040409A00000015141434C00", "6A82"),
        ("00A4040410A0000005591010FFFFFFFF8900001000", "6A82"),
        ("00A404FF07" + USIM, "6A86"),
        ("00A40204033F0000", "6A82"),
        ("00A40001023F00", "6A86"),
        ("00A40504023F00", "6A86"),
    ],
)
def test_what_cannot_be_selected(apdu: str, word: str) -> None:
    assert send(new_card("iot-2-auth"), apdu) == word


def test_the_isd_r_is_found_by_its_first_octets_and_without_a_profile() -> None:
    for aid in (ISD_R, ISD_R[:30]):
        response = send(new_card(), f"00A40404{len(aid) // 2:02X}{aid}")
        assert response.endswith("9000")


def test_a_file_identifier_is_searched_in_the_standards_order() -> None:
    card = new_card("usim-6-classic")
    select_usim(card)
    assert select(card, "6F07").startswith("6217820241218302" + "6F07")
    assert select(card, "6FAD").startswith("6217820241218302" + "6FAD")
    assert select(card, "2FE2").endswith("9000")
    assert select(card, "6F07") == "6A82"
    assert select(card, "7FFF").startswith("6231820278218302" + "7FFF")
    assert select(card, "6F07").endswith("9000")
    assert send(card, "00A40804047FFF6F07").endswith("9000")
    assert send(card, "00A4030400").startswith("62208202782183023F00")
    assert select(card, "3F00").startswith("62208202782183023F00")


def test_an_adf_is_addressed_by_7fff_and_not_by_its_temporary_identifier() -> None:
    card = new_card("iot-2-auth")
    assert select(card, "7FFF") == "6A82"
    select_usim(card)
    select(card, "3F00")
    assert select(card, "7FFF") == ADF + "9000"
    assert select(card, "6F07") == IMSI + "9000"


def test_channels_have_their_own_current_file() -> None:
    card = new_card("iot-2-auth")
    send(card, "0070000001")
    select(card, "2FE2")
    select_usim(card, "01")
    select(card, "6F07", "01")
    assert send(card, "00B0000000") == "980001010000000020F79000"
    assert send(card, "01B0000000") == "0809101000000000209000"


def test_the_first_last_next_and_previous_occurrence_of_a_partial_aid() -> None:
    card = new_card("usim-6-classic")
    isd_r, ecasd = f"8410{ISD_R}", f"8410{ECASD}"

    def selected(occurrence: str) -> str:
        word = send(card, f"00A4040{occurrence}07{ISD_R[:14]}")
        return send(card, "80F2000100")[:-4] if word.endswith("9000") else word

    assert selected("0") == isd_r
    assert selected("2") == ecasd
    assert selected("2") == "6A82"
    assert selected("3") == isd_r
    assert selected("3") == "6A82"
    assert selected("1") == ecasd
    assert selected("0") == isd_r


def test_an_application_session_can_be_terminated() -> None:
    card = new_card("iot-2-auth")
    select_usim(card)
    assert send(card, "00A4044407" + USIM) == "9000"
    assert send(card, "80F2000100") == "9000"
    assert select(card, "7FFF") == "6A82"
    assert send(card, "00A4044407" + USIM) == "6A82"


def test_a_security_domain_answers_with_its_aid() -> None:
    card = new_card("usim-6-classic")
    assert send(card, "00A4040008A000000151000000") == "6F0A8408A0000001510000009000"


def test_status_tells_directory_and_application() -> None:
    card = new_card("iot-2-auth")
    assert send(card, "80F2000000") == MF + "9000"
    assert send(card, "80F2000010") == f"6C{len(MF) // 2:02X}"
    select_usim(card)
    select(card, "6F07")
    assert send(card, "80F2000000") == ADF + "9000"
    assert send(card, "80F2000100") == "840C" + FULL_AID + "9000"
    assert send(card, "80F201000D") == f"6C{len(ADF) // 2:02X}"
    assert send(card, "80F2000C00") == "9000"
    assert send(card, "80F2030000") == "6A86"
    assert send(card, "80F2000500") == "6A86"


def test_selecting_a_file_leaves_the_isd_r() -> None:
    card = new_card("iot-2-auth")
    send(card, SELECT_ISD_R)
    assert send(card, "80F2000100").startswith("8410" + ISD_R)
    select(card, "3F00")
    assert send(card, "80F2000100") == "9000"


@needs_shared
def test_every_file_of_a_public_test_profile_can_be_selected_by_its_path() -> None:
    card = new_card("TS48v5_SAIP2.3_BERTLV_SUCI.der")
    base = card.file_system()
    assert base is not None
    tried = 0
    for key, node in base.walk():
        root = base.roots[[r.fid for r in base.roots].index(key[0])]
        if root.aid is not None:
            assert send(card, f"00A4040C{len(root.aid):02X}{root.aid.hex()}") == "9000"
        path = ("7FFF" if root.aid is not None else "3F00") + "".join(f"{fid:04X}" for fid in key[1:])
        response = send(card, f"00A40804{len(path) // 2:02X}{path}")
        shown = "7FFF" if len(key) == 1 and root.aid is not None else f"{node.fid:04X}"
        assert response.endswith("9000"), base.path(key)
        assert f"8302{shown}" in response
        tried += 1
    assert tried > 150


def test_what_a_card_tool_probes_is_answered() -> None:
    """The order in which pySim looks at an unknown card (euicc.md section 15.5)."""
    card = new_card("iot-3-mnosd")
    assert select(card, "3F00").endswith("9000")
    for fid in ("7F20", "7FE0", "7F25"):
        assert select(card, fid) == "6A82"
    assert select(card, "2F00").endswith("9000")
    directory = send(card, "00B2010400")
    assert directory.startswith("61184F0C" + FULL_AID)
    for aid in (
        "A000000003000000",
        "A00000015141434C00",
        "A000000087100A",
        "A000000087100B",
        "A0000000871004",
    ):
        assert send(card, f"00A40404{len(aid) // 2:02X}{aid}") == "6A82"
    assert send(card, "00A404040C" + FULL_AID).startswith("62")
    assert send(card, "00A4040410" + ECASD).endswith("9000")
    assert send(card, "80CA005A00").startswith("5A10")
    assert send(card, "00A4040410" + ISD_R.lower()).startswith("6F")
    assert send(card, "80E2910006BF3E035C015A").startswith("BF3E125A10")
    assert select(card, "3F00").endswith("9000")
    assert select(card, "2FE2").endswith("9000")
    assert send(card, "00B0000000") == "980001010000000030F59000"
    assert select_usim(card).endswith("9000")
    assert select(card, "6F07").endswith("9000")
    assert send(card, "00B0000000") == "0809101000000000309000"
