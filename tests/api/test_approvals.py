"""Four eyes: one asks, another decides, and only then it happens; on both databases, restarts included."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.roles.eim_lab import EimOnly

from keim.api.approvals import Held, acts_on, is_needed, look_after
from keim.api.context import Services
from keim.app.operators import ApiConfig, ApprovalsConfig
from keim.eim.events import ApprovalChanged
from keim.errors import Unreachable
from keim.io.api_store.rows import Approval, Scope, new_token
from keim.io.eim_store.store import Beside


class Deeds:
    """A kind of thing that waits; what became of it."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.is_broken = False
        acts_on("deed", Held(self._release, self._give_up))

    async def _release(self, services: Services, approval: Approval, beside: Beside) -> None:
        if self.is_broken:
            raise Unreachable("the store went away", code="exchange.unreachable")
        await services.store.keep(beside, tenant=approval.tenant)
        self.done.append(("released", approval.subject))

    async def _give_up(self, services: Services, approval: Approval, beside: Beside) -> None:
        await services.store.keep(beside, tenant=approval.tenant)
        self.done.append(("given up", approval.subject))


@pytest.fixture
def deeds() -> Iterator[Deeds]:
    return Deeds()


def held(desk: Desk, *, role: str = "admin", token: str | None = None, subject: str = "d1") -> str:
    """The id of an approval that somebody waits for."""
    text = desk.token(role) if token is None else token
    return desk.wait_for_approval("deed", subject, token=text)


def told(desk: Desk) -> list[tuple[str, str]]:
    return [(event.state, event.actor) for event in desk.site.events(ApprovalChanged)]


def decide(desk: Desk, id_: str, what: str, **words: Any) -> Any:
    return desk.ask("POST", f"/approvals/{id_}/{what}", {"reason": "because"}, **words)


def test_another_person_lets_it_happen(any_desk: Desk, deeds: Deeds) -> None:
    id_ = held(any_desk)
    assert any_desk.get("/approvals?state=waiting")["items"][0]["id"] == id_
    answer = decide(any_desk, id_, "approve", role="approver")
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    assert deeds.done == [("released", "d1")]
    shown = any_desk.get(f"/approvals/{id_}")
    assert (shown["asked_by"], shown["reason"]) == (any_desk.get("/me")["actor"], "because")
    assert shown["decided_by"] == any_desk.get("/me", role="approver")["actor"]
    assert told(any_desk) == [("waiting", shown["asked_by"]), ("approved", shown["decided_by"])]


def test_whoever_asked_cannot_decide(any_desk: Desk, deeds: Deeds) -> None:
    id_ = held(any_desk)
    for what in ("approve", "refuse"):
        assert refusal(decide(any_desk, id_, what), 403) == "access.own_approval"
    assert deeds.done == []


def test_a_token_that_the_asker_made_is_the_asker(any_desk: Desk, deeds: Deeds) -> None:
    id_ = held(any_desk)
    mine = any_desk.ask("POST", "/tokens", {"name": "puppet", "role": "admin"}).json()["token"]
    next_one = any_desk.ask("POST", "/tokens", {"name": "puppet", "role": "approver"}, token=mine).json()
    for token in (mine, next_one["token"]):
        assert refusal(decide(any_desk, id_, "approve", token=token), 403) == "access.own_approval"
    assert decide(any_desk, id_, "approve", role="owner").status_code == 200


def test_a_person_and_their_tokens_are_one_person(any_desk: Desk, deeds: Deeds) -> None:
    """Ann made two tokens: what one asked for the other cannot approve; Bob's can."""
    tokens = {}
    for name, maker in (("asks", "person:ann@id"), ("decides", "person:ann@id"), ("other", "person:bob@id")):
        row, text = new_token(
            any_desk.services.entropy,
            tenant="main",
            name=name,
            scopes=(Scope.READ, Scope.OPERATE, Scope.APPROVE),
            now=any_desk.services.clock.now(),
            created_by=maker,
        )
        any_desk.site.run(any_desk.services.api.add_token(row))
        tokens[name] = text
    id_ = held(any_desk, token=tokens["asks"])
    own = decide(any_desk, id_, "approve", token=tokens["decides"])
    assert refusal(own, 403) == "access.own_approval"
    assert decide(any_desk, id_, "approve", token=tokens["other"]).status_code == 200


def test_whoever_made_a_token_may_approve_what_it_asked_for(any_desk: Desk, deeds: Deeds) -> None:
    """An admin makes the operators' tokens and approves what operators ask for."""
    made = any_desk.ask("POST", "/tokens", {"name": "operator", "role": "operator"}).json()
    id_ = held(any_desk, token=made["token"])
    assert decide(any_desk, id_, "approve").status_code == 200


def test_what_waits_already_waits_once(any_desk: Desk, deeds: Deeds) -> None:
    first = held(any_desk)
    assert held(any_desk) == first
    assert held(any_desk, subject="d2") != first
    decide(any_desk, first, "refuse", role="owner")
    assert held(any_desk) != first


def test_a_refusal_gives_it_up(any_desk: Desk, deeds: Deeds) -> None:
    id_ = held(any_desk)
    assert decide(any_desk, id_, "refuse", role="approver").json()["state"] == "refused"
    assert deeds.done == [("given up", "d1")]
    again = decide(any_desk, id_, "approve", role="approver")
    assert refusal(again, 409) == "access.approval_decided"
    assert deeds.done == [("given up", "d1")]


def test_only_the_asker_withdraws(any_desk: Desk, deeds: Deeds) -> None:
    id_ = held(any_desk, role="operator")
    assert refusal(decide(any_desk, id_, "withdraw", role="admin"), 403) == "access.own_approval"
    assert decide(any_desk, id_, "withdraw", role="operator").json()["state"] == "withdrawn"
    assert deeds.done == [("given up", "d1")]


def test_what_nobody_decides_in_time_is_given_up(any_desk: Desk, deeds: Deeds) -> None:
    id_ = held(any_desk)
    any_desk.site.run(look_after(any_desk.services))
    assert deeds.done == []
    any_desk.site.later(hours=73)
    assert refusal(decide(any_desk, id_, "approve", role="owner"), 409) == "access.approval_decided"
    any_desk.site.run(look_after(any_desk.services))
    assert deeds.done == [("given up", "d1")]
    assert any_desk.get(f"/approvals/{id_}")["state"] == "expired"
    any_desk.site.run(look_after(any_desk.services))
    assert len(deeds.done) == 1


def test_a_decision_that_cannot_be_done_is_none(any_desk: Desk, deeds: Deeds) -> None:
    """Decided and done, or neither: a cut between the two leaves it waiting for the same decision."""
    id_ = held(any_desk)
    deeds.is_broken = True
    assert refusal(decide(any_desk, id_, "approve", role="owner"), 502) == "exchange.unreachable"
    assert any_desk.get(f"/approvals/{id_}")["state"] == "waiting"
    assert [state for state, _ in told(any_desk)] == ["waiting"]
    deeds.is_broken = False
    assert decide(any_desk, id_, "approve", role="owner").status_code == 200
    assert deeds.done == [("released", "d1")]


def test_of_two_decisions_at_once_one_counts(any_desk: Desk, deeds: Deeds) -> None:
    id_ = held(any_desk)
    texts = [any_desk.token("owner"), any_desk.token("approver")]

    async def both() -> list[int]:
        asked = [
            any_desk.client.post(
                f"/v1/approvals/{id_}/{what}", json={}, headers={"authorization": f"Bearer {text}"}
            )
            for what, text in zip(("approve", "refuse"), texts, strict=True)
        ]
        return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert sorted(any_desk.site.run(both())) == [200, 409]
    assert len(deeds.done) == 1


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_deciding_needs_its_scope(desk: Desk, deeds: Deeds, role: str) -> None:
    id_ = held(desk)
    assert refusal(decide(desk, id_, "approve", role=role), 403) == "access.scope_missing"


@pytest.mark.parametrize(
    ("rules", "kinds", "devices", "is_held"),
    [
        (ApprovalsConfig(), ("delete",), 1_000_000, False),
        (ApprovalsConfig(kinds=("delete",)), ("delete",), 1, True),
        (ApprovalsConfig(kinds=("delete",)), ("enable", "delete"), 1, True),
        (ApprovalsConfig(kinds=("delete",)), ("enable",), 1_000, False),
        (ApprovalsConfig(devices=10), ("enable",), 10, False),
        (ApprovalsConfig(devices=10), ("enable",), 11, True),
    ],
)
def test_the_configuration_names_what_waits(
    rules: ApprovalsConfig, kinds: tuple[str, ...], devices: int, is_held: bool
) -> None:
    desk = Desk(EimOnly(), api=ApiConfig(approvals=rules))
    try:
        assert is_needed(desk.services, kinds, devices=devices) is is_held
    finally:
        desk.close()


def test_approvals_are_listed_oldest_first_and_by_state(any_desk: Desk, deeds: Deeds) -> None:
    ids = []
    for number in range(3):
        ids.append(held(any_desk, subject=f"d{number}"))
        any_desk.site.later(seconds=1)
    decide(any_desk, ids[1], "refuse", role="owner")
    page = any_desk.get("/approvals?limit=2")
    assert [item["id"] for item in page["items"]] == ids[:2]
    rest = any_desk.get(f"/approvals?limit=2&cursor={page['next']}")
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (ids[2:], None)
    waiting = any_desk.get("/approvals?state=waiting")["items"]
    assert [item["id"] for item in waiting] == [ids[0], ids[2]]
    other_filter = any_desk.ask("GET", f"/approvals?state=waiting&cursor={page['next']}")
    assert refusal(other_filter, 400) == "api.bad_cursor"
