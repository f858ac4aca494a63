"""Operations that wait for a second person, with our IPA and card before the eIM: nothing happens before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.cuts import cuts
from tests.api.desk import Desk, refusal
from tests.card_lab import EID, iccid
from tests.roles.eim_lab import EimLab

from keim.api.approvals import look_after
from keim.app.operators import ApiConfig, ApprovalsConfig
from keim.eim.events import ApprovalChanged, OrderPlaced
from keim.ids import Iccid
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine

SECOND = str(Iccid.from_octets(iccid(2)))
DELETE = {"eid": EID, "commands": [{"command": "delete", "iccid": SECOND}]}


@pytest.fixture
def any_desk(store_at: str) -> Iterator[Desk]:
    async def open_it() -> Engine:
        return await open_engine(store_at)

    rules = ApprovalsConfig(kinds=("delete", "download"), devices=10)
    made = Desk(EimLab(open_store=open_it), api=ApiConfig(approvals=rules))
    yield made
    made.close()


def asked(desk: Desk, body: dict[str, Any] = DELETE, **words: Any) -> dict[str, Any]:
    answer = desk.ask("POST", "/operations", body, role="operator", **words)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def waiting(desk: Desk) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = desk.get("/approvals?state=waiting")["items"]
    return items


def cycle(desk: Desk) -> None:
    lab = desk.site
    assert isinstance(lab, EimLab)
    lab.cycle()


def has_profile(desk: Desk) -> bool:
    lab = desk.site
    assert isinstance(lab, EimLab)
    return iccid(2) in lab.lab.states()


def test_nothing_happens_before_another_person_has_said_so(any_desk: Desk) -> None:
    operation = asked(any_desk)
    assert operation["state"] == "planned"
    [approval] = waiting(any_desk)
    assert approval["subject"] == operation["id"]
    assert approval["kind"] == "operation"
    assert str(EID) in approval["summary"]
    cycle(any_desk)
    assert has_profile(any_desk)
    own = any_desk.ask("POST", f"/approvals/{approval['id']}/approve", {}, role="operator")
    assert refusal(own, 403) == "access.scope_missing"
    done = any_desk.ask("POST", f"/approvals/{approval['id']}/approve", {"reason": "agreed"}, role="approver")
    assert done.json()["state"] == "approved"
    cycle(any_desk)
    cycle(any_desk)
    assert not has_profile(any_desk)
    assert any_desk.get(f"/operations/{operation['id']}")["state"] == "succeeded"


@pytest.mark.parametrize(("how", "role"), [("refuse", "approver"), ("withdraw", "operator")])
def test_what_is_refused_or_withdrawn_never_reaches_the_device(any_desk: Desk, how: str, role: str) -> None:
    operation = asked(any_desk)
    [approval] = waiting(any_desk)
    answer = any_desk.ask("POST", f"/approvals/{approval['id']}/{how}", {"reason": "no"}, role=role)
    assert answer.status_code == 200
    assert any_desk.get(f"/operations/{operation['id']}")["state"] == "cancelled"
    cycle(any_desk)
    assert has_profile(any_desk)


def test_what_nobody_decides_is_cancelled_in_time(any_desk: Desk) -> None:
    operation = asked(any_desk)
    any_desk.site.later(hours=73)
    any_desk.site.run(look_after(any_desk.services))
    assert any_desk.get(f"/operations/{operation['id']}")["state"] == "cancelled"
    assert waiting(any_desk) == []


def test_an_operation_that_was_cancelled_cannot_come_back_by_its_approval(any_desk: Desk) -> None:
    operation = asked(any_desk)
    [approval] = waiting(any_desk)
    any_desk.ask("POST", f"/operations/{operation['id']}/cancel", {}, role="operator")
    any_desk.ask("POST", f"/approvals/{approval['id']}/approve", {}, role="approver")
    assert any_desk.get(f"/operations/{operation['id']}")["state"] == "cancelled"
    cycle(any_desk)
    assert has_profile(any_desk)


def test_an_operation_and_its_approval_are_kept_together(any_desk: Desk) -> None:
    """One transaction: no cut leaves an operation that nobody could ever release."""
    asked(any_desk, headers={"idempotency-key": "k1"})
    asked(any_desk, headers={"idempotency-key": "k1"})
    assert len(waiting(any_desk)) == 1
    kinds = [type(event) for event in any_desk.site.events()]
    placed = kinds.index(OrderPlaced)
    assert kinds[placed : placed + 2] == [OrderPlaced, ApprovalChanged]


@pytest.mark.parametrize(("how", "after"), [("approve", "queued"), ("refuse", "cancelled")])
def test_no_cut_leaves_a_decision_without_what_it_does(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str, after: str
) -> None:
    operation = asked(any_desk)
    [approval] = waiting(any_desk)
    token, tries = any_desk.token("approver"), 0
    for cut in cuts(any_desk, monkeypatch):
        with cut:
            any_desk.ask("POST", f"/approvals/{approval['id']}/{how}", {}, token=token)
        if not waiting(any_desk):
            break
        tries += 1
        assert any_desk.get(f"/operations/{operation['id']}")["state"] == "planned"
    assert tries
    any_desk.site.run(any_desk.services.eim.keep_time())  # a cut may have come before the clock's own look
    assert any_desk.get(f"/operations/{operation['id']}")["state"] == after


def test_what_is_not_named_needs_nobody(any_desk: Desk) -> None:
    body = {"eid": EID, "commands": [{"command": "enable", "iccid": SECOND}]}
    assert asked(any_desk, body)["state"] == "queued"
    assert waiting(any_desk) == []


def test_downloads_out_of_the_catalogue_wait_too(any_desk: Desk) -> None:
    assert any_desk.ask("POST", "/catalogue", {"name": "iot"}).status_code == 201
    codes = {"codes": [{"activation_code": "1$smdpplus.example.com$ONE"}]}
    any_desk.ask("POST", "/catalogue/iot/codes", codes)
    started = any_desk.ask("POST", "/catalogue/iot/downloads", {"eids": [EID]}, role="operator").json()
    operation = started["items"][0]["operation_id"]
    assert any_desk.get(f"/operations/{operation}")["state"] == "planned"
    [approval] = waiting(any_desk)
    assert approval["subject"] == operation
    any_desk.ask("POST", f"/approvals/{approval['id']}/refuse", {}, role="approver")
    assert any_desk.get(f"/operations/{operation}")["state"] == "cancelled"
