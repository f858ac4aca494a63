"""Activation codes in stock: what becomes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.eim.codes import changes
from keim.eim.codes.fate import Fate, ended, fate_of
from keim.eim.codes.rows import Code, CodeState, checked_code, checked_name
from keim.eim.rows import Kind, Operation, OrderState, State
from keim.errors import Refused

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EID = "89044045116727494800000004479366"


def code(**members: object) -> Code:
    return Code(**{"tenant": "main", "product": "iot", "text": "1$a.example$M", "added_at": NOW, **members})


def operation(state: State, *outcome: str) -> Operation:
    return Operation(
        eid=EID,
        order=1,
        state=state,
        kind=Kind.DOWNLOAD,
        transaction_id=b"",
        delivered_at=NOW,
        outcome=outcome,
    )


@pytest.mark.parametrize(
    ("order", "operation", "fate"),
    [
        (None, None, Fate.BACK),
        (OrderState.ACTIVE, None, Fate.OPEN),
        (OrderState.CANCELLED, None, Fate.BACK),
        (OrderState.EXPIRED, None, Fate.BACK),
        (OrderState.TAKEN, operation(State.DELIVERED), Fate.OPEN),
        (OrderState.TAKEN, operation(State.UNKNOWN), Fate.OPEN),
        (OrderState.TAKEN, operation(State.EXPIRED), Fate.OPEN),
        (OrderState.TAKEN, operation(State.SUCCEEDED, "install: ok 89"), Fate.USED),
        (OrderState.TAKEN, operation(State.FAILED, "download failed: ecall active"), Fate.BACK),
        (
            OrderState.TAKEN,
            operation(State.FAILED, "install: install failed due to insufficient memory for profile at load"),
            Fate.KEPT,
        ),
        (OrderState.TAKEN, operation(State.FAILED, "install: ppr not allowed at configure"), Fate.BURNT),
    ],
)
def test_the_end_of_a_download_decides(
    order: OrderState | None, operation: Operation | None, fate: Fate
) -> None:
    assert fate_of(order, operation) is fate


def test_a_code_that_came_back_is_free_for_anybody_until_it_has_failed_too_often() -> None:
    one = code(state=CodeState.IN_USE, eid=EID, reference="r")
    for _ in range(2):
        one = ended(one, Fate.BACK, NOW, "download failed: undefined error")
        assert (one.state, one.eid, one.reference) == (CodeState.FREE, None, "")
        one = changes.taken(one, NOW, eid=EID, reference="r")
    assert ended(one, Fate.BACK, NOW, "download failed: undefined error").state is CodeState.BURNT


def test_a_code_that_was_refused_by_its_server_is_burnt() -> None:
    one = code(state=CodeState.IN_USE, was_refused=True)
    assert ended(one, Fate.BACK, NOW, "download failed").state is CodeState.BURNT


def test_a_code_that_waits_for_its_device_is_taken_by_that_device_alone() -> None:
    one = ended(code(state=CodeState.IN_USE, eid=EID), Fate.KEPT, NOW, "install: interruption")
    assert one.state is CodeState.RESERVED
    with pytest.raises(Refused):
        changes.taken(one, NOW + timedelta(days=900), eid="1" * 32, reference="r")
    assert changes.taken(one, NOW, eid=EID, reference="r").state is CodeState.IN_USE


def test_a_reservation_ends() -> None:
    one = changes.reserved(code(), NOW, eid=None, note="pilot", until=NOW + timedelta(hours=1))
    with pytest.raises(Refused) as refused:
        changes.taken(one, NOW, eid=EID, reference="r")
    assert refused.value.code == "catalogue.code_in_use"
    assert changes.taken(one, NOW + timedelta(hours=1), eid=EID, reference="r").eid == EID


@given(st.lists(st.sampled_from(["reserve", "take", "use", "back", *Fate]), max_size=12))
def test_no_code_is_ever_given_out_twice(steps: list[object]) -> None:
    one = code()
    takers = 0
    for step in steps:
        try:
            match step:
                case "reserve":
                    one = changes.reserved(one, NOW, eid=None, note="", until=None)
                case "take":
                    one = changes.taken(one, NOW, eid=EID, reference="r")
                    takers += 1
                case "use":
                    one = changes.used(one, NOW, eid=None, note="")
                case "back":
                    one = changes.given_back(one, NOW)
                    takers = 0
                case Fate() if one.state is CodeState.IN_USE:
                    one = ended(one, step, NOW)
                    takers -= step in (Fate.BACK, Fate.KEPT)
        except Refused:
            continue
        assert takers in (0, 1)
        assert takers == (one.reference != "" and one.state is not CodeState.RESERVED)


@pytest.mark.parametrize("text", ["", "1$", "1$a.example$", "LPA:2$a.example$M", "1$a.example$m", "1$a$M$$1"])
def test_what_is_no_code_is_not_taken_into_stock(text: str) -> None:
    with pytest.raises(Refused):
        checked_code(text, has_confirmation_code=False)


def test_a_code_is_kept_without_its_prefix() -> None:
    assert checked_code(" LPA:1$a.example$M$$1\n", has_confirmation_code=True) == "1$a.example$M$$1"


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 64, "ä"])
def test_names_of_products_are_plain(name: str) -> None:
    with pytest.raises(Refused):
        checked_name(name)
