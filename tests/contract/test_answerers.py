"""Answerers over real sockets: under our protocol and, as ASGI applications, under uvicorn's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keim.errors import Unreachable
from keim.io.answerer import Head, Reply
from keim.io.asgi import Asgi
from keim.io.http_bounds import Bounds
from keim.io.http_protocol import HEAD_LIMIT, protocol_of
from keim.io.serve import Listener, Server, event_loop

LIMIT = 1000
OK = b"HTTP/1.1 200 OK\r\n"
POST = b"POST /echo HTTP/1.1\r\nhost: x\r\n"


class Echo:
    """Tells what it was asked; `/gate` answers when the gate opens, `/fault` has one."""

    body_limit = LIMIT

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[str] = []

    def refuse(self, head: Head) -> Reply | None:
        if head.path == "/broken":
            raise RuntimeError("a fault before the body")
        return Reply(404, [], b"nothing") if head.path == "/nowhere" else None

    def too_large(self) -> Reply:
        return Reply(413, [(b"connection", b"close")], b"too large")

    async def respond(self, head: Head, body: bytes) -> Reply:
        self.asked.append(head.path)
        if head.path == "/gate":
            await self.gate.wait()
        if head.path == "/fault":
            raise RuntimeError("a fault of ours")
        if head.path == "/empty":
            return Reply(204, [])
        told = f"{head.method} {head.path} {head.query} {len(head.headers)} ".encode()
        return Reply(200, [(b"x-kind", b"echo")], told + body)


class Site:
    def __init__(self, **bounds: Any) -> None:
        self.echo = Echo()
        self.server = Server([self.listener()], **bounds)

    def listener(self) -> Listener:
        return Listener(name="x", host="127.0.0.1", port=0, application=self.echo)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.server.addresses["x"])

    async def say(self, octets: bytes) -> bytes:
        """All that comes until the other end closes; ours stays open."""
        reader, writer = await self.open()
        writer.write(octets)
        async with asyncio.timeout(10):
            heard = await reader.read()
        writer.transport.abort()
        return heard


class AsgiSite(Site):
    def listener(self) -> Listener:
        return Listener(name="x", host="127.0.0.1", port=0, application=Asgi(self.echo))


Script = Callable[[Any], Awaitable[Any]]


def run(script: Script, kind: type[Site] = Site, **bounds: Any) -> Any:
    async def whole() -> Any:
        site = kind(**bounds)
        ready = asyncio.Event()
        running = asyncio.ensure_future(
            site.server.run(on_ready=lambda _: ready.set(), handles_signals=False)
        )
        await ready.wait()
        try:
            async with asyncio.timeout(20):
                return await script(site)
        finally:
            site.server.stop()
            await running

    with asyncio.Runner(loop_factory=event_loop) as runner:
        return runner.run(whole())


both = pytest.mark.parametrize("kind", [Site, AsgiSite])
CLOSE = b"connection: close\r\n"


@both
@pytest.mark.parametrize(
    ("request_octets", "expected"),
    [
        (POST + CLOSE + b"content-length: 3\r\n\r\nabc", b"POST /echo  3 abc"),
        (b"GET /a%20b?c=%20d HTTP/1.1\r\nHOST: x\r\n" + CLOSE + b"\r\n", b"GET /a b c=%20d 2 "),
        (b"GET http://x/there?q HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n", b"GET /there q 2 "),
        (
            POST + CLOSE + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"POST /echo  3 abc",
        ),
    ],
)
def test_a_request_is_answered_as_it_came(kind: type[Site], request_octets: bytes, expected: bytes) -> None:
    heard = run(lambda site: site.say(request_octets), kind)
    assert heard.startswith(OK)
    assert heard.partition(b"\r\n\r\n")[2] == expected


@both
def test_a_head_request_gets_the_length_and_no_body(kind: type[Site]) -> None:
    heard = run(lambda site: site.say(b"HEAD /echo HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"), kind)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert b"content-length: 14" in head
    assert body == b""


@both
def test_an_answer_without_content_has_no_length(kind: type[Site]) -> None:
    heard = run(lambda site: site.say(b"POST /empty HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"), kind)
    assert heard.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"content-length" not in heard


@both
def test_a_body_beyond_the_limit_is_refused_and_the_connection_ends(kind: type[Site]) -> None:
    piece = b"%x\r\n%b\r\n" % (LIMIT, bytes(LIMIT))
    chunked = POST + b"transfer-encoding: chunked\r\n\r\n" + piece + piece
    heard = run(lambda site: site.say(chunked), kind)
    assert heard.startswith(b"HTTP/1.1 413 ")


@both
def test_requests_that_come_together_are_answered_one_by_one_in_order(kind: type[Site]) -> None:
    together = b"".join(
        b"POST /echo?%d HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n%d" % (number, number)
        for number in range(9)
    )
    heard = run(
        lambda site: site.say(together + b"GET /last HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"), kind
    )
    answers = [part.partition(b"\r\n\r\n")[2] for part in heard.split(OK)[1:]]
    assert answers == [b"POST /echo %d 2 %d" % (n, n) for n in range(9)] + [b"GET /last  2 "]


@both
def test_a_fault_of_ours_costs_one_request_and_no_connection(kind: type[Site]) -> None:
    fault = b"GET /fault HTTP/1.1\r\nhost: x\r\n\r\n"
    heard = run(lambda site: site.say(fault + b"GET /then HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"), kind)
    assert heard.startswith(b"HTTP/1.1 500 ")
    if kind is Site:  # uvicorn closes
        assert heard.endswith(b"GET /then  2 ")


def test_a_fault_before_the_body_is_told_as_ours() -> None:
    heard = run(lambda site: site.say(b"POST /broken HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"))
    assert heard.startswith(b"HTTP/1.1 500 ")


def test_a_refused_request_is_answered_before_its_body_which_is_passed_over() -> None:
    async def script(site: Site) -> list[bytes]:
        reader, writer = await site.open()
        writer.write(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc")
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(7)
        writer.write(b"defghi" + POST + CLOSE + b"\r\n")
        rest = await reader.read()
        writer.transport.abort()
        return [head, body, rest]

    head, body, rest = run(script)
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert body == b"nothing"
    assert rest.endswith(b"POST /echo  2 ")


@pytest.mark.parametrize("expectation", [b"100-continue", b"100-Continue"])
def test_who_expects_it_is_told_to_go_on(expectation: bytes) -> None:
    async def script(site: Site) -> tuple[bytes, bytes]:
        reader, writer = await site.open()
        writer.write(POST + CLOSE + b"expect: " + expectation + b"\r\ncontent-length: 3\r\n\r\n")
        told = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"abc")
        rest = await reader.read()
        writer.transport.abort()
        return told, rest

    told, rest = run(script)
    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert rest.endswith(b"abc")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"POST /echo HTTP/1.1\r\ncontent-length: many\r\n\r\n", b"400"),
        (b"POST /echo HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", b"400"),
        (b"GET /" + b"a" * HEAD_LIMIT + b" HTTP/1.1\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * HEAD_LIMIT, b"431"),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(octets: bytes, status: bytes) -> None:
    heard = run(lambda site: site.say(octets))
    assert heard.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in heard


def test_what_follows_a_change_of_protocol_is_not_heard() -> None:
    async def script(site: Site) -> tuple[bytes, list[str]]:
        upgrade = b"GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        return await site.say(upgrade + b"\x81\x00" + POST + b"\r\n"), site.echo.asked

    heard, asked = run(script)
    assert heard.startswith(OK)
    assert asked == ["/up"]


def test_a_client_that_sends_nothing_or_drop_by_drop_is_cut_off_and_counted() -> None:
    """Bounds are short here, so that nobody waits: the rule is the same."""

    async def script(site: Site) -> list[bytes]:
        heard = await asyncio.gather(
            site.say(b""),
            site.say(POST),
            site.say(POST + b"content-length: 9\r\n\r\nabc"),
            site.say(POST + CLOSE + b"content-length: 3\r\n\r\nabc"),
        )
        assert site.server.slow == {"x": 3}
        return list(heard)

    nothing, headers, body, whole = run(script, header_timeout_s=0.2, body_timeout_s=0.2)
    assert nothing == headers == body == b""
    assert whole.startswith(OK)


def test_a_server_that_stops_ends_what_it_has_begun() -> None:
    async def script(site: Site) -> bytes:
        reader, writer = await site.open()
        _, idle = await site.open()
        writer.write(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n")
        while not site.echo.asked:
            await asyncio.sleep(0)
        site.server.stop()
        for _ in range(3):
            await asyncio.sleep(0)
        site.echo.gate.set()
        heard = await reader.read()
        writer.transport.abort()
        idle.transport.abort()
        return heard

    heard = run(script)
    assert heard.startswith(OK)


def test_whoever_goes_away_while_an_answer_is_made_disturbs_nobody() -> None:
    async def script(site: Site) -> bytes:
        _, writer = await site.open()
        writer.write(b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n")
        while not site.echo.asked:
            await asyncio.sleep(0)
        writer.transport.abort()
        site.echo.gate.set()
        return await site.say(POST + CLOSE + b"\r\n")

    assert run(script).startswith(OK)


class Deaf:
    """A transport whose other end takes nothing."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_aborted = self.is_closed = False

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.1", 7) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class State:
    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.tasks: set[Any] = set()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_client_that_takes_nothing_is_answered_once_and_aborted_in_the_end() -> None:
    async def script() -> None:
        echo, deaf = Echo(), Deaf()
        bounds = Bounds(echo, header_timeout_s=9, body_timeout_s=9)
        protocol = protocol_of(bounds)(server_state=State())
        protocol.connection_made(deaf)
        protocol.pause_writing()
        protocol.data_received((POST + b"content-length: 0\r\n\r\n") * 3)
        await turns()
        assert (echo.asked, deaf.written) == ([], [])
        protocol.resume_writing()
        await turns()
        assert len(deaf.written) == 3
        protocol.pause_writing()
        assert protocol.end_of_time() is False  # it is idle, not slow
        assert deaf.is_aborted
        protocol.connection_lost(None)

    asyncio.run(script())


def test_beyond_the_most_connections_nobody_is_let_in_and_it_is_counted() -> None:
    async def script(site: Site) -> tuple[bytes, bytes]:
        inside = []
        for count in (1, 2):
            reader, writer = await site.open()
            writer.write(b"GET /gate HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n")
            inside.append((reader, writer))
            while len(site.echo.asked) < count:
                await asyncio.sleep(0)
        turned_away = await site.say(b"")
        assert site.server.refused == {"x": 1}
        site.echo.gate.set()
        answer = await inside[0][0].read()
        for _, writer in inside:
            writer.transport.abort()
        return turned_away, answer

    turned_away, answer = run(script, connections=2)
    assert turned_away == b""
    assert answer.startswith(OK)


def test_where_room_is_short_the_longest_silent_connection_between_two_requests_ends() -> None:
    async def script(site: Site) -> None:
        silent, writer = await site.open()
        writer.write(POST + b"content-length: 0\r\n\r\n")
        await silent.readuntil(b"POST /echo  2 ")
        for _ in range(3):
            assert (await site.say(POST + CLOSE + b"content-length: 0\r\n\r\n")).startswith(OK)
        assert await silent.read() == b""
        writer.transport.abort()
        assert (site.server.refused, site.server.slow) == ({}, {})

    run(script, connections=2)


def test_a_client_that_only_ends_its_own_side_is_answered() -> None:
    async def script(site: Site) -> bytes:
        reader, writer = await site.open()
        request = b"GET /gate HTTP/1.1\r\nhost: x\r\n\r\n"
        writer.write(request + request)
        writer.write_eof()
        while not site.echo.asked:
            await asyncio.sleep(0)
        site.echo.gate.set()
        heard = await reader.read()
        writer.transport.abort()
        return heard

    assert run(script).count(OK) == 2


@both
@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nx: " + b"a" * 9 * HEAD_LIMIT,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (2 * HEAD_LIMIT),
        POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx: " + b"a" * 9 * HEAD_LIMIT,
        POST + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * (2 * HEAD_LIMIT),
        POST + b"transfer-encoding: chunked\r\n\r\n1;" + b"a" * 9 * HEAD_LIMIT,
    ],
)
def test_what_is_no_body_is_bounded_wherever_it_stands(kind: type[Site], octets: bytes) -> None:
    async def script(site: Site) -> None:
        reader, writer = await site.open()
        writer.write(octets)
        try:
            heard = await reader.read()
        except ConnectionResetError:  # closed before all of it was taken
            heard = b""
        writer.transport.abort()
        assert heard == b"" or heard.startswith(b"HTTP/1.1 4")
        assert site.server.broken == {"x": 1}

    run(script, kind)


def test_trailers_are_no_headers() -> None:
    chunked = POST + CLOSE + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-more: y\r\n\r\n"
    assert run(lambda site: site.say(chunked)).endswith(b"POST /echo  3 x")


def test_a_client_that_was_refused_is_silent_and_not_slow_afterwards() -> None:
    async def script() -> None:
        deaf = Deaf()
        bounds = Bounds(Echo(), header_timeout_s=1, body_timeout_s=1, idle_timeout_s=900)
        protocol = protocol_of(bounds)(server_state=State())
        protocol.connection_made(deaf)
        protocol.data_received(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx")
        assert deaf.written[0].startswith(b"HTTP/1.1 404 ")
        assert protocol.deadline > asyncio.get_running_loop().time() + 800
        assert protocol.end_of_time() is False
        protocol.connection_lost(None)

    asyncio.run(script())


def test_an_address_that_is_taken_is_told_and_nothing_else_is() -> None:
    async def script(site: Site) -> None:
        host, port = site.server.addresses["x"]
        taken = Listener(name="y", host=host, port=port, application=site.echo)
        second = Server([site.listener(), taken])
        work = asyncio.sleep(9)
        with pytest.raises(Unreachable):
            await second.run(background=(work,), handles_signals=False)
        with pytest.raises(RuntimeError):  # it is closed, so nobody complains that it was never awaited
            await work

    run(script)
