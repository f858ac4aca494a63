"""PSMOs inside packages: each code, and what the card is afterwards (procedures.md section 6)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import Lab, iccid

from keim.euicc.faults import Faults
from keim.messages.common import SetDefaultDpAddressRequest
from keim.messages.package import (
    ConfigureImmediateEnablePsmo,
    DeletePsmo,
    DisablePsmo,
    EnablePsmo,
    GetRatPsmo,
    Psmo,
    SetFallbackAttributePsmo,
    UnsetFallbackAttributePsmo,
)
from keim.messages.profile import PprIds, ProfileInfoListRequest

A, B, C = iccid(1), iccid(2), iccid(3)
OPEN_RAT = bytes.fromhex("BF4315A013301180020560A10730058003EEEEEE82020780")


def enable(target: bytes, *, rollback: bool = False) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=target, rollback_flag=rollback))


def disable(target: bytes) -> Psmo:
    return Psmo(disable=DisablePsmo(iccid=target))


def delete(target: bytes) -> Psmo:
    return Psmo(delete=DeletePsmo(iccid=target))


def listing() -> Psmo:
    return Psmo(list_profile_info=ProfileInfoListRequest())


def fallback(target: bytes) -> Psmo:
    return Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=target))


UNSET = Psmo(unset_fallback_attribute=UnsetFallbackAttributePsmo())
RAT = Psmo(get_rat=GetRatPsmo())


def lab_with(*profiles: int, enabled: int | None = None, faults: Faults | None = None, **options: Any) -> Lab:
    lab = Lab(faults=faults, **options)
    for number in profiles:
        lab.download(number)
    if enabled is not None:
        assert codes(lab, enable(iccid(enabled))) == [0]
    return lab


def codes(lab: Lab, *commands: Psmo) -> list[int]:
    return [int(value) for _, value in lab.results(*commands)]


@pytest.mark.parametrize(
    ("commands", "expected", "enabled"),
    [
        ([enable(B)], [0], B),
        ([enable(A)], [2], A),
        ([enable(iccid(9))], [1], A),
        ([enable(B), enable(C)], [0, 127], B),
        ([enable(B), disable(A)], [0, 127], B),
        ([disable(A)], [0], None),
        ([disable(B)], [2], A),
        ([disable(iccid(9))], [1], A),
        ([disable(A), disable(A)], [0, 127], None),
        ([disable(A), enable(B)], [0, 0], B),
        ([disable(A), enable(A)], [0, 2], None),
        ([disable(A), enable(B, rollback=True)], [0, 0], B),
        ([delete(A)], [2], A),
        ([delete(iccid(9))], [1], A),
        ([delete(B), delete(B)], [0, 1], A),
        ([disable(A), delete(A)], [0, 0], None),
        ([disable(A), delete(A), delete(A)], [0, 0, 1], None),
        ([enable(B), delete(A)], [0, 0], B),
        ([enable(B), delete(B)], [0, 2], B),
        ([enable(B, rollback=True), delete(A)], [0, 20], B),
        ([enable(iccid(9)), RAT], [1], A),
    ],
)
def test_switching_and_deleting(commands: list[Psmo], expected: list[int], enabled: bytes | None) -> None:
    lab = lab_with(1, 2, 3, enabled=1)
    before = lab.states()
    assert codes(lab, *commands) == expected
    assert lab.enabled() == enabled
    gone = {c.delete.iccid for c, code in zip(commands, expected, strict=False) if c.delete and code == 0}
    assert lab.states().keys() == before.keys() - gone
    assert lab.card.state.isdr.marks is None


def test_enabling_with_rollback_needs_something_to_go_back_to() -> None:
    lab = lab_with(1)
    assert codes(lab, enable(A, rollback=True)) == [20]
    assert lab.enabled() is None
    assert codes(lab, enable(A)) == [0]


def test_the_switch_of_a_package_comes_after_its_response() -> None:
    lab = lab_with(1, 2, enabled=1)
    lab.send(bytes.fromhex("8010000023" + "FF" * 35))
    assert codes(lab, enable(B)) == [0]
    assert lab.enabled() == A
    assert codes(lab, disable(A)) == [5]
    assert codes(lab, enable(B)) == [5]
    assert codes(lab, delete(B)) == [127]
    ((_, listed),) = lab.results(listing())  # the old states are shown, nothing is refused
    assert [info.profile_state for info in listed.profile_info_list_ok] == [1, 0]
    assert lab.es10("BF2D0BA0039501025C045A4F9F70").count(b"\x9f\x70\x01\x01") == 1
    lab.power_on()
    assert lab.enabled() == B


def test_a_busy_terminal_refuses_a_switch() -> None:
    faults = Faults()
    lab = lab_with(1, 2, enabled=1, faults=faults)
    faults.is_busy = True
    assert codes(lab, enable(B)) == [5]
    assert codes(lab, disable(A)) == [5]
    assert codes(lab, delete(B)) == [0]


@pytest.mark.parametrize(
    ("rules", "command", "code"),
    [
        (PprIds.PPR1, disable(A), 3),
        (PprIds.PPR1, enable(B), 3),
        (PprIds.PPR2, disable(A), 0),
        (PprIds.PPR2, enable(B), 0),
    ],
)
def test_policy_rules_bind(rules: PprIds, command: Psmo, code: int) -> None:
    lab = Lab(rat=OPEN_RAT)
    lab.download(1, metadata={"policy_rules": rules, "owner": "26202"})
    lab.download(2)
    assert codes(lab, enable(A)) == [0]
    assert codes(lab, command) == [code]


def test_a_profile_with_ppr2_is_not_deleted() -> None:
    lab = Lab(rat=OPEN_RAT)
    lab.download(1, metadata={"policy_rules": PprIds.PPR2, "owner": "26202"})
    assert codes(lab, delete(A)) == [3]


@pytest.mark.parametrize(
    ("commands", "last"),
    [
        ([listing()], "profile_info_list_ok"),
        ([enable(B), listing()], "profile_info_list_error"),
        ([disable(A), listing()], "profile_info_list_error"),
        ([delete(B), listing()], "profile_info_list_error"),
    ],
)
def test_a_listing_after_a_change_tells_that_the_change_goes_on(commands: list[Psmo], last: str) -> None:
    lab = lab_with(1, 2, enabled=1)
    kind, value = lab.results(*commands, RAT)[len(commands) - 1]
    assert kind == "list_profile_info_result"
    assert value.kind == last
    if last == "profile_info_list_error":
        assert value.value == 11
    else:
        assert {info.iccid for info in value.value} == {A, B}
        assert value.value[0].profile_nickname is None


def test_a_result_that_grows_too_long_ends_the_package() -> None:
    lab = lab_with(1, 2)
    entries = lab.results(*[listing()] * 60)
    assert entries[-1] == ("processing_terminated", 1)
    assert 1 < len(entries) < 60


def test_get_rat_shows_the_table_of_the_card() -> None:
    ((kind, rules),) = Lab(rat=OPEN_RAT).results(RAT)
    assert kind == "get_rat_result"
    assert rules[0].allowed_operators[0].mcc_mnc == b"\xee\xee\xee"


def test_configure_immediate_enable_replaces_what_is_given() -> None:
    lab = Lab()
    on = ConfigureImmediateEnablePsmo(
        immediate_enable_flag=True,
        default_smdp_oid="2.999.10",  # type: ignore[arg-type]  # text is taken
        default_smdp_address="a.example.com",
    )
    assert codes(lab, Psmo(configure_immediate_enable=on)) == [0]
    assert b"a.example.com" in lab.es10("BF3C00")
    assert codes(lab, Psmo(configure_immediate_enable=ConfigureImmediateEnablePsmo())) == [0]
    kept = lab.card.state.isdr.immediate_enable
    assert (kept.is_on, kept.smdp_oid, kept.smdp_address) == (False, "2.999.10", "a.example.com")
    long = ConfigureImmediateEnablePsmo(default_smdp_address="x" * 129)
    assert codes(lab, Psmo(configure_immediate_enable=long)) == [7]


def test_the_default_address_is_set_and_removed_by_package() -> None:
    lab = Lab()
    assert "set_default_dp_address_result" in dict(lab.results(_address("x.example.com")))
    assert b"x.example.com" in lab.es10("BF3C00")
    lab.results(_address(""))
    assert lab.es10("BF3C00")[3] == 0x81
    ((_, value),) = lab.results(_address("y" * 129))
    assert value.set_default_dp_address_result == 127


def _address(text: str) -> Psmo:
    return Psmo(set_default_dp_address=SetDefaultDpAddressRequest(default_dp_address=text))


def fallback_lab(**options: Any) -> Lab:
    lab = Lab(**options)
    for number in (1, 2):
        lab.download(number, metadata={"fallback_allowed": True})
    lab.download(3)
    assert codes(lab, enable(C)) == [0]
    return lab


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([fallback(A)], [0]),
        ([fallback(A), fallback(A)], [0, 0]),
        ([fallback(A), fallback(B)], [0, 0]),
        ([fallback(C)], [2]),
        ([fallback(iccid(9))], [1]),
        ([UNSET], [2]),
        ([fallback(A), UNSET], [0, 0]),
        ([fallback(A), enable(A), fallback(B)], [0, 0, 3]),
        ([fallback(A), enable(A), UNSET], [0, 0, 3]),
        ([fallback(A), delete(A), UNSET], [0, 0, 2]),
    ],
)
def test_the_fallback_attribute_moves_by_the_rules(steps: list[Psmo], expected: list[int]) -> None:
    lab = fallback_lab()
    assert [codes(lab, step)[0] for step in steps] == expected
    assert lab.es10("BF2D045C029F26").count(b"\x9f\x26\x01\xff") <= 1


def test_a_card_without_fallback_allows_no_attribute() -> None:
    assert codes(fallback_lab(has_fallback=False), fallback(A)) == [2]


def test_deleting_gives_the_memory_back() -> None:
    lab = lab_with(1)
    resource = lab.es10("BF2200")
    lab.download(2)
    assert lab.es10("BF2200") != resource
    assert codes(lab, delete(B)) == [0]
    assert lab.es10("BF2200") == resource
