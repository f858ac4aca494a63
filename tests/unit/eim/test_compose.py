"""Works out of commands: the rules of a package, tag lists, activation codes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import EIM, configuration, iccid

from keim.der import TOLERANT
from keim.eim import compose
from keim.eim.activation_code import ActivationCode
from keim.eim.key_form import nest_key_data
from keim.eim.work import DataWork, DownloadWork
from keim.errors import Refused
from keim.messages.ipa_data import NotificationSearch
from keim.messages.package import (
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EnablePsmo,
    EuiccPackage,
    EuiccPackageRequest,
    EuiccPackageSigned,
    GetRatPsmo,
    ListEimEco,
    Psmo,
)
from keim.messages.profile import ProfileInfoListRequest

ENABLE = Psmo(enable=EnablePsmo(iccid=iccid(1)))
DISABLE = Psmo(disable=DisablePsmo(iccid=iccid(2)))
DELETE = Psmo(delete=DeletePsmo(iccid=iccid(2)))
LIST = Psmo(list_profile_info=ProfileInfoListRequest())
RAT = Psmo(get_rat=GetRatPsmo())
EIMS = Eco(list_eim=ListEimEco())


@pytest.mark.parametrize(
    "commands",
    [[ENABLE], [DISABLE, ENABLE], [DISABLE, DELETE], [LIST, ENABLE, RAT], [EIMS, EIMS], [DELETE, DELETE]],
)
def test_packages_that_keep_the_rules_are_made(commands: list[Any]) -> None:
    work = compose.package_of(commands)
    assert list(compose.commands_of(work.commands)) == commands
    assert compose.count_of(work.commands) == len(commands)


@pytest.mark.parametrize("eim_id", ["e", "ü" * 64, "e" * 128], ids=["short", "128 octets", "longest"])
@pytest.mark.parametrize("counter", [0, 0x7FFFFF], ids=["first", "last"])
def test_the_commands_of_a_package_are_found_by_its_elements(eim_id: str, counter: int) -> None:
    """Not by octets that stand in the EID as well."""
    work = compose.package_of([LIST, ENABLE])
    request = EuiccPackageRequest(
        euicc_package_signed=EuiccPackageSigned(
            eim_id=eim_id,
            eid_value=bytes.fromhex("89044045") + bytes(12),
            counter_value=counter,
            eim_transaction_id=bytes(16),
            euicc_package=EuiccPackage.decode(work.commands),
        ),
        eim_signature=bytes(64),
    )
    assert compose.commands_in(request.encode()) == work.commands


@pytest.mark.parametrize(
    "commands",
    [
        [],
        [ENABLE, EIMS],
        [ENABLE, ENABLE],
        [DISABLE, DISABLE],
        [ENABLE, DISABLE],
        [ENABLE, LIST],
        [DELETE, RAT, LIST],
        [Eco(add_eim=configuration(counter_value=None))],
        [Eco(add_eim=configuration(eim_public_key_data=None))],
        [Eco(add_eim=configuration(token=5))],
        [Eco(update_eim=configuration(token=-1))],
        [Eco(delete_eim=DeleteEimEco(eim_id=EIM))],
    ],
)
def test_packages_that_break_a_rule_are_refused(commands: list[Any]) -> None:
    with pytest.raises(Refused) as caught:
        compose.package_of(commands, own_eim_id=EIM)
    assert caught.value.code == "eim.bad_order"


@pytest.mark.parametrize("tags", ["bf20", "bf20bf22818384a5a6a8a9a0a2", "81"])
def test_tags_of_data_are_asked_for(tags: str) -> None:
    assert compose.data_request_of(bytes.fromhex(tags)) == DataWork(tag_list=bytes.fromhex(tags))


@pytest.mark.parametrize("tags", ["", "5a", "bf2d", "bf", "81bf", "ff"])
def test_other_tags_are_refused_unless_a_test_wants_them(tags: str) -> None:
    with pytest.raises(Refused):
        compose.data_request_of(bytes.fromhex(tags))
    search = NotificationSearch(seq_number=3)
    work = compose.data_request_of(bytes.fromhex(tags), notifications=search, is_checked=False)
    assert work.notification_search == bytes.fromhex("800103")


def test_an_activation_code_keeps_its_words() -> None:
    code = ActivationCode.parse("LPA:1$smdp.example.com:8443$AB-12$2.999.10$1$more")
    assert code == ActivationCode("smdp.example.com:8443", "AB-12", code.smdp_oid, True)
    assert code.smdp_oid == "2.999.10"
    work = compose.download_by_code("LPA:1$smdp.example.com$AB", confirmation_code="secret")
    assert work.activation_code == "1$smdp.example.com$AB"
    assert work.code_hash is not None
    assert b"secret" not in work.code_hash
    assert compose.download_by_default() == DownloadWork()


@pytest.mark.parametrize("text", ["", "2$a$b", "1$a", "1$$b", "1$a$lower", "1$a$B$x.y", "1$a$" + "B" * 300])
def test_what_is_no_activation_code_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        compose.download_by_code(text)


def test_key_data_can_be_nested_for_cards_that_want_it() -> None:
    plain = compose.package_of([Eco(add_eim=configuration()), EIMS]).commands
    nested = nest_key_data(plain)
    assert nested != plain
    assert EuiccPackage.decode(nested, TOLERANT) == EuiccPackage.decode(plain)
    assert len(nested) == len(plain) + 2
