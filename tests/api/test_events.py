"""Events at the API: listed, and followed as a feed that goes on where it was cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.api.test_devices import register
from tests.roles.test_eim_results import Hand

from keim.api.routes import events

LIST = {"commands": [{"command": "list_profiles"}]}


def place(desk: Desk, eid: str) -> str:
    answer = desk.ask("POST", "/operations", {"eid": eid} | LIST)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def everything(desk: Desk, query: str = "", **words: Any) -> list[dict[str, Any]]:
    found, cursor = [], ""
    while True:
        page = desk.get(f"/events?limit=2&{query}{cursor}", **words)
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def test_events_are_listed_without_gaps_and_name_their_operation(any_desk: Desk) -> None:
    desk = any_desk
    first, second = register(desk, 2, lambda n: ["pilot"] if n else [])
    operation = place(desk, first)
    desk.ask("PATCH", f"/devices/{first}", {"switches": {"asks": False, "verifies": False}})
    hand = Hand(desk.site, eid=first)
    desk.site.answer(hand.result(hand.take()))
    found = everything(desk)
    assert [one["id"] for one in found] == list(range(len(found)))
    kinds = [one["type"] for one in found]
    assert kinds == [
        "device_enrolled",
        "device_enrolled",
        "order_placed",
        "device_changed",
        "package_delivered",
        "result_received",
    ]
    assert [one["operation"] for one in found] == [None, None, operation, None, operation, operation]
    assert (found[2]["data"]["what"], found[2]["actor"][:6]) == (["list profiles"], "token:")
    assert [one["actor"] for one in found[4:]] == ["eim", "device"]
    assert [one["type"] for one in everything(desk, f"device={second}")] == ["device_enrolled"]
    assert [one["id"] for one in everything(desk, "type=result_received&type=order_placed")] == [2, 5]
    assert [one["device"] for one in everything(desk, "tag=pilot")] == [second]
    assert {one["type"] for one in everything(desk, tenant="other")} == {"tenant_changed"}


class Follower:
    """Reads a feed chunk by chunk, as a browser does."""

    def __init__(self, desk: Desk, query: str = "", last: str | None = None) -> None:
        self.desk = desk
        self.chunks: list[bytes] = []
        self.status = 0
        headers = [(b"authorization", f"Bearer {desk.token('viewer')}".encode())]
        if last is not None:
            headers.append((b"last-event-id", last.encode()))
        self._scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/v1/events/feed",
            "raw_path": b"/v1/events/feed",
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "http_version": "1.1",
            "scheme": "http",
            "server": ("eim.example.com", 80),
        }
        self._is_gone = asyncio.Event()

    async def _receive(self) -> dict[str, Any]:
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.chunks.append(message.get("body", b""))

    async def follow(self, meanwhile: Callable[[], Awaitable[object]], *, until: int) -> list[dict[str, Any]]:
        """The first `until` events that come."""
        task = asyncio.ensure_future(self.desk.application(self._scope, self._receive_first(), self._send))
        while not self.chunks:
            await asyncio.sleep(0.01)
        await meanwhile()
        while len(self.events) < until:
            await asyncio.sleep(0.01)
        self._is_gone.set()
        await asyncio.wait([task], timeout=5)
        return self.events

    def _receive_first(self) -> Callable[[], Awaitable[dict[str, Any]]]:
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": b"", "more_body": False}
            return await self._receive()

        return receive

    @property
    def events(self) -> list[dict[str, Any]]:
        text = b"".join(self.chunks).decode()
        found = []
        for block in text.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in lines:
                event = json.loads(lines["data"])
                assert (lines["id"], lines["event"]) == (str(event["id"]), event["type"])
                found.append(event)
        return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.01)


async def nothing() -> None:
    return None


def test_a_feed_tells_what_happens_from_now_on(any_desk: Desk) -> None:
    desk = any_desk
    (eid,) = register(desk, 1)

    async def change() -> None:
        await desk.services.eim.change_device(eid, actor="one", tags=("x",))  # type: ignore[arg-type]  # an EID as text

    (event,) = desk.site.run(Follower(desk).follow(change, until=1))
    assert (event["id"], event["type"], event["actor"], event["device"]) == (1, "device_changed", "one", eid)


def test_a_feed_goes_on_behind_the_last_event_without_a_gap(any_desk: Desk) -> None:
    desk = any_desk
    register(desk, 5)
    all_of_them = desk.site.run(Follower(desk, "after=-1").follow(nothing, until=5))
    assert [event["id"] for event in all_of_them] == [0, 1, 2, 3, 4]
    rest = desk.site.run(Follower(desk, last="2").follow(nothing, until=2))
    assert [event["id"] for event in rest] == [3, 4]


def test_a_feed_is_filtered(any_desk: Desk) -> None:
    desk = any_desk
    eids = register(desk, 4, lambda n: ["pilot"] if n == 2 else [])
    (event,) = desk.site.run(Follower(desk, "after=-1&tag=pilot").follow(nothing, until=1))
    assert event["device"] == eids[2]
    place(desk, eids[0])
    found = desk.site.run(
        Follower(desk, f"after=-1&device={eids[0]}&type=order_placed").follow(nothing, until=1)
    )
    assert [event["type"] for event in found] == ["order_placed"]


def test_a_silent_feed_keeps_its_line_warm(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.02)
    follower = Follower(desk)

    async def beats() -> None:
        while follower.chunks.count(b":\n\n") < 2:
            await asyncio.sleep(0.01)

    assert desk.site.run(follower.follow(beats, until=0)) == []


def test_feeds_are_bounded_and_end_with_the_server(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_FEEDS", 0)
    assert refusal(desk.ask("GET", "/events/feed"), 429) == "api.too_many_feeds"
    monkeypatch.setattr(events, "MOST_FEEDS", 1)
    desk.services.stopping.set()
    answer = desk.ask("GET", "/events/feed")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.text == "retry: 2000\n\n"


def test_a_wrong_last_event_id_is_refused(desk: Desk) -> None:
    answer = desk.ask("GET", "/events/feed", headers={"last-event-id": "x"})
    refusal(answer, 422)


# the log


def test_a_leaf_is_proved_to_whoever_does_not_believe(any_desk: Desk) -> None:
    desk = any_desk
    register(desk, 3)
    checkpoint = desk.get("/audit/checkpoint")
    assert (checkpoint["size"], checkpoint["note"].splitlines()[1]) == (3, "3")
    proof = desk.ask("GET", "/audit/leaves/1/proof")
    assert proof.text.startswith("c2sp.org/tlog-proof@v1\n")
    leaf = desk.ask("GET", "/audit/leaves/1").content
    entries = desk.ask("GET", "/audit/tile?level=entries").content
    assert leaf in entries
    assert len(desk.ask("GET", "/audit/tile").content) == 3 * 32
    assert len(desk.get("/audit/consistency?old=1&new=3")["hashes"]) == 2
    assert refusal(desk.ask("GET", "/audit/consistency?old=3&new=9"), 404) == "audit.leaf_not_found"
    assert desk.get("/audit/checkpoint", tenant="other")["root"] != checkpoint["root"]
