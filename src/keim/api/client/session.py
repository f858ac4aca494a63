"""Calls of the API: JSON in and out, refusals as exceptions, pages, feeds, polite repetition.

Every change carries an `Idempotency-Key`, so that it may be sent again when no answer came.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from keim.api.client.problems import error_of
from keim.api.client.transport import Answer, Request, Stream, Transport
from keim.errors import PeerError, TimedOut

T = TypeVar("T")
TRIES: Final = 3
LONGEST_PAUSE_S: Final = 60.0
JSON: Final = "application/json"


def as_text(value: Any) -> str:
    """For msgspec: an `Eid` or an `Iccid` is text like any other."""
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


class FeedEvent(NamedTuple):
    id: str
    type: str
    data: bytes


class Session:
    def __init__(
        self,
        transport: Transport,
        *,
        token: str = "",
        tenant: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._headers = {"accept": JSON, "user-agent": "keim-client"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        if tenant:
            self._headers["keim-tenant"] = tenant
        self._sleep = sleep

    def call(
        self,
        type_: type[T],
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        etag: str | None = None,
        key: str | None = None,
    ) -> T:
        """The answer as `type_`; members that it does not know are left out.

        `key` makes the same change by another run of a program the same change.
        """
        headers = dict(self._headers)
        if etag is not None:
            headers["if-match"] = etag
        octets = None
        if body is not None:
            headers["content-type"] = JSON
            octets = msgspec.json.encode(body, enc_hook=as_text)
        if method != "GET":
            headers["idempotency-key"] = key or uuid.uuid4().hex
        request = Request(method=method, target=_target(path, query), headers=headers, body=octets)
        return self._read(type_, self._patiently(request))

    def upload(
        self,
        type_: type[T],
        path: str,
        pieces: Iterable[bytes],
        *,
        media_type: str,
        length: int | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> T:
        """Never sent twice: its pieces are gone."""
        headers = {**self._headers, "content-type": media_type}
        request = Request(
            method="POST", target=_target(path, query), headers=headers, body=pieces, length=length
        )
        answer = self._transport.send(request)
        if answer.status >= 400:
            raise error_of(answer)
        return self._read(type_, answer)

    def download(self, path: str, *, method: str = "GET", query: Mapping[str, Any] | None = None) -> Stream:
        """An answer of any size."""
        stream = self._transport.open(
            Request(method=method, target=_target(path, query), headers={**self._headers, "accept": "*/*"})
        )
        if stream.status >= 400:
            answer = Answer(stream.status, stream.headers, stream.rest())
            stream.close()
            raise error_of(answer)
        return stream

    def pages(
        self, type_: type[T], path: str, *, query: Mapping[str, Any] | None = None, limit: int | None = None
    ) -> Iterator[T]:
        """Every item of a list, page by page; `limit` ends it."""
        wanted = dict(query or {})
        left = limit
        while True:
            if left is not None:
                wanted["limit"] = min(left, 1000)
            page = self.call(_Page, "GET", path, query=wanted)
            yield from (_decoded(item, type_) for item in page.items)
            if left is not None:
                left -= len(page.items)
            if page.next is None or left == 0:
                return
            wanted["cursor"] = page.next

    def feed(
        self, path: str, *, query: Mapping[str, Any] | None = None, after: str = ""
    ) -> Iterator[FeedEvent]:
        """Events for ever: a broken connection is opened again behind the last one (server-sent events)."""
        failures = 0
        while True:
            headers = {**self._headers, "accept": "text/event-stream"}
            if after:
                headers["last-event-id"] = after
            try:
                stream = self._transport.open(
                    Request(method="GET", target=_target(path, query), headers=headers)
                )
            except TimedOut:
                stream = None
            if stream is not None:
                if stream.status >= 400:
                    answer = Answer(stream.status, stream.headers, stream.rest())
                    stream.close()
                    raise error_of(answer)
                try:
                    for event in events_in(stream.lines()):
                        after, failures = event.id or after, 0
                        yield event
                finally:
                    stream.close()
            failures += 1
            self._sleep(min(2.0**failures, LONGEST_PAUSE_S))

    def _patiently(self, request: Request) -> Answer:
        """Repeats what the server has put off, and what may have been lost."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._transport.send(request)
            except TimedOut:
                if attempt == TRIES:
                    raise
                continue
            if answer.status not in (429, 503) or attempt == TRIES:
                break
            self._sleep(_pause(answer))
        if answer.status >= 400:
            raise error_of(answer)
        return answer

    def _read(self, type_: type[T], answer: Answer) -> T:
        if type_ is type(None):
            return None
        if type_ is bytes:
            return answer.body  # type: ignore[return-value]  # T is bytes here
        return _decoded(answer.body, type_)

    def close(self) -> None:
        self._transport.close()


class _Page(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]
    next: str | None = None


def _decoded(octets: bytes | msgspec.Raw, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(octets, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerError(
            f"the answer is not what the API promises: {error}", code="client.broken_answer", party="server"
        ) from None


def _target(path: str, query: Mapping[str, Any] | None) -> str:
    given = {name: _words(value) for name, value in (query or {}).items() if value is not None}
    target = quote(f"/v1{path}", safe="/-._~")
    return f"{target}?{urlencode(given, doseq=True)}" if given else target


def _words(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [str(one) for one in value] if isinstance(value, list | tuple) else str(value)


def _pause(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_PAUSE_S) if text.isascii() and text.isdecimal() else 1.0


def events_in(lines: Iterable[bytes]) -> Iterator[FeedEvent]:
    """Server-sent events; comments (heartbeats) are passed over."""
    id_, kind = "", "message"
    data: list[bytes] = []
    for line in lines:
        if not line:
            if data:
                yield FeedEvent(id_, kind, b"\n".join(data))
            kind, data = "message", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"id":
                id_ = value.decode()
            case b"event":
                kind = value.decode()
            case b"data":
                data.append(value)
