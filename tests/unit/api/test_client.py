"""The client of the API: what it repeats, what it raises, how it reads feeds, where it connects."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keim.api.client.connection import Connection, connection_of, store, stored, stored_at
from keim.api.client.http_transport import HttpTransport
from keim.api.client.models import Product
from keim.api.client.session import FeedEvent, Session, events_in
from keim.api.client.transport import Answer, Request, Stream
from keim.cli.exit_codes import ExitCode, exit_code_of
from keim.cli.progress import Progress
from keim.errors import KeimError, PeerError, Refused, TimedOut

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PRODUCT = {"name": "iot", "state": "x", "source": "stock", "created_at": "2026-11-29T12:00:00Z", "later": 1}


class Script:
    """Answers one after the other; an exception is raised instead."""

    def __init__(self, *answers: Answer | KeimError | list[bytes]) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.pauses: list[float] = []
        self.session = Session(self, token="t", tenant="north", sleep=self.pauses.append)

    def send(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, KeimError):
            raise answer
        assert isinstance(answer, Answer)
        return answer

    def open(self, request: Request) -> Stream:
        self.requests.append(request)
        if not self.answers:
            raise KeyboardInterrupt
        answer = self.answers.pop(0)
        if isinstance(answer, KeimError):
            raise answer
        return Lines(answer)

    def close(self) -> None:
        pass


class Lines:
    def __init__(self, given: Answer | list[bytes]) -> None:
        self.status = given.status if isinstance(given, Answer) else 200
        self.headers: dict[str, str] = {}
        self._given = given

    def lines(self) -> Iterator[bytes]:
        assert isinstance(self._given, list)
        return iter(self._given)

    def rest(self) -> bytes:
        assert isinstance(self._given, Answer)
        return self._given.body

    def close(self) -> None:
        pass


def good(document: Any = PRODUCT) -> Answer:
    return Answer(200, {}, json.dumps(document).encode())


def problem(status: int, code: str, **members: Any) -> Answer:
    return Answer(status, {}, json.dumps({"code": code, "detail": "so", **members}).encode())


def get(script: Script) -> Product:
    return script.session.call(Product, "GET", "/catalogue/iot")


def test_what_the_server_puts_off_is_asked_again_after_its_pause() -> None:
    script = Script(Answer(429, {"retry-after": "7"}, b"{}"), Answer(503, {}, b"{}"), good())
    assert get(script).name == "iot"
    assert script.pauses == [7.0, 1.0]


def test_a_change_that_may_be_lost_is_sent_again_under_the_same_key() -> None:
    script = Script(TimedOut("lost"), good())
    script.session.call(Product, "POST", "/catalogue", {"name": "iot"})
    keys = [request.headers["idempotency-key"] for request in script.requests]
    assert keys[0] == keys[1]
    script = Script(*[TimedOut("lost")] * 3)
    with pytest.raises(TimedOut):
        get(script)


def test_an_upload_is_never_sent_twice() -> None:
    script = Script(TimedOut("lost"), good())
    with pytest.raises(TimedOut):
        script.session.upload(Product, "/imports/devices", iter([b"x"]), media_type="text/csv")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "exit_code"),
    [
        (problem(401, "access.token_invalid"), Refused, ExitCode.REFUSED_BY_POLICY),
        (problem(403, "access.scope_missing"), Refused, ExitCode.REFUSED_BY_POLICY),
        (problem(404, "eim.device_unknown"), Refused, ExitCode.NOT_FOUND),
        (problem(404, "catalogue.product_not_found"), Refused, ExitCode.NOT_FOUND),
        (problem(422, "api.invalid_request"), Refused, ExitCode.USAGE),
        (problem(502, "catalogue.order_refused", party="main"), PeerError, ExitCode.REFUSED_BY_PEER),
        (problem(504, "exchange.timed_out"), TimedOut, ExitCode.TIMED_OUT),
        (problem(500, "internal"), KeimError, ExitCode.FAULT),
        (Answer(502, {}, b"<html>bad gateway"), PeerError, ExitCode.REFUSED_BY_PEER),
        (Answer(200, {}, b"<html>hello"), PeerError, ExitCode.REFUSED_BY_PEER),
        (Answer(200, {}, b'{"name": 7}'), PeerError, ExitCode.REFUSED_BY_PEER),
    ],
)
def test_a_refusal_is_an_exception_with_the_servers_code(
    answer: Answer, kind: type[KeimError], exit_code: ExitCode
) -> None:
    with pytest.raises(kind) as caught:
        get(Script(answer))
    assert exit_code_of(caught.value) is exit_code


def test_pages_are_read_until_the_last_or_the_limit() -> None:
    page = {"items": [PRODUCT, PRODUCT], "next": "c"}
    script = Script(good(page), good({"items": [PRODUCT], "next": None}))
    assert len(list(script.session.pages(Product, "/catalogue", query={"state": None, "is": True}))) == 3
    assert [request.target for request in script.requests] == [
        "/v1/catalogue?is=true",
        "/v1/catalogue?is=true&cursor=c",
    ]
    script = Script(good(page))
    assert len(list(script.session.pages(Product, "/catalogue", limit=2))) == 2
    assert script.requests[0].target == "/v1/catalogue?limit=2"


def test_names_in_paths_are_encoded() -> None:
    script = Script(good())
    script.session.call(Product, "GET", "/catalogue/a b?c#d", query={"tag": ["x=1", "é"]})
    assert script.requests[0].target == "/v1/catalogue/a%20b%3Fc%23d?tag=x%3D1&tag=%C3%A9"
    assert script.requests[0].headers["keim-tenant"] == "north"


def test_a_feed_goes_on_behind_the_last_event() -> None:
    script = Script(
        [b"id: 1", b"event: a", b"data: {}", b"", b": heartbeat", b"id: 2", b"data: x", b"data: y", b""],
        TimedOut("broken"),
        [b"id:3", b"data:z", b"", b"id: 4", b"data: cut off"],
    )
    found: list[FeedEvent] = []
    with suppress(KeyboardInterrupt):
        found.extend(script.session.feed("/events/feed"))
    assert found == [
        FeedEvent("1", "a", b"{}"),
        FeedEvent("2", "message", b"x\ny"),
        FeedEvent("3", "message", b"z"),
    ]
    assert [request.headers.get("last-event-id") for request in script.requests] == [None, "2", "2", "3"]


def test_a_refused_feed_ends() -> None:
    with pytest.raises(Refused):
        next(Script(problem(403, "access.scope_missing")).session.feed("/events/feed"))


def test_an_event_without_data_is_none() -> None:
    assert list(events_in([b"event: a", b"", b"data: b", b""])) == [FeedEvent("", "message", b"b")]


@pytest.mark.parametrize("url", ["", "eim", "ftp://eim", "https://", "https://u@eim", "https://eim:99999"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Refused) as caught:
        HttpTransport(url)
    assert caught.value.code == "client.bad_address"


def test_a_token_never_travels_in_the_clear() -> None:
    with pytest.raises(Refused) as caught:
        HttpTransport("http://eim.example.com")
    assert caught.value.code == "client.plain_address"
    for url in ("http://127.0.0.1:1", "http://localhost", "http://[::1]:1"):
        HttpTransport(url)


# ---- where it connects


def test_the_stored_connection_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = stored_at({"XDG_CONFIG_HOME": str(tmp_path / "deep" / "config")})
    assert stored(path) is None
    known = Connection(url="https://eim.example.com", token="secret")
    store(known, path)
    store(known, path)
    assert stored(path) == known
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["connection.json"]
    path.write_text("{")
    with pytest.raises(Refused):
        stored(path)


def test_options_win_over_the_environment_and_both_over_what_is_stored(tmp_path: Path) -> None:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(Refused) as caught:
        connection_of(environment, now=NOW)
    assert caught.value.code == "client.not_connected"
    store(Connection(url="https://stored", token="stored"), stored_at(environment))
    assert connection_of(environment, now=NOW).token == "stored"
    assert connection_of(environment, now=NOW, token="given").url == "https://stored"
    environment |= {"KEIM_API_URL": "https://env", "KEIM_API_TOKEN": "env"}
    assert connection_of(environment, now=NOW) == Connection(url="https://env", token="env")
    assert connection_of(environment, now=NOW, url="https://given").token == "env"
    del environment["KEIM_API_TOKEN"]
    assert connection_of(environment, now=NOW).token == "", "the stored token is for the stored address"


# ---- progress


def test_progress_tells_count_rate_and_time_left() -> None:
    now = [100.0]
    told = io.StringIO()
    progress = Progress("devices", 1000, stream=told, clock=lambda: now[0])
    progress.advance(10)
    assert told.getvalue() == "", "not every change is worth a line"
    now[0] += 10
    progress.advance(90)
    progress.end()
    assert told.getvalue() == "devices: 100 of 1,000 (10 %, 10/s, 1 min 30 s left)\n"


def test_progress_without_a_known_end_tells_what_it_knows() -> None:
    assert Progress("events", stream=io.StringIO(), clock=lambda: 0.0).line(0.0) == "events: 0 (0/s)"
    progress = Progress("events", 10**6, stream=io.StringIO(), clock=lambda: 0.0)
    progress.done = 10
    assert progress.line(1.0).endswith("27 h 46 min left)")
