"""The HTTP client against a server that answers whatever the test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from keim.errors import KeimError, Refused
from keim.io.http_client import HttpClient
from keim.io.metrics import Counters
from keim.wire.http import HttpRequest, HttpResponse

REQUEST = HttpRequest("POST", "/x", {"content-type": "text/plain"}, b"hello", query="a=1")


def exchange(
    answers: list[bytes | None], use: Callable[[HttpClient], Coroutine[Any, Any, Any]]
) -> tuple[Any, list[bytes], int]:
    """`answers` are sent, one for each request; None closes. Returns (result, requests, connections)."""
    heard: list[bytes] = []
    connections = 0
    tasks: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        tasks.append(asyncio.current_task())
        while True:
            try:
                heard.append(await reader.readuntil(b"hello"))
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            answer = answers.pop(0)
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
            if b"close" in answer or (
                b"length" not in answer and b"chunked" not in answer and b"204" not in answer
            ):
                break
        writer.close()

    async def script() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = HttpClient(f"http://127.0.0.1:{port}", timeout_s=5)
        try:
            return await use(client)
        finally:
            client.close()
            await asyncio.gather(*tasks)
            server.close()
            await server.wait_closed()

    return asyncio.run(script()), heard, connections


async def once(client: HttpClient) -> HttpResponse:
    return await client.send(REQUEST)


async def twice(client: HttpClient) -> list[HttpResponse]:
    return [await client.send(REQUEST), await client.send(REQUEST)]


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

ANSWERS = [
    (OK, 200, b"ok"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nt: v\r\n\r\n",
        200,
        b"abc",
    ),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
    (b"HTTP/1.0 404 No\r\nContent-Length: 0\r\nconnection: close\r\n\r\n", 404, b""),
]


@pytest.mark.parametrize(("answer", "status", "body"), ANSWERS)
def test_every_form_of_answer_is_read(answer: bytes, status: int, body: bytes) -> None:
    reply, heard, _ = exchange([answer], once)
    assert (reply.status, reply.body) == (status, body)
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "POST /x?a=1 HTTP/1.1"
    assert "content-length: 5" in lines
    assert any(line.startswith("host: 127.0.0.1:") for line in lines)


def test_a_connection_is_used_again() -> None:
    replies, _, connections = exchange([OK, OK], twice)
    assert [reply.body for reply in replies] == [b"ok", b"ok"]
    assert connections == 1


def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nx-then: close\r\n\r\n")
    replies, heard, connections = exchange([closing, OK], twice)
    assert [reply.body for reply in replies] == [b"ok", b"ok"]
    assert (len(heard), connections) == (2, 2)


BROKEN = [
    None,
    b"hello\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nno colon here\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: x\r\nconnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
]


@pytest.mark.parametrize("answer", BROKEN)
def test_a_broken_answer_is_told_and_never_sent_twice(answer: bytes | None) -> None:
    async def use(client: HttpClient) -> str:
        with pytest.raises(KeimError) as caught:
            await client.send(REQUEST)
        return caught.value.code

    code, heard, _ = exchange([answer], use)
    assert code == "exchange.broken_answer"
    assert len(heard) == 1


def test_a_silent_server_is_a_timeout_whose_outcome_is_unknown() -> None:
    async def script() -> str:
        tasks: list[Any] = []

        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.append(asyncio.current_task())
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(never, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = HttpClient(f"http://127.0.0.1:{port}", timeout_s=0.05)
        with pytest.raises(KeimError) as caught:
            await client.send(REQUEST)
        client.close()
        await asyncio.gather(*tasks)
        server.close()
        await server.wait_closed()
        return caught.value.code

    assert asyncio.run(script()) == "exchange.timed_out"


def test_nobody_listens() -> None:
    async def script() -> str:
        with pytest.raises(KeimError) as caught:
            await HttpClient("http://127.0.0.1:1").send(REQUEST)
        return caught.value.code

    assert asyncio.run(script()) == "exchange.unreachable"


@pytest.mark.parametrize("base", ["", "host", "ftp://host", "https://", "http:///x"])
def test_an_address_that_is_none_is_refused(base: str) -> None:
    with pytest.raises(Refused) as caught:
        HttpClient(base)
    assert caught.value.code == "exchange.bad_address"


def test_strangers_make_no_labels_in_the_metrics() -> None:
    counters = Counters(frozenset({"/known"}))
    for path in ("/known", "/known", '/evil"\n', "/8900"):
        counters.observe(path, 200)
    text = counters.text({"things{state": {"b": 2, "a": 1}, "plain": {"": 3}})
    assert text.splitlines() == [
        "# TYPE keim_http_responses_total counter",
        'keim_http_responses_total{path="/known",status="200"} 2',
        'keim_http_responses_total{path="other",status="200"} 2',
        "# TYPE things gauge",
        'things{state="a"} 1',
        'things{state="b"} 2',
        "# TYPE plain gauge",
        "plain 3",
    ]
