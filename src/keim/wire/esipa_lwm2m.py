"""ESipa over object 3443 of LwM2M: the device's resources, and the server's words (bindings §11.1).

Messages alternate: what the IPA says stands in resource 3 until the server clears it or writes the answer to
resource 2; what the eIM says is written to resource 2. Pure; imports keim.errors and this package.
"""

from __future__ import annotations

from typing import Final

import msgspec

from keim.errors import Malformed
from keim.ids import Eid
from keim.wire import lwm2m
from keim.wire.alternation import answers, digest_of, function_of
from keim.wire.coap import numbers
from keim.wire.coap.events import Request, Response
from keim.wire.esipa import EsipaFunction
from keim.wire.lwm2m import FORMAT_TLV
from keim.wire.lwm2m_tlv import integer, read_resources, write_resource

READY: Final = 0
BUSY: Final = 1
_TEXT: Final[tuple[int | None, int]] = (None, numbers.FORMAT_TEXT)
_OCTETS: Final[tuple[int | None, int]] = (None, numbers.FORMAT_OCTETS)
_OPERATIONS: Final = {
    lwm2m.INSTANCE: numbers.GET,
    lwm2m.STATE: numbers.GET,
    lwm2m.EID: numbers.GET,
    lwm2m.EIM_MESSAGE: numbers.PUT,
    lwm2m.IPA_MESSAGE: numbers.GET,
    lwm2m.CLEAR: numbers.POST,
}


class Answered(msgspec.Struct, frozen=True):
    """The eIM has answered the request that stood in resource 3; empty where the function has no answer."""

    message: bytes


class Injected(msgspec.Struct, frozen=True):
    message: bytes


class Cleared(msgspec.Struct, frozen=True):
    """The server has what stood in resource 3."""


Event = Answered | Injected | Cleared


class EsimObject:
    """Object 3443 of one device. `takes_injections`: there is somebody who has time for them."""

    def __init__(self, eid: Eid, *, takes_injections: bool) -> None:
        self._eid = eid
        self._takes_injections = takes_injections
        self.state = READY
        self.message = b""
        """Resource 3."""
        self._asked = b""

    def ask(self, message: bytes) -> None:
        self.message = self._asked = message

    def give_up(self) -> None:
        """Nobody waits for an answer any more."""
        if self.message == self._asked:
            self.message = b""
        self._asked = b""

    def reply(self, message: bytes) -> None:
        """The answer to an injection; the next may come."""
        self.message, self.state = message, READY

    def value(self, path: tuple[str, ...], *, accept: int | None = None) -> Response:
        """The representation that a GET or a notification carries."""
        raw: dict[tuple[str, ...], tuple[int, bytes, bytes, tuple[int | None, int]]] = {
            lwm2m.STATE: (0, b"%d" % self.state, integer(self.state), _TEXT),
            lwm2m.EID: (1, self._eid.encode(), self._eid.encode(), _TEXT),
            lwm2m.IPA_MESSAGE: (3, self.message, self.message, _OCTETS),
        }
        if path == lwm2m.INSTANCE:
            if accept not in (None, FORMAT_TLV):
                return Response(numbers.NOT_ACCEPTABLE)
            body = b"".join(write_resource(number, value) for number, _, value, _ in raw.values())
            return Response(numbers.CONTENT, body, FORMAT_TLV)
        number, plain, in_tlv, formats = raw[path]
        if accept == FORMAT_TLV:
            return Response(numbers.CONTENT, write_resource(number, in_tlv), FORMAT_TLV)
        if accept not in formats:
            return Response(numbers.NOT_ACCEPTABLE)
        return Response(numbers.CONTENT, plain, formats[1])

    def serve(self, request: Request) -> tuple[Response, Event | None]:
        """The answer to a request of the server, and what it brought about."""
        path = request.path
        operation = _OPERATIONS.get(path)
        if operation is None:
            return Response(numbers.NOT_FOUND), None
        if request.method != operation:
            return Response(numbers.METHOD_NOT_ALLOWED), None
        if path == lwm2m.EIM_MESSAGE:
            return self._write(request)
        if path == lwm2m.CLEAR:
            return self._clear(request.body)
        return self.value(path, accept=request.accept), None

    def _clear(self, argument: bytes) -> tuple[Response, Event | None]:
        """With an argument only the very message that it names: a server may be late."""
        if argument and argument != _argument(self.message):
            return Response(numbers.BAD_REQUEST, b"another message stands there"), None
        is_notification = function_of(self._asked) is EsipaFunction.HANDLE_NOTIFICATION
        if self._asked and self.message == self._asked and is_notification:
            self.give_up()
            return Response(numbers.CHANGED), Answered(b"")
        self.message = b""
        return Response(numbers.CHANGED), Cleared()

    def _write(self, request: Request) -> tuple[Response, Event | None]:
        try:
            message = _written(request)
        except Malformed as error:
            return Response(numbers.BAD_REQUEST, str(error).encode()), None
        if message is None:
            return Response(numbers.UNSUPPORTED_CONTENT_FORMAT), None
        if self.state != READY:
            return Response(numbers.METHOD_NOT_ALLOWED, b"State is 1"), None
        function = function_of(message)
        if function is EsipaFunction.TRANSFER_EIM_PACKAGE:
            if not self._takes_injections:
                return Response(numbers.METHOD_NOT_ALLOWED, b"nobody takes packages now"), None
            self.state = BUSY
            return Response(numbers.CHANGED), Injected(message)
        if not self._asked or not answers(self._asked, message):
            return Response(numbers.BAD_REQUEST, b"this answers nothing that was asked"), None
        self.give_up()
        return Response(numbers.CHANGED), Answered(message)


def _written(request: Request) -> bytes | None:
    """The message in a Write; None for a format that we do not read."""
    if request.content_format in _OCTETS:
        return request.body
    if request.content_format != FORMAT_TLV:
        return None
    found = read_resources(request.body)
    if set(found) != {2}:
        raise Malformed("resource 2 and nothing else is written", offset=0, code="lwm2m.malformed_tlv")
    return found[2]


# the server's words


def write_message(message: bytes) -> Request:
    return Request(
        method=numbers.PUT, path=lwm2m.EIM_MESSAGE, content_format=numbers.FORMAT_OCTETS, body=message
    )


def clear(message: bytes = b"") -> Request:
    """`message` is what the server has; without it whatever stands there is cleared."""
    if not message:
        return Request(path=lwm2m.CLEAR)
    return Request(path=lwm2m.CLEAR, content_format=numbers.FORMAT_TEXT, body=_argument(message))


def _argument(message: bytes) -> bytes:
    """Argument 0 of an Execute (LwM2M 1.0 §5.4.5): the message's digest."""
    return f"0='{digest_of(message).hex()}'".encode()


def read(path: tuple[str, ...], *, observes: bool = False) -> Request:
    return Request(method=numbers.GET, path=path, observe=0 if observes else None)
