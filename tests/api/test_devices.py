"""Devices at the API: registered, searched, changed; their twins now and then; what they get next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.card_lab import EID, EIM, NOW, iccid, world
from tests.roles.eim_lab import EimLab
from tests.roles.test_eim_results import Hand

from keim.api.models import rfc3339
from keim.eim.rows import DeviceState
from keim.ids import Iccid
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine
from keim.pki.world import example_eids

FIRST, SECOND = (str(Iccid.from_octets(iccid(number))) for number in (1, 2))
EIDS = [str(eid) for eid in example_eids(12)]


@pytest.fixture
def lab(store_at: str) -> Iterator[Desk]:
    """With our card and IPA before it, on each kind of database."""

    async def open_it() -> Engine:
        return await open_engine(store_at)

    made = Desk(EimLab(open_store=open_it))
    yield made
    made.close()


def cycle(lab: Desk) -> None:
    assert isinstance(lab.site, EimLab)
    lab.site.cycle()
    lab.site.run(lab.site.service.write_contacts())


def order(desk: Desk, *commands: dict[str, Any], **terms: Any) -> dict[str, Any]:
    answer = desk.ask("POST", "/operations", {"eid": str(EID), "commands": list(commands)} | terms)
    assert answer.status_code == 202, answer.text
    shown: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/operations/{shown['id']}"
    return shown


def register(desk: Desk, count: int, tags: Callable[[int], list[str]] = lambda _: []) -> list[str]:
    eids = [eid for eid in EIDS if eid != str(EID)][:count]
    for number, eid in enumerate(eids):
        answer = desk.ask("POST", "/devices", {"eid": eid, "tags": tags(number)})
        assert answer.status_code == 201, answer.text
    return eids


def listed(desk: Desk, query: str, **words: Any) -> list[str]:
    """All pages of a list, three at a time."""
    found, cursor = [], ""
    while True:
        page = desk.get(f"/devices?limit=3&{query}{cursor}", **words)
        found += [line["eid"] for line in page["items"]]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


# the twin


def test_the_twin_shows_what_is_asked_believed_and_proved(lab: Desk) -> None:
    order(lab, {"command": "list_profiles"})
    cycle(lab)
    operation = order(lab, {"command": "enable", "iccid": SECOND}, reason="change of carrier")
    twin = lab.get(f"/devices/{EID}")
    assert (twin["asked"]["enabled"], twin["believed"]["enabled"], twin["proved"]["enabled"]) == (
        SECOND,
        FIRST,
        FIRST,
    )
    assert {one["what"]: (one["asked"], one["proved"]) for one in twin["differences"]} == {
        f"profile {FIRST}": ("disabled", "enabled"),
        f"profile {SECOND}": ("enabled", "disabled"),
    }
    (standing,) = twin["operations"]
    assert (standing["id"], standing["state"], standing["what"]) == (
        operation["id"],
        "queued",
        [f"enable {SECOND}"],
    )
    assert twin["freshness"]["last_proof"] == rfc3339(NOW)
    cycle(lab)
    after = lab.get(f"/devices/{EID}")
    assert (after["proved"]["enabled"], after["differences"], after["operations"]) == (SECOND, [], [])
    assert after["association"]["is_token_proved"]
    assert after["believed"]["profiles"][0]["profile_class"] == "operational"


def test_a_rollback_is_armed_while_an_enable_is_out(lab: Desk) -> None:
    order(lab, {"command": "enable", "iccid": SECOND})
    Hand(lab.site).take()
    (standing,) = lab.get(f"/devices/{EID}")["operations"]
    assert (standing["state"], standing["rollback_armed"]) == ("delivered", SECOND)


def test_any_past_instant_is_shown_as_it_was(lab: Desk) -> None:
    order(lab, {"command": "list_profiles"})
    cycle(lab)
    before = lab.get(f"/devices/{EID}")
    lab.site.later(hours=1)
    order(lab, {"command": "enable", "iccid": SECOND})
    cycle(lab)
    lab.ask("PATCH", f"/devices/{EID}", {"tags": ["moved"]})
    lab.site.later(hours=1)
    then = lab.get(f"/devices/{EID}?at={rfc3339(NOW + timedelta(minutes=30))}")
    for member in ("asked", "believed", "proved", "differences", "operations", "tags", "association"):
        assert then[member] == before[member], member
    assert lab.get(f"/devices/{EID}")["tags"] == ["moved"]
    unborn = lab.ask("GET", f"/devices/{EID}?at={rfc3339(NOW - timedelta(days=1))}")
    assert refusal(unborn, 404) == "eim.device_unknown"


def test_what_a_data_request_tells_is_in_the_twin(lab: Desk) -> None:
    answer = lab.ask("POST", "/data-requests", {"eid": str(EID)})
    assert answer.status_code == 202
    cycle(lab)
    twin = lab.get(f"/devices/{EID}")
    assert twin["memory"]["free_non_volatile"] > 0
    assert "1.2.0" in twin["capabilities"]["iot_versions"]
    assert "direct_rsp_server_communication" in twin["capabilities"]["ipa_features"]
    assert twin["freshness"]["learned_at"] == rfc3339(NOW)


def test_the_list_of_eims_has_counters_and_tokens(lab: Desk) -> None:
    answer = lab.ask("POST", "/ecos", {"eid": str(EID), "commands": [{"command": "list_eims"}]})
    assert answer.status_code == 202
    cycle(lab)
    twin = lab.get(f"/devices/{EID}")
    (ours,) = twin["eims"]
    assert (ours["eim_id"], ours["is_ours"], ours["counter"]) == (EIM, True, 1)
    assert ours["token"] == twin["association"]["token"]


def test_what_a_device_gets_next_is_told_without_doing_it(lab: Desk) -> None:
    assert lab.get(f"/devices/{EID}/next")["why"] == "nothing"
    operation = order(lab, {"command": "enable", "iccid": SECOND})
    for _ in range(2):
        told = lab.get(f"/devices/{EID}/next")
        assert (told["why"], told["operation"], told["kind"], told["counter"]) == (
            "order",
            operation["id"],
            "package",
            1,
        )
    package = Hand(lab.site).take().euicc_package_signed
    assert package.counter_value == 1
    again = lab.get(f"/devices/{EID}/next")
    assert (again["why"], again["operation"]) == ("outstanding", operation["id"])


def test_the_operations_of_a_device_are_listed_the_newest_first(lab: Desk) -> None:
    first = order(lab, {"command": "list_profiles"})
    second = order(lab, {"command": "enable", "iccid": SECOND})
    cycle(lab)
    page = lab.get(f"/devices/{EID}/operations?limit=1")
    assert [one["id"] for one in page["items"]] == [second["id"]]
    rest = lab.get(f"/devices/{EID}/operations?limit=1&cursor={page['next']}")
    assert [(one["id"], one["state"]) for one in rest["items"]] == [(first["id"], "succeeded")]
    assert rest["next"] is None


# lists


def test_devices_are_found_by_everything_that_people_search_by(any_desk: Desk) -> None:
    desk = any_desk
    eids = register(desk, 8, lambda n: ["site=berlin"] if n % 2 else ["site=bonn", "pilot"])
    for eid, words in ((eids[0], {"state": "archived"}), (eids[1], {"add_tags": ["pilot"]})):
        assert desk.ask("PATCH", f"/devices/{eid}", words).status_code == 200
    desk.site.run(desk.site.store.seen({eids[2]: NOW, eids[3]: NOW - timedelta(days=2)}))
    day_before = rfc3339(NOW - timedelta(days=1))
    assert listed(desk, "") == eids
    assert listed(desk, "tag=site=berlin") == eids[1::2]
    assert listed(desk, "tag=pilot&tag=site=berlin") == [eids[1]]
    assert listed(desk, "state=archived") == [eids[0]]
    assert listed(desk, "state=active&tag=site=bonn") == eids[2::2]
    assert listed(desk, f"eid_prefix={eids[4]}") == [eids[4]]
    assert listed(desk, f"not_seen_since={day_before}") == [eid for eid in eids if eid != eids[2]]
    assert listed(desk, "has_alarm=true") == []
    assert listed(desk, "has_alarm=false&tag=pilot") == [eids[0], eids[1], *eids[2::2]]
    assert listed(desk, "tag=nothing") == []
    assert listed(desk, "", tenant="other") == []


def test_an_alarm_is_found_and_seen(any_desk: Desk) -> None:
    desk = any_desk
    (eid,) = register(desk, 1)
    hand = Hand(desk.site, eid=eid)
    desk.ask("PATCH", f"/devices/{eid}", {"switches": {"asks": False}})
    answer = desk.ask("POST", "/operations", {"eid": eid, "commands": [{"command": "list_profiles"}]})
    assert answer.status_code == 202
    desk.site.answer(hand.result(hand.take()))
    assert listed(desk, "has_alarm=true") == [eid]
    (line,) = desk.get("/devices?has_alarm=true")["items"]
    assert "not believed" in line["alarm"]
    assert desk.ask("PATCH", f"/devices/{eid}", {"clear_alarm": True}).json()["alarm"] is None
    assert listed(desk, "has_alarm=true") == []


def test_a_profile_is_found_where_it_is(lab: Desk) -> None:
    order(lab, {"command": "list_profiles"})
    cycle(lab)
    (place,) = lab.get(f"/profiles/{SECOND}/devices")["items"]
    assert (place["eid"], place["profile"]["state"]) == (str(EID), "disabled")
    assert listed(lab, f"iccid={FIRST}") == [str(EID)]
    order(lab, {"command": "delete", "iccid": SECOND})
    cycle(lab)
    assert refusal(lab.ask("GET", f"/profiles/{SECOND}/devices"), 404) == "eim.profile_not_found"


def test_a_cursor_belongs_to_its_filters(any_desk: Desk) -> None:
    register(any_desk, 4, lambda _: ["pilot"])
    cursor = any_desk.get("/devices?limit=2&tag=pilot")["next"]
    answer = any_desk.ask("GET", f"/devices?limit=2&cursor={cursor}")
    assert refusal(answer, 400) == "api.bad_cursor"


@pytest.mark.parametrize(
    "query",
    ["tag=a b", "tag=';--", "eid_prefix=x", "iccid=12", "state=gone", "not_seen_since=yesterday", "x=1"],
)
def test_nonsense_in_filters_is_refused(desk: Desk, query: str) -> None:
    refusal(desk.ask("GET", f"/devices?{query}"), 422)


def test_saved_filters_serve_lists(any_desk: Desk) -> None:
    desk = any_desk
    eids = register(desk, 4, lambda n: ["pilot"] if n < 2 else [])
    asked = {"name": "the-pilot", "filter": {"tags": ["pilot"]}, "description": "first wave"}
    answer = desk.ask("POST", "/filters", asked)
    assert (answer.status_code, answer.headers["location"]) == (201, "/v1/filters/the-pilot")
    assert refusal(desk.ask("POST", "/filters", asked), 409) == "eim.filter_exists"
    assert listed(desk, "saved_filter=the-pilot") == eids[:2]
    changed = {"filter": {"state": "archived"}}
    stale = desk.ask("PUT", "/filters/the-pilot", changed, headers={"if-match": '"7"'})
    assert refusal(stale, 412) == "api.version_mismatch"
    assert desk.ask("PUT", "/filters/the-pilot", changed, headers={"if-match": '"1"'}).status_code == 200
    assert listed(desk, "saved_filter=the-pilot") == []
    assert desk.ask("DELETE", "/filters/the-pilot").status_code == 204
    assert refusal(desk.ask("GET", "/devices?saved_filter=the-pilot"), 404) == "eim.filter_not_found"


# changes


def test_a_device_is_registered_once(any_desk: Desk) -> None:
    certificates = {
        "euicc": world().euicc(EID).certificate.der.hex(),
        "eum": world().get("eum").certificate.der.hex(),
    }
    asked = {"eid": str(EID), "token": 5, "tags": ["b", "a"], "certificates": certificates}
    answer = any_desk.ask("POST", "/devices", asked)
    assert (answer.status_code, answer.json()["tags"]) == (201, ["a", "b"])
    twin = any_desk.get(f"/devices/{EID}")
    assert (twin["association"]["token"], twin["association"]["is_key_proved"]) == (5, True)
    assert refusal(any_desk.ask("POST", "/devices", asked), 409) == "eim.device_exists"


def test_certificates_of_another_are_refused_and_nothing_is_registered(any_desk: Desk) -> None:
    certificates = {
        "euicc": world().euicc(EID).certificate.der.hex(),
        "eum": world().get("eum").certificate.der.hex(),
    }
    asked = {"eid": EIDS[3], "certificates": certificates}
    assert refusal(any_desk.ask("POST", "/devices", asked)) == "eim.certificate_of_another"
    assert listed(any_desk, "") == []


def test_a_change_is_made_only_on_what_was_read(any_desk: Desk) -> None:
    (eid,) = register(any_desk, 1)
    read = any_desk.ask("GET", f"/devices/{eid}")
    etag = read.headers["etag"]
    unchanged = any_desk.ask("GET", f"/devices/{eid}", headers={"if-none-match": etag})
    assert unchanged.status_code == 304
    path, headers = f"/devices/{eid}", {"if-match": etag}
    assert any_desk.ask("PATCH", path, {"add_tags": ["one"]}, headers=headers).status_code == 200
    late = any_desk.ask("PATCH", path, {"add_tags": ["two"]}, headers=headers)
    assert refusal(late, 412) == "api.version_mismatch"
    assert any_desk.get(path)["tags"] == ["one"]


def test_an_archived_device_is_answered_like_a_stranger_until_it_is_let_in_again(lab: Desk) -> None:
    path = f"/devices/{EID}"
    assert lab.ask("PATCH", path, {"state": "archived", "reason": "sold"}).json()["state"] == "archived"
    refused = lab.ask("POST", "/operations", {"eid": str(EID), "commands": [{"command": "list_profiles"}]})
    assert refusal(refused, 422) == "eim.device_not_active"
    assert lab.get(f"{path}/next")["why"] == "archived"
    assert lab.ask("PATCH", path, {"state": "active"}).json()["state"] == "active"
    assert lab.site.device().state is DeviceState.ACTIVE
