"""Operations at the API: for one and for many, planned, approved, cancelled, waited for, with our card."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.api.test_devices import FIRST, SECOND, cycle, register
from tests.card_lab import EID, NOW, SMDP
from tests.roles.eim_lab import EimLab, EimOnly, entry
from tests.roles.test_eim_results import Hand

from keim.api.models import rfc3339
from keim.app.operators import ApiConfig, ApprovalsConfig
from keim.eim.rows import State
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine

LIST: dict[str, Any] = {"commands": [{"command": "list_profiles"}]}


@pytest.fixture
def lab(store_at: str) -> Iterator[Desk]:
    async def open_it() -> Engine:
        return await open_engine(store_at)

    made = Desk(EimLab(open_store=open_it))
    yield made
    made.close()


def place(desk: Desk, body: dict[str, Any], path: str = "/operations", **words: Any) -> dict[str, Any]:
    answer = desk.ask("POST", path, body, **words)
    assert answer.status_code == 202, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def show(desk: Desk, operation: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = desk.get(f"/operations/{operation['id']}")
    return shown


# one device


def test_an_operation_is_carried_out_and_proved(lab: Desk) -> None:
    operation = place(lab, {"eid": str(EID), "commands": [{"command": "enable", "iccid": SECOND}]})
    assert (operation["state"], operation["what"], operation["devices"]) == (
        "queued",
        [f"enable {SECOND}"],
        1,
    )
    cycle(lab)
    ended = show(lab, operation)
    assert (ended["state"], ended["counts"]) == ("succeeded", {"succeeded": 1})
    outcome = ended["outcome"]
    assert (outcome["outcome"], outcome["is_proved"], outcome["attempt"]) == (["enable: ok"], True, 1)
    assert outcome["ended_at"] == rfc3339(NOW)


def test_a_failure_is_told_command_by_command(lab: Desk) -> None:
    commands = [{"command": "list_profiles"}, {"command": "disable", "iccid": SECOND}]
    operation = place(lab, {"eid": str(EID), "commands": commands})
    cycle(lab)
    ended = show(lab, operation)
    assert ended["state"] == "failed"
    assert ended["outcome"]["outcome"] == ["list_profile_info: ok", "disable: profile_not_in_enabled_state"]


@pytest.mark.parametrize("source", ["code", "default"])
def test_a_download_installs_the_profile(lab: Desk, source: str) -> None:
    site = lab.site
    assert isinstance(site, EimLab)
    if source == "code":
        number, matching_id = site.smdp.order()
        asked = {"activation_code": f"LPA:1${SMDP}${matching_id}"}
    else:
        number, _ = site.smdp.order(eid=EID, matching_id="")
        place(lab, {"eid": str(EID), "commands": [{"command": "set_default_smdp_address", "address": SMDP}]})
        asked = {"default_smdp": True}  # type: ignore[dict-item]  # JSON of either kind
    operation = place(lab, {"eid": str(EID)} | asked, "/downloads")
    assert matching_id not in str(operation) if source == "code" else True
    cycle(lab)
    assert show(lab, operation)["state"] == "succeeded"
    assert number in {one["iccid"] for one in lab.get(f"/devices/{EID}")["proved"]["profiles"]}


def test_another_eim_is_added_with_a_token(lab: Desk) -> None:
    configuration = entry("other.example.com", counter_value=7, association_token=-1).encode().hex()
    commands = [{"command": "add_eim", "configuration": configuration}]
    operation = place(lab, {"eid": str(EID), "commands": commands}, "/ecos")
    place(lab, {"eid": str(EID), "commands": [{"command": "list_eims"}]}, "/ecos")
    cycle(lab)
    assert show(lab, operation)["state"] == "succeeded"
    eims = {one["eim_id"]: one for one in lab.get(f"/devices/{EID}")["eims"]}
    assert eims["other.example.com"]["counter"] == 7
    assert eims["other.example.com"]["token"] is not None


def test_deleting_the_own_association_must_be_said(desk: Desk) -> None:
    (eid,) = register(desk, 1)
    own = desk.services.eim.eim.eim_id
    refused = desk.ask("POST", "/ecos", {"eid": eid, "commands": [{"command": "delete_eim", "eim_id": own}]})
    assert refusal(refused, 422) == "eim.bad_order"
    said = {"eid": eid, "commands": [{"command": "delete_eim", "eim_id": own, "is_own": True}]}
    assert place(desk, said, "/ecos")["state"] == "queued"


def test_a_planned_operation_waits_and_is_cancelled_for_sure(any_desk: Desk) -> None:
    desk = any_desk
    (eid,) = register(desk, 1)
    at = rfc3339(NOW + timedelta(hours=1))
    operation = place(desk, {"eid": eid, "not_before": at, "reason": "at night"} | LIST)
    assert (operation["state"], operation["not_before"], operation["reason"]) == ("planned", at, "at night")
    (standing,) = desk.get(f"/devices/{eid}")["operations"]
    assert standing["state"] == "planned"
    answer = desk.ask("POST", f"/operations/{operation['id']}/cancel", {"reason": "a mistake"})
    assert (answer.json()["cancelled"], answer.json()["operation"]["state"]) == ("sure", "cancelled")


def test_cancelling_says_honestly_what_it_did(any_desk: Desk) -> None:
    desk = any_desk
    (eid,) = register(desk, 1)
    desk.ask("PATCH", f"/devices/{eid}", {"switches": {"asks": False, "verifies": False}})
    operation = place(desk, {"eid": eid} | LIST)
    hand = Hand(desk.site, eid=eid)
    package = hand.take()
    cancel = f"/operations/{operation['id']}/cancel"
    asked = desk.ask("POST", cancel, {}).json()
    assert (asked["cancelled"], asked["operation"]["state"]) == ("asked", "delivered")
    desk.site.answer(hand.result(package))
    late = desk.ask("POST", cancel, {}).json()
    assert (late["cancelled"], late["operation"]["state"]) == ("too_late", "succeeded")


def test_one_operation_takes_the_place_of_another(any_desk: Desk) -> None:
    (eid,) = register(any_desk, 1)
    old = place(any_desk, {"eid": eid} | LIST)
    new = place(any_desk, {"eid": eid, "supersedes": old["id"]} | LIST)
    assert (show(any_desk, old)["state"], show(any_desk, new)["supersedes"]) == ("superseded", old["id"])
    answer = any_desk.ask("POST", "/operations", {"eid": eid, "supersedes": "nothing"} | LIST)
    assert refusal(answer, 404) == "eim.order_unknown"


def test_the_same_key_orders_once(any_desk: Desk) -> None:
    (eid,) = register(any_desk, 1)
    headers = {"idempotency-key": "one"}
    first = place(any_desk, {"eid": eid} | LIST, headers=headers)
    again = place(any_desk, {"eid": eid} | LIST, headers=headers)
    assert first["id"] == again["id"]
    assert len(any_desk.get("/operations")["items"]) == 1
    other = any_desk.ask("POST", "/operations", {"eid": eid, "reason": "x"} | LIST, headers=headers)
    assert refusal(other, 422) == "api.key_reused"


def test_a_request_that_was_cut_off_between_order_and_answer_orders_once(any_desk: Desk) -> None:
    """The answer was not kept, the order was: the next request under the key finds it."""
    register(any_desk, 3)
    headers = {"idempotency-key": "one"}
    asked = {"filter": {}} | LIST
    first = place(any_desk, asked, headers=headers)
    any_desk.site.run(any_desk.services.api.forget_answer("main", "one"))
    assert place(any_desk, asked, headers=headers)["id"] == first["id"]


def test_a_request_waits_for_the_end(lab: Desk) -> None:
    operation = place(lab, {"eid": str(EID)} | LIST)
    site = lab.site
    assert isinstance(site, EimLab)
    hand = Hand(site, token=site.token)
    package = hand.take()

    async def result_while_waiting() -> Any:
        path = f"/v1/operations/{operation['id']}?wait=20"
        headers = {"authorization": f"Bearer {lab.token('admin')}"}
        waiting = asyncio.ensure_future(lab.client.get(path, headers=headers))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        await site.service.answer(hand.result(package))
        return await waiting

    assert site.run(result_while_waiting()).json()["state"] == "succeeded"


# many


def test_an_operation_for_many_is_counted_and_told_device_by_device(any_desk: Desk) -> None:
    desk = any_desk
    eids = register(desk, 7, lambda n: ["pilot"] if n < 5 else [])
    operation = place(desk, {"filter": {"tags": ["pilot"]}} | LIST)
    assert (operation["devices"], operation["counts"], operation["eid"]) == (5, {"queued": 5}, None)
    for eid in eids[:3]:
        desk.ask("PATCH", f"/devices/{eid}", {"switches": {"asks": False, "verifies": False}})
    hands = [Hand(desk.site, eid=eid) for eid in eids[:3]]
    packages = [hand.take() for hand in hands]
    desk.site.answer(hands[0].result(packages[0]))
    shown = show(desk, operation)
    assert (shown["counts"], shown["state"]) == ({"succeeded": 1, "delivered": 2, "queued": 2}, "queued")
    path, states, cursor = f"/operations/{operation['id']}/devices?limit=2", {}, ""
    while True:
        page = desk.get(path + cursor)
        states |= {one["eid"]: one["state"] for one in page["items"]}
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert states == dict(
        zip(eids[:5], ["succeeded", "delivered", "delivered", "queued", "queued"], strict=True)
    )
    only = desk.get(f"/operations/{operation['id']}/devices?state=delivered")["items"]
    assert [one["eid"] for one in only] == eids[1:3]
    answer = desk.ask("POST", f"/operations/{operation['id']}/cancel", {})
    assert answer.json()["cancelled"] == "asked"
    assert show(desk, operation)["counts"] == {"succeeded": 1, "delivered": 2, "cancelled": 2}
    (standing,) = desk.get(f"/devices/{eids[1]}")["operations"]
    assert (standing["id"], standing["is_of_many"]) == (operation["id"], True)
    assert desk.get(f"/devices/{eids[6]}")["operations"] == []


def test_whom_an_operation_is_for_is_frozen_when_it_is_placed(any_desk: Desk) -> None:
    desk = any_desk
    eids = register(desk, 3, lambda _: ["pilot"])
    desk.ask("POST", "/filters", {"name": "pilot", "filter": {"tags": ["pilot"]}})
    operation = place(desk, {"saved_filter": "pilot"} | LIST)
    desk.ask("PATCH", f"/devices/{eids[0]}", {"tags": []})
    found = desk.get(f"/operations/{operation['id']}/devices")["items"]
    assert [one["eid"] for one in found] == eids


@pytest.mark.parametrize(
    "narrowed", [{"has_alarm": False}, {"eid_prefix": "89"}, {"not_seen_since": rfc3339(NOW)}]
)
def test_every_filter_chooses_for_an_operation(any_desk: Desk, narrowed: dict[str, Any]) -> None:
    eids = register(any_desk, 5, lambda n: ["pilot"] if n < 4 else [])
    any_desk.ask("PATCH", f"/devices/{eids[0]}", {"state": "archived"})
    operation = place(any_desk, {"filter": {"tags": ["pilot"]} | narrowed} | LIST)
    assert operation["devices"] == 3, "archived ones take no orders"


def test_a_list_of_eids_must_be_known_and_active(any_desk: Desk) -> None:
    eids = register(any_desk, 3)
    assert place(any_desk, {"eids": [*eids, eids[0]]} | LIST)["devices"] == 3
    any_desk.ask("PATCH", f"/devices/{eids[0]}", {"state": "archived"})
    for wrong in (eids, [eids[1], str(EID)]):
        answer = any_desk.ask("POST", "/operations", {"eids": wrong} | LIST)
        assert refusal(answer, 404) == "eim.device_unknown"
    other = any_desk.ask("POST", "/operations", {"eids": [eids[1]]} | LIST, tenant="other")
    assert refusal(other, 404) == "eim.device_unknown"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (LIST, "api.invalid_request"),
        ({"eid": str(EID), "filter": {}} | LIST, "api.invalid_request"),
        ({"filter": {"tags": ["nothing"]}} | LIST, "eim.no_devices"),
        ({"filter": {}, "commands": []}, "api.invalid_request"),
        ({"filter": {}, "commands": [{"command": "explode"}]}, "api.invalid_request"),
        ({"filter": {}, "commands": [{"command": "enable", "iccid": "x"}]}, "api.invalid_request"),
        ({"filter": {}, "retry": {"times": 2, "after": ["whenever"]}} | LIST, "eim.bad_order"),
        ({"filter": {}, "expires_at": "2020-01-01T00:00:00Z"} | LIST, "eim.bad_order"),
        (
            {
                "filter": {},
                "commands": [
                    {"command": "enable", "iccid": FIRST},
                    {"command": "enable", "iccid": SECOND},
                ],
            },
            "eim.bad_order",
        ),
    ],
)
def test_nonsense_is_refused_and_nothing_is_ordered(any_desk: Desk, body: dict[str, Any], code: str) -> None:
    register(any_desk, 1)
    assert refusal(any_desk.ask("POST", "/operations", body), 422) == code
    assert any_desk.get("/operations")["items"] == []


def test_operations_are_listed_the_newest_first(any_desk: Desk) -> None:
    (eid,) = register(any_desk, 1)
    made = [place(any_desk, {"eid": eid} | LIST)["id"] for _ in range(5)]
    found, cursor = [], ""
    while True:
        page = any_desk.get(f"/operations?limit=2{cursor}")
        found += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == made[::-1]


# four eyes


@pytest.fixture
def careful() -> Iterator[Desk]:
    made = Desk(EimOnly(), api=ApiConfig(approvals=ApprovalsConfig(kinds=("delete",), devices=3)))
    yield made
    made.close()


@pytest.mark.parametrize(("decision", "end"), [("approve", State.QUEUED), ("refuse", State.CANCELLED)])
@pytest.mark.parametrize("is_many", [False, True])
def test_what_needs_four_eyes_waits_for_another_person(
    careful: Desk, decision: str, end: State, is_many: bool
) -> None:
    eids = register(careful, 4)
    asked = (
        {"filter": {}} | LIST
        if is_many
        else {"eid": eids[0], "commands": [{"command": "delete", "iccid": FIRST}]}
    )
    operation = place(careful, asked, role="admin")
    assert (operation["state"], operation["needs_approval"]) == ("planned", True)
    (approval,) = careful.get("/approvals")["items"]
    path = f"/approvals/{approval['id']}/{decision}"
    own = careful.ask("POST", path, {}, role="admin")
    assert refusal(own) == "access.own_approval"
    assert careful.ask("POST", path, {}, role="approver").is_success
    shown = show(careful, operation)
    assert (shown["state"], shown["needs_approval"]) == (end.value, False)


def test_small_orders_of_other_kinds_need_no_approval(careful: Desk) -> None:
    eids = register(careful, 3)
    assert place(careful, {"eids": eids} | LIST)["state"] == "queued"
