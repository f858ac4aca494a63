"""LwM2M without sockets: registration, TLV, the registry's clock, object 3443 and its refusals."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.der import tlv
from keim.errors import Malformed
from keim.ids import Eid
from keim.wire import lwm2m
from keim.wire.coap import numbers
from keim.wire.coap.events import Request, Response
from keim.wire.esipa_lwm2m import (
    BUSY,
    READY,
    Answered,
    Cleared,
    EsimObject,
    Injected,
    clear,
    read,
    write_message,
)
from keim.wire.lwm2m import Registration, Update
from keim.wire.lwm2m_registry import Registry
from keim.wire.lwm2m_send import read_send, write_send
from keim.wire.lwm2m_tlv import integer, read_resources, write_resource

EID = Eid("89044045930000000000001234567853")
OTHER = Eid("89044045930000000000001234567952")
NAME = f"urn:eid:{EID}"
POLL = tlv(0xBF4F, tlv(0x5A, EID.octets))
NOTHING = bytes.fromhex("BF4F03020101")
PUSH = tlv(0xBF4E, tlv(0xBF52, tlv(0x5C, b"\x81")))
NOTE = tlv(0xBF3D, tlv(0xA0, tlv(0x30)))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("is_queued", [False, True])
def test_a_registration_survives_the_way(version: str, is_queued: bool) -> None:
    sent = Registration(
        endpoint=NAME, lifetime_s=300, version=version, is_queued=is_queued, objects=("/3443/0", "/1/0")
    )
    found = lwm2m.read_register(lwm2m.write_register(sent))
    assert found == sent
    assert isinstance(found, Registration)
    assert found.eid == EID


def register(*query: str, body: bytes = b"</3443/0>", **more: Any) -> Request:
    return Request(path=("rd",), query=query, body=body, **more)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (register("lwm2m=1.0"), 0x80),
        (register("ep=", "lwm2m=1.0"), 0x80),
        (register(f"ep={'x' * 129}", "lwm2m=1.0"), 0x80),
        (register(f"ep={NAME}", "lwm2m=1.0", "lt=0"), 0x80),
        (register(f"ep={NAME}", "lwm2m=1.0", "lt=-5"), 0x80),
        (register(f"ep={NAME}", "lwm2m=1.0", "lt=x"), 0x80),
        (register(f"ep={NAME}", "lwm2m=1.0", f"lt={'9' * 5000}"), 0x80),
        (register(f"ep={NAME}", "lwm2m=9.9"), 0x8C),
        (register(f"ep={NAME}"), 0x8C),
        (register(f"ep={NAME}", "lwm2m=1.1", body=b"</3/0>"), 0x80),
        (register(f"ep={NAME}", "lwm2m=1.1", body=b"\xff\xfe"), 0x80),
        (register(f"ep={NAME}", "lwm2m=1.1", content_format=50), 0x8F),
    ],
)
def test_a_registration_that_makes_no_sense_has_its_code(request_: Request, code: int) -> None:
    refusal = lwm2m.read_register(request_)
    assert isinstance(refusal, Response)
    assert refusal.code == code


def test_links_with_attributes_and_versions_are_read() -> None:
    found = lwm2m.read_register(
        register(f"ep={NAME}", "lwm2m=1.1", "b=UQ", body=b'</>;rt="oma.lwm2m",</3443/0>,</3/0>;ver=1.1')
    )
    assert isinstance(found, Registration)
    assert found.objects == ("/", "/3443/0", "/3/0")
    assert found.is_queued
    assert found.lifetime_s == 86_400


@pytest.mark.parametrize("endpoint", ["device-7", "urn:eid:123", "urn:imei:490154203237518"])
def test_an_endpoint_that_is_not_named_by_its_eid_names_none(endpoint: str) -> None:
    assert Registration(endpoint=endpoint).eid is None


def test_the_registry_forgets_who_is_silent_and_lets_nobody_in_twice() -> None:
    registry = Registry(most=2)
    first = registry.register("a", EID, Registration(endpoint=NAME, lifetime_s=60), "there", 1000.0)
    assert first is not None
    again = registry.register("b", EID, Registration(endpoint=NAME, lifetime_s=60), "there", 1010.0)
    assert again is not None
    assert registry.at("a") is None
    assert len(registry) == 1
    other = registry.register("c", OTHER, Registration(endpoint="x", lifetime_s=600), "else", 1010.0)
    assert other is not None
    third = Eid("89044045930000000000001234568050")
    assert registry.register("d", third, Registration(endpoint="y"), "full", 1010.0) is None
    registry.update(again, Update(lifetime_s=100), "moved", 1020.0)
    assert registry.speaking("moved") is again
    assert registry.speaking("there") is None
    assert registry.expire(1119.0) == []
    assert registry.expire(1120.0) == [again]
    assert registry.of(EID) is None
    assert registry.of(OTHER) is other


def test_queue_mode_listens_for_93_seconds() -> None:
    registry = Registry()
    entry = registry.register("a", EID, Registration(endpoint=NAME, is_queued=True), "there", 1000.0)
    assert entry is not None
    assert entry.is_awake(1092.9)
    assert not entry.is_awake(1093.0)
    registry.update(entry, Update(is_queued=False), "there", 1200.0)
    assert entry.is_awake(9999.0)


@given(st.integers(0, 0xFFFF), st.binary(max_size=400))
def test_resources_survive_tlv(number: int, value: bytes) -> None:
    assert read_resources(write_resource(number, value)) == {number: value}


@given(st.binary(max_size=40))
def test_any_octets_are_resources_or_refused(data: bytes) -> None:
    try:
        found = read_resources(data)
    except Malformed:
        return
    assert sum(len(value) for value in found.values()) <= len(data)


def test_tlv_has_the_octets_of_the_specification() -> None:
    assert write_resource(0, b"Open Mobile Alliance") == bytes.fromhex("C80014") + b"Open Mobile Alliance"
    assert write_resource(2, bytes(300))[:4] == bytes.fromhex("D002012C")
    assert write_resource(3443, b"\x01") == bytes.fromhex("E10D7301")
    assert [integer(value) for value in (0, -1, 200, 70_000)] == [
        b"\0", b"\xff", b"\0\xc8", b"\0\x01\x11\x70",
    ]  # fmt: skip


def esim(*, takes: bool = True) -> EsimObject:
    return EsimObject(EID, takes_injections=takes)


def test_the_object_tells_its_state_and_eid_in_text_and_tlv() -> None:
    thing = esim()
    assert thing.serve(read(lwm2m.EID))[0] == Response(numbers.CONTENT, EID.encode(), 0)
    assert thing.serve(read(lwm2m.STATE))[0].body == b"0"
    in_tlv = Request(method=numbers.GET, path=lwm2m.INSTANCE)
    assert read_resources(thing.serve(in_tlv)[0].body) == {0: b"\0", 1: EID.encode(), 3: b""}
    one = Request(method=numbers.GET, path=lwm2m.EID, accept=lwm2m.FORMAT_TLV)
    assert read_resources(thing.serve(one)[0].body) == {1: EID.encode()}


def test_a_request_stands_in_resource_3_until_it_is_answered() -> None:
    thing = esim()
    thing.ask(POLL)
    assert thing.serve(read(lwm2m.IPA_MESSAGE))[0] == Response(numbers.CONTENT, POLL, 42)
    response, event = thing.serve(write_message(NOTHING))
    assert (response.code, event) == (numbers.CHANGED, Answered(NOTHING))
    assert thing.message == b""
    response, event = thing.serve(write_message(NOTHING))
    assert (response.code, event) == (numbers.BAD_REQUEST, None)


def test_clearing_answers_a_function_without_an_answer_and_no_other() -> None:
    thing = esim()
    thing.ask(POLL)
    assert thing.serve(clear())[1] == Cleared()
    assert thing.serve(write_message(NOTHING))[1] == Answered(NOTHING)
    thing.ask(NOTE)
    assert thing.serve(clear(NOTE + b"\0")) == (
        Response(numbers.BAD_REQUEST, b"another message stands there"),
        None,
    )
    assert thing.serve(clear(NOTE))[1] == Answered(b"")
    thing.ask(NOTE)
    assert thing.serve(clear())[1] == Answered(b"")  # a server that gives no argument
    assert thing.serve(clear())[1] == Cleared()


def test_a_pushed_package_makes_the_device_busy_until_it_replies() -> None:
    thing = esim()
    response, event = thing.serve(write_message(PUSH))
    assert (response.code, event, thing.state) == (numbers.CHANGED, Injected(PUSH), BUSY)
    assert thing.serve(write_message(PUSH))[0].code == numbers.METHOD_NOT_ALLOWED
    thing.reply(bytes.fromhex("BF4E020500"))
    assert thing.state == READY
    assert thing.serve(read(lwm2m.IPA_MESSAGE))[0].body == bytes.fromhex("BF4E020500")
    assert thing.serve(clear())[1] == Cleared()
    assert thing.message == b""


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (write_message(PUSH), numbers.METHOD_NOT_ALLOWED),  # nobody takes packages here
        (write_message(NOTHING), numbers.BAD_REQUEST),
        (write_message(b""), numbers.BAD_REQUEST),
        (Request(method=numbers.PUT, path=lwm2m.EIM_MESSAGE, content_format=0, body=b"x"), 0x8F),
        (Request(method=numbers.PUT, path=lwm2m.EIM_MESSAGE, content_format=11542, body=b"\xff"), 0x80),
        (Request(method=numbers.PUT, path=lwm2m.EID, body=b"x"), numbers.METHOD_NOT_ALLOWED),
        (Request(method=numbers.GET, path=lwm2m.EIM_MESSAGE), numbers.METHOD_NOT_ALLOWED),
        (Request(method=numbers.GET, path=("3443", "1", "0")), numbers.NOT_FOUND),
        (Request(method=numbers.GET, path=("3", "0", "0")), numbers.NOT_FOUND),
        (Request(method=numbers.GET, path=lwm2m.EID, accept=50), numbers.NOT_ACCEPTABLE),
        (Request(method=numbers.GET, path=lwm2m.INSTANCE, accept=50), numbers.NOT_ACCEPTABLE),
        (Request(method=numbers.DELETE, path=lwm2m.INSTANCE), numbers.METHOD_NOT_ALLOWED),
    ],
)
def test_what_the_object_does_not_offer_is_refused_and_changes_nothing(request_: Request, code: int) -> None:
    thing = esim(takes=False)
    response, event = thing.serve(request_)
    assert (response.code, event) == (code, None)
    assert (thing.state, thing.message) == (READY, b"")


def test_an_answer_may_come_in_tlv() -> None:
    thing = esim()
    thing.ask(POLL)
    request = Request(
        method=numbers.PUT, path=lwm2m.EIM_MESSAGE, content_format=11542, body=write_resource(2, NOTHING)
    )
    assert thing.serve(request)[1] == Answered(NOTHING)


def test_who_gave_up_waiting_takes_no_late_answer() -> None:
    thing = esim()
    thing.ask(POLL)
    thing.give_up()
    assert thing.message == b""
    assert thing.serve(write_message(NOTHING))[1] is None


def test_a_sent_value_survives_senml() -> None:
    for value in (b"", POLL, bytes(30_000), bytes(70_000)):
        assert read_send(write_send(value).body) == {lwm2m.IPA_MESSAGE: value}


def test_senml_with_base_names_times_and_other_values_is_read() -> None:
    # [{-2: "/3443/0/", 0: "0", 2: 0, -3: 1.5e9}, {0: "3", 8: h'BF4F'}, {0: "9", 4: true}]
    body = bytes.fromhex("83 A4 21 68 2F333434332F302F 00 6130 02 00 22 FB41D65A0BC0000000")
    body += bytes.fromhex("A2 00 6133 08 42BF4F A2 00 6139 04 F5")
    assert read_send(body) == {lwm2m.IPA_MESSAGE: b"\xbf\x4f"}


@given(st.binary(max_size=60))
def test_any_octets_are_senml_or_refused(body: bytes) -> None:
    for octets in (body, b"\x81\xa2" + body, write_send(POLL).body[: len(body)]):
        with contextlib.suppress(Malformed):
            assert isinstance(read_send(octets), dict)
