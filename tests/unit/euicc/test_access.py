"""Access rules as they are now: conditions joined by AND and OR, a changed EF.ARR, rights over the air."""

from __future__ import annotations

import pytest
from tests.shared import needs_shared
from tests.unit.euicc.cards import new_card, select, select_usim, send

from keim.euicc.apdu import parse
from keim.euicc.card import Card
from keim.euicc.commands.binary import read_binary, update_binary
from keim.euicc.commands.ota.remote_context import RemoteContext, access_of
from keim.euicc.commands.select import select as select_command
from keim.euicc.context import CardContext
from keim.euicc.status import StatusError
from keim.saip import Ef, RemoteFileManagement

TS48 = "TS48v5_SAIP2.3_BERTLV_SUCI.der"
ADM1, ADM2 = "0020000A08" + "35" * 8, "0020000B08" + "36" * 8
BY_ADM1, BY_ADM2 = "A40683010A950108", "A40683010B950108"
ALWAYS, NEVER = "9000", "9700"
FILE = 0x6F7E

pytestmark = needs_shared


def card_with_rule(rule: str) -> Card:
    """The record of EF.ARR that EF.LOCI names is replaced, then the card is reset."""
    card = new_card(TS48)
    base = card.file_system()
    assert base is not None
    found = base.node((base.adfs[0].fid, FILE))
    assert isinstance(found, Ef)
    arr, number = found.rule[:2].hex(), found.rule[2]
    assert send(card, ADM1) == "9000"
    select_usim(card)
    select(card, arr)
    length = len(send(card, f"00B2{number:02X}0400")) // 2 - 2
    record = (rule + "FF" * length)[: 2 * length]
    assert send(card, f"00DC{number:02X}04{length:02X}{record}") == "9000"
    card.reset()
    select_usim(card)
    assert select(card, f"{FILE:04X}").endswith("9000")
    return card


def may_read(card: Card) -> bool:
    word = send(card, "00B0000001")[-4:]
    assert word in {"9000", "6982"}
    return word == "9000"


@pytest.mark.parametrize(
    ("rule", "nothing", "one", "both"),
    [
        (f"800101{ALWAYS}", True, True, True),
        (f"800101{NEVER}", False, False, False),
        (f"800101{BY_ADM1}", False, True, True),
        (f"800101{BY_ADM2}", False, False, True),
        (f"800101A010{BY_ADM1}{BY_ADM2}", False, True, True),
        (f"800101AF10{BY_ADM1}{BY_ADM2}", False, False, True),
        (f"800101AF0A{BY_ADM1}{NEVER}", False, False, False),
        (f"800101A00A{BY_ADM1}{ALWAYS}", True, True, True),
        (f"800102{ALWAYS}", False, False, False),
        (f"800103{ALWAYS}", True, True, True),
        (f"800102{ALWAYS}800101{BY_ADM1}", False, True, True),
        (f"800101{NEVER}800101{BY_ADM1}", False, True, True),
        ("800101A406830107950108", False, False, False),
        ("8001", False, False, False),
        ("", False, False, False),
    ],
)
def test_the_rule_as_it_is_now_decides(rule: str, nothing: bool, one: bool, both: bool) -> None:
    card = card_with_rule(rule)
    seen = [may_read(card)]
    send(card, ADM1)
    seen.append(may_read(card))
    send(card, ADM2)
    seen.append(may_read(card))
    assert seen == [nothing, one, both]


def application(access: str, adf_access: str, *, has_adf: bool = True) -> RemoteFileManagement:
    card = new_card(TS48)
    base = card.file_system()
    assert base is not None
    return RemoteFileManagement(
        aid=b"\xa0" * 8,
        domain=base.security_domains[0].aid,
        tars=(b"\xb0\x00\x01",),
        minimum_security=0,
        access=bytes.fromhex(access),
        admin_access=b"",
        adf=base.adfs[0].aid if has_adf else None,
        adf_access=bytes.fromhex(adf_access),
    )


def run(context: CardContext, fid: str, update: bool) -> int:
    """The status word of reading or updating the first octet of a file."""
    try:
        select_command(context, parse(bytes.fromhex("00A4000C02" + fid)))
        if update:
            return update_binary(context, parse(bytes.fromhex("00D600000100"))).status
        return read_binary(context, parse(bytes.fromhex("00B0000001"))).status
    except StatusError as refusal:
        return refusal.status


@pytest.mark.parametrize(
    ("access", "adf_access", "fid", "update", "word"),
    [
        ("00", "00", "6F07", True, 0x9000),
        ("FF", "00", "6F07", True, 0x9000),
        ("00", "FF", "6F07", True, 0x6982),
        ("00", "020A", "6F07", True, 0x9000),
        ("00", "020B", "6F07", True, 0x6982),
        ("00", "02", "6F07", True, 0x6982),
        ("00", "", "6F07", True, 0x6982),
        ("00", "FF", "2FE2", False, 0x9000),
        ("FF", "FF", "2FE2", False, 0x9000),
        ("00", "FF", "2F05", True, 0x9000),
        ("FF", "00", "2F05", True, 0x6982),
    ],
)
def test_over_the_air_the_access_domain_decides(
    access: str, adf_access: str, fid: str, update: bool, word: int
) -> None:
    """EF.IMSI is updated by ADM1, EF.PL by PIN1 or ADM1, EF.ICCID read by anyone."""
    card = new_card(TS48)
    context = RemoteContext(CardContext(card, 0), application(access, adf_access))
    assert run(context, fid, update) == word


def test_an_application_without_an_adf_reaches_the_uiccs_files_only() -> None:
    card = new_card(TS48)
    context = RemoteContext(CardContext(card, 0), application("00", "00", has_adf=False))
    assert run(context, "2FE2", False) == 0x9000
    assert run(context, "6F07", False) == 0x6A82


def test_full_access_is_not_what_is_never_allowed() -> None:
    card = card_with_rule(f"800103{NEVER}")
    context = RemoteContext(CardContext(card, 0), application("00", "00"))
    assert run(context, "6F7E", False) == 0x6982
    both = card_with_rule(f"800103AF0A{BY_ADM1}{NEVER}")
    assert run(RemoteContext(CardContext(both, 0), application("00", "020A")), "6F7E", False) == 0x6982
    either = card_with_rule(f"800103A010{BY_ADM1}{BY_ADM2}")
    assert run(RemoteContext(CardContext(either, 0), application("00", "020B")), "6F7E", False) == 0x9000


def test_the_forms_of_an_access_domain_parameter() -> None:
    assert access_of(b"\x00").is_full
    assert access_of(b"\x02\x0a\x0b").references == {0x0A, 0x0B}
    for parameter in (b"", b"\xff", b"\x01"):
        assert access_of(parameter) == (False, frozenset())
