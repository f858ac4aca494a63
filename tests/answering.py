"""What passes between clients and answerers (`keim.io.answerer`), as values and without a network."""

from __future__ import annotations

from keim.io.answerer import Answerer, Head
from keim.wire.http import HttpRequest, HttpResponse


async def answer_of(answerer: Answerer, request: HttpRequest) -> HttpResponse:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
    head = Head(request.method, request.path, request.query, headers, ("192.0.2.1", 7), request.peer)
    reply = answerer.refuse(head) or await answerer.respond(head, request.body)
    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in reply.headers}
    return HttpResponse(reply.status, told, reply.body)


def answered(body: bytes) -> HttpResponse:
    """A server's answer of that body."""
    return HttpResponse(200 if body else 204, {}, body)
