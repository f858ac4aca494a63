"""ESipa over CoAP: what a request must be, what an answer may be."""

from __future__ import annotations

import pytest

from keim.errors import Malformed, PeerError
from keim.wire.coap.events import Request, Response
from keim.wire.coap.message import Message, encode
from keim.wire.coap.requester import _request_options
from keim.wire.esipa_coap import busy, read_answer, read_request, refuse, write_answer, write_request

POLL = bytes.fromhex("BF4F125A1089044045930000000000001234567853")


def test_a_poll_has_the_octets_of_the_sheet() -> None:
    request = write_request(POLL)
    options = _request_options(request, None, None)
    octets = encode(Message(0, request.method, 1, b"\xa1", options, request.body))
    assert octets[:22].hex().upper() == "41020001A1B467736D6104727370320461736E31112A"
    assert octets[22:] == b"\xff" + POLL


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Request(path=("gsma",), body=POLL), 0x84),
        (Request(path=(), body=POLL), 0x84),
        (Request(method=1, path=("gsma", "rsp2", "asn1"), body=POLL), 0x85),
        (Request(path=("esipa",), content_format=50, body=POLL), 0x8F),
        (Request(path=("esipa",), content_format=42), 0x80),
    ],
)
def test_other_requests_are_refused(request_: Request, code: int) -> None:
    refusal = read_request(request_)
    assert isinstance(refusal, Response)
    assert refusal.code == code


@pytest.mark.parametrize("path", [("gsma", "rsp2", "asn1"), ("esipa",)])
@pytest.mark.parametrize("content_format", [42, None])
def test_both_paths_are_served_with_or_without_a_format(
    path: tuple[str, ...], content_format: int | None
) -> None:
    assert read_request(Request(path=path, content_format=content_format, body=POLL)) == POLL


@pytest.mark.parametrize("code", [0x44, 0x45, 0x41])
def test_each_success_is_an_answer(code: int) -> None:
    assert read_answer(Response(code, b"\x30\x00", 42)) == b"\x30\x00"
    assert read_answer(Response(code)) == b""


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Response(0x84, b"where?"), "coap.status"), (Response(0x44, b"{}", 50), "coap.answer_unreadable")],
)
def test_what_is_no_answer_is_told_with_its_evidence(answer: Response, code: str) -> None:
    with pytest.raises(PeerError) as caught:
        read_answer(answer)
    assert caught.value.code == code
    assert caught.value.evidence


def test_answers_are_written_by_the_rules() -> None:
    assert write_answer(b"\x30\x00") == Response(0x44, b"\x30\x00", 42)
    assert write_answer(b"") == Response(0x44)
    assert refuse(Malformed("no TLV", offset=3)).code == 0x80
    assert busy(90) == Response(0xA3, max_age_s=90)
