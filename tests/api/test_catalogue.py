"""The catalogue and the stock of activation codes: filled, reserved, used up, given back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.card_lab import EID, OTHER_EID, SMDP
from tests.roles.eim_lab import EimLab, OpenStore

from keim.eim.events import StockLow
from keim.errors import KeimError
from keim.ids import Eid
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine
from keim.ipa.configuration import Configuration
from keim.messages.ipa_data import IpaFeatures


@pytest.fixture
def any_lab(store_at: str) -> Iterator[Desk]:
    """With a device before it, on both databases."""

    async def open_it() -> Engine:
        return await open_engine(store_at)

    opener: OpenStore = open_it
    made = Desk(EimLab(open_store=opener))
    yield made
    made.close()


def product(desk: Desk, **members: Any) -> str:
    answer = desk.ask("POST", "/catalogue", {"name": "iot-eu", **members})
    assert answer.status_code == 201, answer.text
    return "/catalogue/iot-eu"


def fill(desk: Desk, path: str, *codes: str) -> dict[str, Any]:
    answer = desk.ask("POST", f"{path}/codes", {"codes": [{"activation_code": code} for code in codes]})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def code(number: int) -> str:
    return f"LPA:1${SMDP}$CODE-{number}"


def look(desk: Desk) -> None:
    """What follows downloads in the background, once."""
    desk.site.run(desk.services.codes.watch.tick())


def download(desk: Desk, path: str, *eids: str) -> list[dict[str, Any]]:
    answer = desk.ask("POST", f"{path}/downloads", {"eids": list(eids)}, role="operator")
    assert answer.status_code == 202, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def states(desk: Desk, path: str) -> dict[str, int]:
    return {state: count for state, count in desk.get(path)["codes"].items() if count}


def test_a_download_uses_a_code_up(any_lab: Desk) -> None:
    path = product(any_lab)
    lab = any_lab.site
    assert isinstance(lab, EimLab)
    number, matching_id = lab.smdp.order()
    assert fill(any_lab, path, f"1${SMDP}${matching_id}") == {"added": 1, "refused": []}
    (started,) = download(any_lab, path, EID)
    assert started["problem"] is None
    assert states(any_lab, path) == {"in_use": 1}
    lab.cycle()
    assert number in lab.images()
    look(any_lab)
    assert states(any_lab, path) == {"used": 1}
    (shown,) = any_lab.get(f"{path}/codes")["items"]
    assert (shown["eid"], shown["reference"]) == (EID, started["operation_id"])
    assert shown["outcome"] == f"install: ok {number}"


def test_a_cancelled_download_gives_its_code_back(any_lab: Desk) -> None:
    path = product(any_lab)
    fill(any_lab, path, code(1))
    (started,) = download(any_lab, path, EID)
    (none_left,) = download(any_lab, path, EID)
    assert none_left["problem"] == "catalogue.none_left"
    any_lab.site.run(any_lab.services.eim.cancel(started["operation_id"]))
    look(any_lab)
    assert states(any_lab, path) == {"free": 1}
    assert download(any_lab, path, EID)[0]["problem"] is None


@pytest.mark.parametrize(
    ("features", "state"),
    [
        (IpaFeatures.INDIRECT_RSP_SERVER_COMMUNICATION, "burnt"),
        (IpaFeatures.DIRECT_RSP_SERVER_COMMUNICATION, "free"),
    ],
    ids=["relayed: we have seen why", "direct: nobody has told us"],
)
def test_a_code_that_the_server_does_not_know_is_burnt(features: IpaFeatures, state: str) -> None:
    lab = EimLab(configuration=Configuration(features=features))
    desk = Desk(lab)
    path = product(desk)
    fill(desk, path, code(1))
    download(desk, path, EID)
    lab.cycle()
    look(desk)
    assert states(desk, path) == {state: 1}
    desk.close()


def test_an_order_that_was_never_placed_leaves_no_code_behind(any_lab: Desk) -> None:
    """As after a power cut between taking the code and placing the order."""
    path = product(any_lab)
    fill(any_lab, path, code(1))
    stock = any_lab.services.codes.stock
    found = any_lab.site.run(stock.product("main", "iot-eu"))
    any_lab.site.run(stock._take(found, EID, "lost"))
    look(any_lab)
    assert states(any_lab, path) == {"in_use": 1}
    any_lab.site.later(minutes=11)
    look(any_lab)
    assert states(any_lab, path) == {"free": 1}


def test_many_at_once_never_share_a_code(any_lab: Desk) -> None:
    path = product(any_lab)
    fill(any_lab, path, *map(code, range(12)))
    service, stock = any_lab.services.eim, any_lab.services.codes.stock
    eids = [Eid.with_check_digits(f"8904904400000000000000000{n:05d}") for n in range(15)]

    async def all_of_them() -> list[Any]:
        for eid in eids:
            await service.enrol(eid)
        calls = (stock.download("main", "iot-eu", eid) for eid in eids)
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = any_lab.site.run(all_of_them())
    taken = [one[1].text for one in outcomes if not isinstance(one, Exception)]
    assert len(taken) == len(set(taken)) == 12
    assert {one.code for one in outcomes if isinstance(one, KeimError)} == {"catalogue.none_left"}


def test_a_low_stock_is_told_once_until_it_is_filled(any_lab: Desk) -> None:
    path = product(any_lab, low_stock=2)
    fill(any_lab, path, *map(code, range(3)))

    def told() -> list[int]:
        return [event.free for event in any_lab.site.events(StockLow)]

    for expected in ([], [1], [1]):
        assert any_lab.ask("POST", f"{path}/reserve", {}).status_code == 200
        assert told() == expected
    fill(any_lab, path, *map(code, range(3, 6)))
    for _ in range(2):
        any_lab.ask("POST", f"{path}/reserve", {})
    assert told() == [1, 1]


def test_codes_are_reserved_used_and_given_back(any_lab: Desk) -> None:
    path = product(any_lab)
    fill(any_lab, path, code(1))
    reserved = any_lab.ask("POST", f"{path}/reserve", {"eid": EID, "note": "pilot"}).json()
    assert (reserved["state"], reserved["eid"], reserved["note"]) == ("reserved", EID, "pilot")
    assert refusal(any_lab.ask("POST", f"{path}/reserve", {}), 422) == "catalogue.none_left"
    where = f"{path}/codes/{reserved['id']}"
    assert any_lab.ask("POST", f"{where}/use", {"note": "by hand"}).json()["state"] == "used"
    assert refusal(any_lab.ask("POST", f"{where}/use", {}), 409) == "catalogue.code_in_use"
    assert any_lab.ask("POST", f"{where}/give-back").json()["state"] == "free"
    assert download(any_lab, path, EID)[0]["code_id"] == reserved["id"]
    assert refusal(any_lab.ask("POST", f"{where}/give-back"), 409) == "catalogue.code_in_use"


def test_a_device_takes_the_code_that_waits_for_it(any_lab: Desk) -> None:
    path = product(any_lab)
    fill(any_lab, path, *map(code, range(4)))
    waits = any_lab.ask("POST", f"{path}/reserve", {"eid": EID}).json()
    assert download(any_lab, path, EID)[0]["code_id"] == waits["id"]


def test_bad_codes_are_named_and_the_good_ones_are_taken(desk: Desk) -> None:
    path = product(desk)
    fill(desk, path, code(1))
    rehearsed = desk.ask(
        "POST", f"{path}/codes", {"codes": [{"activation_code": code(9)}]}, params={"dry_run": "true"}
    )
    assert rehearsed.json()["added"] == 1
    added = fill(desk, path, code(1), code(2), code(2), "1$nonsense", f"1${SMDP}$M$$1")
    assert added["added"] == 1
    assert [(bad["position"], bad["code"]) for bad in added["refused"]] == [
        (0, "catalogue.code_exists"),
        (2, "catalogue.code_exists"),
        (3, "eim.bad_activation_code"),
        (4, "catalogue.bad_code"),
    ]
    confirmed = {"codes": [{"activation_code": f"1${SMDP}$M$$1", "confirmation_code": "4711"}]}
    answer = desk.ask("POST", f"{path}/codes", confirmed)
    assert answer.json()["added"] == 1
    assert "4711" not in str(desk.site.run(desk.services.store.engine.fetch("SELECT row FROM codes")))


def test_products_are_changed_and_removed(desk: Desk) -> None:
    path = product(desk, description="Europe")
    assert refusal(desk.ask("POST", "/catalogue", {"name": "iot-eu"}), 409) == "catalogue.product_exists"
    etag = desk.ask("GET", path).headers["etag"]
    changed = desk.ask("PATCH", path, {"low_stock": 5}, headers={"if-match": etag})
    assert (changed.json()["low_stock"], changed.json()["description"]) == (5, "Europe")
    assert refusal(desk.ask("PATCH", path, {}, headers={"if-match": etag}), 412)
    fill(desk, path, code(1))
    assert refusal(desk.ask("DELETE", path), 409) == "catalogue.product_in_use"
    reserved = desk.ask("POST", f"{path}/reserve", {}).json()
    desk.ask("POST", f"{path}/codes/{reserved['id']}/use", {})
    assert desk.ask("DELETE", path).status_code == 204
    assert refusal(desk.ask("GET", path), 404) == "catalogue.product_not_found"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"name": "Iot"}, "api.invalid_request"),
        ({"name": "iot", "source": "es2plus", "server": "main"}, "catalogue.server_not_found"),
        ({"name": "iot", "low_stock": -1}, "api.invalid_request"),
        ({"name": "iot", "colour": "red"}, "api.invalid_request"),
    ],
)
def test_a_product_that_cannot_work_is_refused(desk: Desk, asked: dict[str, Any], code: str) -> None:
    assert refusal(desk.ask("POST", "/catalogue", asked)) == code
    assert desk.get("/catalogue")["items"] == []


def test_another_tenant_has_a_stock_of_its_own(any_lab: Desk) -> None:
    path = product(any_lab)
    fill(any_lab, path, code(1))
    for method, way in (("GET", path), ("GET", f"{path}/codes"), ("POST", f"{path}/codes/1/give-back")):
        assert refusal(any_lab.ask(method, way, tenant="other"), 404).startswith("catalogue.")
    assert any_lab.ask("POST", "/catalogue", {"name": "iot-eu"}, tenant="other").status_code == 201
    answer = any_lab.ask("POST", f"{path}/downloads", {"eids": [EID, OTHER_EID]}, tenant="other")
    assert {item["problem"] for item in answer.json()["items"]} == {"eim.device_unknown"}


def test_viewers_see_the_catalogue_but_no_codes(desk: Desk) -> None:
    path = product(desk)
    fill(desk, path, code(1))
    assert desk.get(path, role="viewer")["codes"]["free"] == 1
    assert refusal(desk.ask("GET", f"{path}/codes", role="viewer"), 403) == "access.scope_missing"
