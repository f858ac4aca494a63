"""Reading and writing the enabled profile's files: transparent, linear, cyclic; rules; what a card keeps."""

from __future__ import annotations

import pytest
from tests.shared import needs_shared
from tests.unit.euicc.cards import new_card, select, select_usim, send

from keim.euicc.card import Card

TS48 = "TS48v5_SAIP2.3_BERTLV_SUCI.der"


def opened(*path: str, name: str = "usim-6-classic") -> Card:
    """A card on a file: `USIM` selects the ADF."""
    card = new_card(name)
    for step in path:
        response = select_usim(card) if step == "USIM" else select(card, step)
        assert response.endswith("9000"), step
    return card


def test_a_modem_reads_iccid_and_imsi() -> None:
    card = new_card("iot-2-auth")
    select(card, "2FE2")
    assert send(card, "00B000000A") == "980001010000000020F79000"
    select_usim(card)
    select(card, "6F07")
    assert send(card, "00B0000009") == "0809101000000000209000"


@pytest.mark.parametrize(
    ("apdu", "response"),
    [
        ("00B0000000", "980001010000000060F89000"),
        ("00B0000004", "980001019000"),
        ("00B0000302", "01009000"),
        ("00B0000300", "010000000060F89000"),
        ("00B000090A", "6C01"),
        ("00B00000FF", "6C0A"),
        ("00B0000A01", "6B00"),
        ("00B07FFF01", "6B00"),
        ("00B00000", "6700"),
        ("00B00000010000", "6700"),
        ("00B2010400", "6981"),
        ("00DC010401FF", "6981"),
        ("00A2010401FF", "6981"),
        ("8032000003000001", "6981"),
        ("00D6000001FF", "6982"),
        ("00D60000", "6700"),
    ],
)
def test_read_binary_and_its_refusals(apdu: str, response: str) -> None:
    assert send(opened("2FE2"), apdu) == response


@pytest.mark.parametrize("apdu", ["00B0000000", "00B2010400", "00D6000001FF", "00A2010401FF", "00040000"])
def test_without_a_current_file_6986(apdu: str) -> None:
    assert send(opened("3F00"), apdu) == "6986"


def test_a_short_file_identifier_reads_and_makes_current() -> None:
    card = opened("USIM")
    assert send(card, "00B0870000") == "0809101000000000609000"
    assert send(card, "00B0000003") == "0809109000"
    assert send(card, "00B0870602") == "00009000"
    assert send(card, "00B0990000") == "6A82"
    assert send(card, "00B09F0000") == "6A82"
    assert send(card, "00B0E70000") == "6A86"
    assert send(card, "00B0810000") == "6981"
    assert send(card, "00B201E400") == "6A82"
    assert send(card, "00B2010404") == "11F2FF019000"


def test_update_binary_changes_the_range_and_nothing_else() -> None:
    card = opened("USIM", "6F7E")
    assert send(card, "00D6000203ABCDEF") == "9000"
    assert send(card, "00B0000000") == "FFFFABCDEFFFFF0000FF019000"
    assert send(card, "00D60009020102") == "9000"
    assert send(card, "00D6000A020102") == "6700"
    assert send(card, "00D6000B0101") == "6B00"
    assert send(card, "00B0000000") == "FFFFABCDEFFFFF000001029000"


def test_changes_survive_a_reset_and_reach_every_channel() -> None:
    card = opened("USIM", "6F7E")
    send(card, "00D600000101")
    card.reset()
    send(card, "0070000001")
    select_usim(card, "01")
    select(card, "6F7E", "01")
    assert send(card, "01B0000001") == "019000"


def test_the_rule_of_the_file_decides() -> None:
    """EF.IMSI of usim-6-classic: PIN1 reads (disabled, so anyone), ADM1 updates."""
    card = opened("USIM", "6F07")
    assert send(card, "00B0000001") == "089000"
    assert send(card, "00D6000001 07") == "6982"
    select(card, "3F00")
    assert send(card, "0028000108 30303030FFFFFFFF") == "9000"
    card.reset()
    select_usim(card)
    select(card, "6F07")
    assert send(card, "00B0000001") == "6982"
    assert send(card, "0020000108 30303030FFFFFFFF") == "9000"
    assert send(card, "00B0000001") == "089000"


def test_records_are_read_by_number_and_by_pointer() -> None:
    card = opened("2F06")
    one, two, three = (send(card, f"00B20{n}0400") for n in (1, 2, 3))
    assert one.endswith("9000")
    assert one != two
    assert send(card, "00B2010416") == one
    assert send(card, "00B2010415") == "6C16"
    assert send(card, "00B2040400") == "6A83"
    assert send(card, "00B2000400") == "6A83"
    assert [send(card, "00B2000200") for _ in range(4)] == [one, two, three, "6A83"]
    assert send(card, "00B2000400") == three
    assert [send(card, "00B2000300") for _ in range(3)] == [two, one, "6A83"]
    assert send(card, "00B2010200") == "6A86"
    assert send(card, "00B2010100") == "6A86"
    select(card, "2F06")
    assert send(card, "00B2000300") == three


@pytest.mark.parametrize("pattern", ["83010A", "800101", "FF"])
def test_search_record_lists_the_numbers_that_match(pattern: str) -> None:
    card = opened("2F06")
    records = [bytes.fromhex(send(card, f"00B20{n}0400"))[:-2] for n in (1, 2, 3)]
    expected = bytes(n for n, record in enumerate(records, 1) if bytes.fromhex(pattern) in record)
    assert expected
    response = send(card, f"00A20104{len(pattern) // 2:02X}{pattern}")
    assert response == expected.hex().upper() + "9000"


@pytest.mark.parametrize(
    ("apdu", "word"),
    [
        ("00A2010404DEADBEEF", "6282"),
        ("00A20104", "6700"),
        ("00A2010417" + "FF" * 23, "6700"),
        ("00A2040401FF", "6A83"),
        ("00A2010201FF", "6A86"),
        ("00A20106020400", "6700"),
        ("00A20106030100FF", "6A86"),
    ],
)
def test_search_record_and_its_refusals(apdu: str, word: str) -> None:
    assert send(opened("2F06"), apdu) == word


@needs_shared
def test_search_forward_backward_and_enhanced() -> None:
    card = searchable()
    assert send(card, "00A2010402AA01") == "01039000"
    assert send(card, "00A2030502AA01") == "03019000"
    assert send(card, "00A2020402AA01") == "039000"
    assert send(card, "00A2000502AA01") == "03019000"
    assert send(card, "00A20106040400AA01") == "01039000"
    assert send(card, "00A20106040401AA01") == "6282"
    assert send(card, "00A20106040600AA01") == "039000"
    assert send(card, "00A20306040700AA01") == "019000"
    assert send(card, "00A20106040C01AA01") == "6282"
    assert send(card, "00A20106030CAA01") == "01039000"


def searchable() -> Card:
    """EF.ADN of a public profile with two records that begin AA01."""
    card = opened("3F00", "7F10", "6F3A", name=TS48)
    length = len(send(card, "00B2010400")) // 2 - 2
    send(card, "0020000A08 3535353535353535")
    send(card, "002000010830303030FFFFFFFF")
    for number, head in ((1, "AA01"), (2, "AA02"), (3, "AA01")):
        record = head + "FF" * (length - 2)
        assert send(card, f"00DC{number:02X}04{length:02X}{record}") == "9000"
    return card


@needs_shared
def test_update_record_by_pointer_and_its_refusals() -> None:
    card = searchable()
    length = len(send(card, "00B2010400")) // 2 - 2
    select(card, "6F3A")
    assert send(card, f"00DC0002{length:02X}" + "11" * length) == "9000"
    assert send(card, f"00DC0002{length:02X}" + "22" * length) == "9000"
    assert send(card, f"00DC0003{length:02X}" + "33" * length) == "9000"
    assert send(card, "00B2010400") == "33" * length + "9000"
    assert send(card, "00B2020400") == "22" * length + "9000"
    assert send(card, f"00DC0104{length - 1:02X}" + "11" * (length - 1)) == "6700"
    assert send(card, f"00DCFF04{length:02X}" + "11" * length) == "6A83"


@needs_shared
def test_a_cyclic_file_turns() -> None:
    """EF.ACM (6F39) of the USIM: cyclic, records of three octets, INCREASE by rule."""
    card = opened("USIM", "6F39", name=TS48)
    assert "8205462100" in select(card, "6F39")
    send(card, "002000010830303030FFFFFFFF")
    send(card, "0020008108" + "30303030FFFFFFFF")
    first = send(card, "00B2010400")
    assert first == "0000009000"
    assert send(card, "8032000003000005") == "0000050000059000"
    assert send(card, "803200000101") == "000006019000"
    assert [send(card, f"00B20{n}0403") for n in (1, 2, 3)] == ["0000069000", "0000059000", "0000009000"]
    assert send(card, "8032000003FFFFFF") == "9850"
    assert send(card, "00DC0104 03 000000") == "6981"
    assert send(card, "00DC0003 03 000009") == "9000"
    assert send(card, "00B2010400") == "0000099000"
    select(card, "6F39")
    walked = [send(card, "00B2000203") for _ in range(4)]
    assert walked[0] == "0000099000"
    records = len(walked)
    assert records == 4


def test_deactivation_needs_its_own_right() -> None:
    assert send(opened("USIM", "6F7B", name="iot-5-pin-tuak"), "00040000") == "6982"


@needs_shared
def test_deactivate_and_activate() -> None:
    card = opened("USIM", "6F07", name=TS48)
    assert send(card, "0020000A08 3535353535353535") == "9000"
    assert send(card, "00040000") == "9000"
    assert select(card, "6F07").endswith("6283")
    assert "8A0104" in select(card, "6F07")
    assert send(card, "00B0000000") == "6984"
    card.reset()
    select_usim(card)
    assert select(card, "6F07").endswith("6283")
    assert send(card, "00440000") == "6982"
    send(card, "0020000A08 3535353535353535")
    assert send(card, "00440000026F07") == "9000"
    assert "8A0105" in select(card, "6F07")
    assert send(card, "00440000026FFD") == "6A82"


@needs_shared
def test_a_link_shows_the_content_of_what_it_leads_to() -> None:
    card = new_card(TS48)
    base = card.file_system()
    assert base is not None
    links = [key for key, node in base.walk() if getattr(node, "link", None) is not None]
    assert links
    for key in links:
        root = next(r for r in base.roots if r.fid == key[0])
        if root.aid is not None:
            send(card, f"00A4040C{len(root.aid):02X}{root.aid.hex()}")
        path = ("7FFF" if root.aid is not None else "3F00") + "".join(f"{fid:04X}" for fid in key[1:])
        assert send(card, f"00A40804{len(path) // 2:02X}{path}").endswith("9000"), base.path(key)
