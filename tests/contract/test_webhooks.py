"""Webhooks on every store: at least once and in order, over real TLS, receivers that fail as they like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.card_lab import NOW, SeededEntropy
from tests.https_peer import HttpsPeer
from tests.postgres_cluster import Cluster
from tests.shared import needs_system
from tests.tls_pair import tls_pair

from keim.app.webhook_delivery import Deliverer
from keim.app.webhook_worker import WebhookWorker
from keim.app.webhooks import Webhooks
from keim.eim.addresses import AddressPolicy
from keim.eim.webhooks import signature
from keim.eim.webhooks.message import Logged, Stretch
from keim.eim.webhooks.rows import WebhookState
from keim.errors import Refused
from keim.io.eim_store import EimStore
from keim.io.key_wrap import AesKeyWrap
from keim.io.store.engine import Conflict
from keim.io.store.open import open_engine
from keim.io.webhook_sender import WebhookSender
from keim.io.webhook_store import WebhookStore
from keim.wire.http import HttpRequest, HttpResponse

KINDS = ("device_enrolled", "result_received", "alarm_raised")
BERLIN = "89044045116727494800000004479366"
OK = HttpResponse(204)


class Clock:
    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> Any:
        return self.moment


class Desk:
    """One eIM's webhooks with a log that is a list, and receivers on loopback."""

    def __init__(self, engine: Any) -> None:
        server, self.client_tls = tls_pair()
        self.received: list[HttpRequest] = []
        self.answers: list[HttpResponse] = []
        self.peer = HttpsPeer(server, self._receive)
        self.clock = Clock()
        self.log: list[Logged] = []
        self.store = WebhookStore(engine)
        self.wrap = AesKeyWrap(bytes(32))
        self.policy = AddressPolicy(allows_private=True)
        self.webhooks, self.worker = self.another(1)

    def another(self, seed: int) -> tuple[Webhooks, WebhookWorker]:
        entropy = SeededEntropy(seed)
        sender = WebhookSender(self.policy, tls=self.client_tls, timeout_s=5)
        deliverer = Deliverer(sender, eim_id="eim.example.com", key_wrap=self.wrap, clock=self.clock)
        people = Webhooks(
            self.store,
            deliverer,
            kinds=KINDS,
            read_log=self._read,
            log_end=self._end,
            clock=self.clock,
            entropy=entropy,
        )
        worker = WebhookWorker(
            self.store,
            deliverer,
            kinds=KINDS,
            read_log=self._read,
            tags_of=self._tags,
            clock=self.clock,
            entropy=entropy,
        )
        return people, worker

    @property
    def url(self) -> str:
        return f"https://localhost:{self.peer.port}/hook?a=1"

    def _receive(self, request: HttpRequest) -> HttpResponse:
        self.received.append(request)
        return self.answers.pop(0) if self.answers else OK

    async def _read(self, tenant: str, after: int, limit: int, kinds: Collection[str]) -> Stretch:
        assert tenant == "main"
        lot = self.log[after + 1 : after + 1 + limit]
        wanted = [logged for logged in lot if not kinds or logged.kind in kinds]
        return Stretch(wanted, lot[-1].leaf if lot else after)

    async def _end(self, tenant: str) -> int:
        return len(self.log) - 1

    async def _tags(self, tenant: str, eid: str) -> set[str]:
        return {"site=berlin"} if eid == BERLIN else set()

    def happen(self, *kinds: str, eid: str | None = None) -> None:
        for kind in kinds:
            detail = json.dumps({"number": len(self.log)}).encode()
            self.log.append(Logged(len(self.log), self.clock.now(), kind, eid, detail))

    async def create(self, **filters: Any) -> Any:
        return await self.webhooks.create("main", self.url, **filters)

    async def work(self) -> None:
        await self.worker.tick()
        await self.worker.drain()

    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.received]


Script = Callable[[Desk], Awaitable[None]]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_system("postgresql"))])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Script], None]]:
    if request.param == "postgres":
        given: Cluster = request.getfixturevalue("cluster")
        where = given.new_database()
    else:
        where = str(tmp_path / "eim.db")

    def run(script: Script) -> None:
        async def whole() -> None:
            engine = await open_engine(where)
            desk = Desk(engine)
            try:
                await EimStore(engine).prepare()
                await desk.store.prepare()
                await script(desk)
            finally:
                await desk.worker.close()
                desk.peer.close()
                await engine.close()

        asyncio.run(whole())

    return run


def test_events_come_signed_and_in_order(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        desk.happen("device_enrolled")  # before the webhook was there
        _, _, secret = await desk.create()
        desk.happen(*KINDS)
        await desk.work()
        assert desk.ids() == ["main-1", "main-2", "main-3"]
        for request in desk.received:
            assert request.path == "/hook?a=1"
            assert request.headers["content-type"].startswith("application/cloudevents+json")
            signature.verify(request.headers, request.body, secret, now=NOW)
        assert desk.peer.connections == 1
        await desk.work()
        assert len(desk.received) == 3

    play(script)


def test_a_failed_event_is_tried_again_before_what_comes_later(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, _ = await desk.create()
        desk.happen(*KINDS)
        moved = HttpResponse(302, {"location": "https://localhost/elsewhere"})
        desk.answers = [OK, HttpResponse(500), moved]
        await desk.work()
        await desk.work()  # too early
        assert desk.ids() == ["main-0", "main-1"]
        desk.clock.moment += timedelta(seconds=6)
        await desk.work()  # a redirect is not followed
        desk.clock.moment += timedelta(minutes=6)
        await desk.work()
        assert desk.ids() == ["main-0", "main-1", "main-1", "main-1", "main-2"]
        tried = await desk.store.deliveries("main", webhook.id)
        assert [(one.leaf, one.attempt, one.status) for one in reversed(tried)] == [
            (0, 1, 204),
            (1, 1, 500),
            (1, 2, 302),
            (1, 3, 204),
            (2, 1, 204),
        ]

    play(script)


def test_filters_pass_over_what_is_not_wanted(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, _ = await desk.create(types=["result_*"], tags=["site=berlin"])
        desk.happen(*KINDS, eid="89049032123451234512345678901235")
        desk.happen(*KINDS, eid=BERLIN)
        desk.happen(*KINDS)
        await desk.work()
        assert desk.ids() == ["main-4"]
        found = await desk.webhooks.get("main", webhook.id)
        assert found[1].after == 8

    play(script)


def test_two_days_of_failures_pause_it_and_a_person_resumes_it(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, _ = await desk.create()
        desk.happen(*KINDS)
        desk.answers = [HttpResponse(503)] * 20
        for _ in range(12):
            await desk.work()
            desk.clock.moment += timedelta(hours=18)
        _, progress = await desk.webhooks.get("main", webhook.id)
        assert progress.state is WebhookState.PAUSED
        assert len(desk.received) == 9
        told = [event for _, event in await EimStore(desk.store.engine).events()]
        assert [(event.what, event.reason[:5]) for event in told] == [("created", ""), ("paused", "no de")]
        desk.answers = []
        await desk.webhooks.resume(webhook, progress)
        await desk.work()
        assert desk.ids()[9:] == ["main-0", "main-1", "main-2"]

    play(script)


def test_a_resumed_webhook_may_skip_or_begin_again(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, _ = await desk.create()
        _, progress = await desk.webhooks.get("main", webhook.id)
        progress = await desk.webhooks.pause(webhook, progress, actor="somebody")
        desk.happen(*KINDS)
        await desk.work()
        assert desk.received == []
        progress = await desk.webhooks.resume(webhook, progress, skips=True)
        desk.happen("alarm_raised")
        await desk.work()
        assert desk.ids() == ["main-3"]
        with pytest.raises(Conflict):
            await desk.webhooks.resume(webhook, progress)  # the worker has moved it on
        _, progress = await desk.webhooks.get("main", webhook.id)
        with pytest.raises(Refused):
            await desk.webhooks.resume(webhook, progress, after=99)
        await desk.webhooks.resume(webhook, progress, after=1)
        await desk.work()
        assert desk.ids() == ["main-3", "main-2", "main-3"]

    play(script)


def test_a_test_event_and_a_resent_one_come_at_once(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, secret = await desk.create()
        tested = await desk.webhooks.test(webhook)
        assert (tested.cause, tested.status) == ("test", 204)
        assert json.loads(desk.received[0].body)["type"] == "keim.webhook_test"
        signature.verify(desk.received[0].headers, desk.received[0].body, secret, now=NOW)
        desk.happen("alarm_raised")
        await desk.work()
        (latest, *_) = await desk.store.deliveries("main", webhook.id)
        again = await desk.webhooks.resend(webhook, latest.id)
        assert (again.cause, again.event_id, again.status) == ("resend", "main-0", 204)
        assert desk.received[1].body == desk.received[2].body
        with pytest.raises(Refused) as refused:
            await desk.webhooks.resend(webhook, 999)
        assert refused.value.code == "webhook.delivery_not_found"

    play(script)


def test_after_a_rotation_both_secrets_verify_for_a_day(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, old = await desk.create()
        webhook, new = await desk.webhooks.rotate(webhook)
        await desk.webhooks.test(webhook)
        for secret in (old, new):
            signature.verify(desk.received[0].headers, desk.received[0].body, secret, now=NOW)
        desk.clock.moment += timedelta(days=1)
        await desk.webhooks.test(webhook)
        assert len(desk.received[1].headers["webhook-signature"].split()) == 1
        assert old not in str(await desk.store.engine.fetch("SELECT row FROM webhooks"))
        assert new not in str(await desk.store.engine.fetch("SELECT row FROM webhooks"))

    play(script)


def test_one_worker_at_a_time_delivers_and_another_takes_over(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        await desk.create()
        _, second = desk.another(2)
        desk.happen("alarm_raised")
        assert await desk.worker.tick() == 1
        assert await second.tick() == 0
        await desk.worker.drain()
        desk.happen("alarm_raised")
        desk.clock.moment += timedelta(minutes=2)  # the first has gone away
        assert await second.tick() == 1
        await second.drain()
        assert await desk.worker.tick() == 0
        assert desk.ids() == ["main-0", "main-1"]
        await second.close()

    play(script)


def test_a_name_that_leads_into_a_private_network_is_not_connected_to(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, _ = await desk.create()
        strict = WebhookSender(AddressPolicy(), tls=desk.client_tls)
        with pytest.raises(Refused):
            strict.check(webhook.url)

        async def inward(*_: Any, **__: Any) -> list[Any]:
            return [(2, 1, 6, "", ("127.0.0.1", desk.peer.port))]

        asyncio.get_running_loop().getaddrinfo = inward  # type: ignore[method-assign]  # a hostile DNS
        with pytest.raises(Refused):
            await strict.post(f"https://hooks.example.com:{desk.peer.port}/", {}, b"")
        assert desk.peer.connections == 0

    play(script)


def test_a_receiver_without_a_trusted_certificate_gets_nothing(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        _, desk.client_tls = tls_pair()  # of another authority
        desk.webhooks, desk.worker = desk.another(3)
        webhook, _, _ = await desk.create()
        tested = await desk.webhooks.test(webhook)
        assert (tested.status, tested.error) == (None, "exchange.unreachable")
        assert desk.received == []

    play(script)


def test_what_is_gone_is_gone(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, _ = await desk.create()
        await desk.webhooks.test(webhook)
        await desk.webhooks.remove(webhook)
        assert await desk.store.deliveries("main", webhook.id) == []
        for call in (desk.webhooks.remove(webhook), desk.webhooks.get("main", webhook.id)):
            with pytest.raises(Refused) as refused:
                await call
            assert refused.value.code == "webhook.not_found"

    play(script)


def test_a_webhook_that_wants_little_of_a_long_log_catches_up_at_once(play: Callable[[Script], None]) -> None:
    async def script(desk: Desk) -> None:
        webhook, _, _ = await desk.create(types=["alarm_raised"])
        desk.happen(*["device_enrolled"] * 3000, "alarm_raised", *["device_enrolled"] * 1000)
        await desk.work()
        assert desk.ids() == ["main-3000"]
        assert (await desk.webhooks.get("main", webhook.id))[1].after == 4000

    play(script)
