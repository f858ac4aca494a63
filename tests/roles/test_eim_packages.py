"""eUICC packages through our eIM, our IPA and our card: every command, every verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from tests.card_lab import EID, EIM, iccid
from tests.roles.eim_lab import EimLab

from keim.eim.events import PackageDelivered, ResultReceived
from keim.eim.rows import DeviceState, State
from keim.errors import StoreFailed
from keim.ids import Iccid
from keim.io.store.engine import Change
from keim.messages import esipa as m
from keim.messages.common import SetDefaultDpAddressRequest
from keim.messages.package import (
    ConfigureImmediateEnablePsmo,
    DeleteEimEco,
    DeletePsmo,
    DisablePsmo,
    Eco,
    EnablePsmo,
    GetRatPsmo,
    Psmo,
    UnsetFallbackAttributePsmo,
)
from keim.messages.profile import ProfileInfoListRequest

LIST = Psmo(list_profile_info=ProfileInfoListRequest())


def human(number: int) -> str:
    return str(Iccid.from_octets(iccid(number)))


@pytest.fixture
def lab() -> Iterator[EimLab]:
    made = EimLab()
    yield made
    made.close()


def test_a_list_of_profiles_becomes_the_picture_of_the_device(lab: EimLab) -> None:
    order = lab.order(LIST)
    lab.cycle()
    operation = lab.operation(order)
    assert operation.state is State.SUCCEEDED
    assert operation.outcome == ("list_profile_info: ok",)
    assert operation.is_verified
    assert lab.images() == {human(1): True, human(2): False}
    assert lab.device().offer is None
    assert lab.pending() == 0


def test_an_enable_is_delivered_proved_and_acknowledged(lab: EimLab) -> None:
    lab.order(LIST)
    order = lab.order(Psmo(enable=EnablePsmo(iccid=iccid(2), rollback_flag=True)))
    lab.cycle()
    lab.cycle()
    assert lab.enabled() == iccid(2)
    assert lab.operation(order).outcome == ("enable: ok",)
    assert lab.images() == {human(1): False, human(2): True}
    assert lab.pending() == 0
    assert [event.state for event in lab.events(ResultReceived)] == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    ("commands", "outcome", "state"),
    [
        ((Psmo(disable=DisablePsmo(iccid=iccid(1))),), ("disable: ok",), State.SUCCEEDED),
        ((Psmo(delete=DeletePsmo(iccid=iccid(2))),), ("delete: ok",), State.SUCCEEDED),
        (
            (Psmo(disable=DisablePsmo(iccid=iccid(1))), Psmo(delete=DeletePsmo(iccid=iccid(1)))),
            ("disable: ok", "delete: ok"),
            State.SUCCEEDED,
        ),
        ((Psmo(get_rat=GetRatPsmo()),), ("get_rat: ok",), State.SUCCEEDED),
        (
            (Psmo(configure_immediate_enable=ConfigureImmediateEnablePsmo(immediate_enable_flag=True)),),
            ("configure_immediate_enable: ok",),
            State.SUCCEEDED,
        ),
        (
            (Psmo(unset_fallback_attribute=UnsetFallbackAttributePsmo()),),
            ("unset_fallback_attribute: no_fallback_attribute",),
            State.FAILED,
        ),
        (
            (Psmo(set_default_dp_address=SetDefaultDpAddressRequest(default_dp_address="new.example.com")),),
            ("set_default_dp_address: ok",),
            State.SUCCEEDED,
        ),
        ((Psmo(delete=DeletePsmo(iccid=iccid(9))),), ("delete: iccid_or_aid_not_found",), State.FAILED),
        (
            (LIST, Psmo(delete=DeletePsmo(iccid=iccid(9))), Psmo(get_rat=GetRatPsmo())),
            ("list_profile_info: ok", "delete: iccid_or_aid_not_found"),
            State.FAILED,
        ),
    ],
)
def test_every_profile_command_has_its_verdict(
    lab: EimLab, commands: tuple[Psmo, ...], outcome: tuple[str, ...], state: State
) -> None:
    order = lab.order(*commands)
    lab.cycle()
    operation = lab.operation(order)
    assert (operation.outcome, operation.state) == (outcome, state)
    assert lab.pending() == 0


def test_the_same_octets_are_offered_until_a_result(lab: EimLab) -> None:
    order = lab.order(LIST)
    poll = bytes.fromhex("BF4F125A10" + lab.device().eid)
    first = lab.answer(poll, "x")
    again = lab.answer(poll, "y")
    assert first == again
    assert lab.device().counter == 1
    assert len(lab.events(PackageDelivered)) == 1
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    assert lab.device().counter == 1


def test_orders_leave_in_the_order_in_which_they_came(lab: EimLab) -> None:
    orders = [lab.order(LIST) for _ in range(5)]
    lab.cycle()
    counters = [lab.operation(order).counter for order in orders]
    assert counters == [1, 2, 3, 4, 5]


def test_what_could_not_be_kept_counts_against_readiness_until_something_was_kept(
    lab: EimLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An almost full disk takes the small row of the check, and no package."""
    lab.order(LIST)
    poll = bytes.fromhex("BF4F125A10" + lab.device().eid)

    def refuse(changes: Sequence[Change]) -> None:
        for change in changes:
            change.settle(StoreFailed("the disk is full", code="store.commit_failed"))

    with monkeypatch.context() as full:
        full.setattr(lab.store.engine, "submit", refuse)
        with pytest.raises(StoreFailed):
            lab.answer(poll)
    with pytest.raises(StoreFailed):
        lab.run(lab.service.check())
    began = lab.clock.moment
    lab.clock.moment += timedelta(seconds=10)
    lab.run(lab.service.check())
    lab.clock.moment = began
    lab.answer(poll)
    lab.run(lab.service.check())


def test_the_last_eim_that_deletes_itself_has_succeeded_and_archives_the_device(lab: EimLab) -> None:
    order = lab.order(Eco(delete_eim=DeleteEimEco(eim_id=EIM)))
    lab.cycle()
    assert lab.operation(order).state is State.SUCCEEDED
    assert lab.operation(order).outcome == ("delete_eim: last_eim_deleted",)
    assert lab.device().state is DeviceState.ARCHIVED
    poll = m.GetEimPackageRequest(eid_value=EID.octets).encode()
    assert lab.answer(poll) == bytes.fromhex("BF4F03020102"), "like a stranger"
