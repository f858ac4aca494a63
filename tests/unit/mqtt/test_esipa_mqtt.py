"""What both ends make of publications: topics, direction, correlation, strict alternation, bad input."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.der import tlv
from keim.ids import Eid
from keim.wire.alternation import answers, receipt_of
from keim.wire.esipa import EsipaFunction
from keim.wire.esipa_mqtt import (
    MOST_OCTETS,
    Asked,
    Publication,
    Refusal,
    Told,
    Topics,
    read_up,
    write_answer,
    write_injection,
    write_probe,
    write_status,
    write_wake,
)
from keim.wire.mqtt_dialogue import Answered, Declined, Dialogue, Injected, Woken

EID = Eid("89044045930000000000001234567853")
OTHER = Eid("89044045930000000000001234567952")
TOPICS = Topics()
POLL = tlv(0xBF4F, tlv(0x5A, EID.octets))
NOTHING = bytes.fromhex("BF4F03020101")
EPR = tlv(0xBF51, tlv(0xA0, tlv(0x30, tlv(0x83, b"\x05"), tlv(0x30)), tlv(0x5F37, bytes(64))))
RESULT = tlv(0xBF50, tlv(0x5A, EID.octets), EPR)
TID = bytes(range(16))
NOTE = tlv(0xBF3D, tlv(0xA0, tlv(0x30)))
PUSH = tlv(0xBF4E, tlv(0xBF52, tlv(0x5C, b"\x81")))


def up(message: bytes, topic: str = TOPICS.up(EID), **more: Any) -> Publication:
    return Publication(topic=topic, payload=message, **more)


def test_a_request_is_read_with_whose_it_is_and_what_it_asks() -> None:
    asked = read_up(up(POLL, correlation=b"12345678"), TOPICS)
    assert asked == Asked(EID, EsipaFunction.GET_EIM_PACKAGE, POLL, b"12345678")


@pytest.mark.parametrize("message", [NOTE, tlv(0xBF3B, tlv(0x80, TID)), tlv(0xBF50, EPR)])
def test_a_message_without_an_eid_belongs_to_its_topic(message: bytes) -> None:
    asked = read_up(up(message), TOPICS)
    assert isinstance(asked, Asked)
    assert asked.eid == EID


@pytest.mark.parametrize(
    ("publication", "reason"),
    [
        (up(POLL, "esipa/v1/up"), "topic"),
        (up(POLL, "esipa/v1/123/up"), "topic"),
        (up(POLL, f"esipa/v2/{EID}/up"), "topic"),
        (up(POLL, f"esipa/v1/{EID}/down"), "topic"),
        (up(POLL, f"esipa/v1/{EID}/up/1/2"), "topic"),
        (up(POLL, TOPICS.up(OTHER)), "foreign_eid"),
        (up(RESULT, TOPICS.up(OTHER)), "foreign_eid"),
        (up(POLL, is_retained=True), "retained"),
        (up(POLL + bytes(MOST_OCTETS)), "size"),
        (up(POLL, content_type="text/plain"), "content_type"),
        (up(POLL, response_topic=TOPICS.down(OTHER)), "response_topic"),
        (up(POLL, response_topic="$SYS/broker"), "response_topic"),
        (up(POLL, correlation=bytes(65)), "correlation"),
        (up(b""), "function"),
        (up(b"\xbf"), "function"),
        (up(b"\x30\x00\x00"), "function"),
    ],
)
def test_what_a_device_may_not_say_is_refused_with_its_reason(publication: Publication, reason: str) -> None:
    heard = read_up(publication, TOPICS)
    assert isinstance(heard, Refusal)
    assert heard.reason == reason


def test_answers_go_to_the_device_that_asked_and_carry_its_correlation() -> None:
    asked = Asked(EID, EsipaFunction.GET_EIM_PACKAGE, POLL, b"abc")
    answer = write_answer(TOPICS, asked, NOTHING, expiry_s=30)
    assert (answer.topic, answer.correlation, answer.is_retained) == (TOPICS.down(EID), b"abc", False)


def test_a_function_without_an_answer_has_an_empty_one_or_a_receipt() -> None:
    with_data, without = (Asked(EID, EsipaFunction.HANDLE_NOTIFICATION, NOTE, data) for data in (b"abc", b""))
    assert write_answer(TOPICS, with_data, b"", expiry_s=30).payload == b""
    assert write_answer(TOPICS, without, b"", expiry_s=30).payload == receipt_of(NOTE)


def test_only_calls_with_an_expiry_are_retained() -> None:
    assert write_wake(TOPICS, EID, b"1", expiry_s=60).is_retained
    assert not write_wake(TOPICS, EID, b"1", expiry_s=None).is_retained
    assert not write_probe(TOPICS, EID).is_retained


def dialogue(*, is_version_5: bool = True) -> Dialogue:
    return Dialogue(TOPICS, EID, is_version_5=is_version_5)


def down(message: bytes, **more: Any) -> Publication:
    return Publication(topic=TOPICS.down(EID), payload=message, **more)


def test_the_correlation_data_decide_under_version_5() -> None:
    talk = dialogue()
    request = talk.ask(POLL, b"12345678", expiry_s=30)
    assert (request.topic, request.response_topic) == (TOPICS.up(EID), TOPICS.down(EID))
    assert talk.hear(down(NOTHING)) == "unasked"
    assert talk.hear(down(NOTHING, correlation=b"87654321")) == "unasked"
    assert talk.hear(down(NOTHING, correlation=b"12345678")) == Answered(NOTHING)
    assert talk.hear(down(NOTHING, correlation=b"12345678")) == "unasked"  # a duplicate


def test_alternation_decides_under_version_3() -> None:
    talk = dialogue(is_version_5=False)
    assert talk.hear(down(NOTHING)) == "unasked"
    talk.ask(POLL, b"", expiry_s=30)
    assert talk.hear(down(bytes.fromhex("BF50023000"))) == "unasked"
    assert talk.hear(down(b"")) == "unasked"
    assert talk.hear(down(NOTHING)) == Answered(NOTHING)
    assert talk.hear(down(NOTHING)) == "unasked"
    talk.ask(NOTE, b"", expiry_s=30)
    assert talk.hear(down(b"")) == "unasked"
    assert talk.hear(down(receipt_of(NOTE + b"\0"))) == "unasked"  # of another notification
    assert talk.hear(down(receipt_of(NOTE))) == Answered(b"")
    talk.ask(POLL, b"", expiry_s=30)
    talk.give_up()
    assert talk.hear(down(NOTHING)) == "unasked"


def acknowledgement(*numbers: int) -> bytes:
    return tlv(0xBF50, tlv(0xBF53, *(tlv(0x80, bytes((number,))) for number in numbers)))


BOUND = tlv(0xBF3A, tlv(0x80, TID), tlv(0xBF21))


@pytest.mark.parametrize(
    ("request_", "answer", "fits"),
    [
        (RESULT, acknowledgement(5), True),
        (RESULT, acknowledgement(4, 5), True),
        (RESULT, acknowledgement(4), False),  # a late answer to an earlier result
        (RESULT, bytes.fromhex("BF50023000"), True),
        (RESULT, bytes.fromhex("BF5003020102"), True),
        (BOUND, tlv(0xBF3A, tlv(0xA0, tlv(0x80, TID), tlv(0xBF36))), True),
        (BOUND, tlv(0xBF3A, tlv(0xA0, tlv(0x80, bytes(16)), tlv(0xBF36))), False),
        (BOUND, tlv(0xBF3A, tlv(0xA0, tlv(0xBF36))), True),
        (BOUND, tlv(0xBF3A, tlv(0x81, b"\x7f")), True),
        (BOUND, b"", False),
        (NOTE, b"", False),
        (NOTE, receipt_of(NOTE), True),
        (NOTE, receipt_of(RESULT), False),
        (POLL, NOTHING, True),
        (POLL, RESULT, False),
        (POLL, b"\xff\xff\xff", False),
    ],
)
def test_an_answer_must_fit_what_was_asked(request_: bytes, answer: bytes, fits: bool) -> None:
    assert answers(request_, answer) is fits


def test_a_refusal_is_told_apart_from_an_empty_answer() -> None:
    talk = dialogue()
    talk.ask(NOTE, b"12345678", expiry_s=30)
    assert talk.hear(write_status(TOPICS, EID, b"12345678", "busy")) == Declined("busy")


def test_an_injection_is_taken_while_a_request_is_out_and_answered_where_the_eim_listens() -> None:
    talk = dialogue()
    talk.ask(POLL, b"12345678", expiry_s=30)
    injected = talk.hear(write_injection(TOPICS, EID, PUSH, b"x" * 8, instance="2", expiry_s=30))
    assert isinstance(injected, Injected)
    reply = talk.reply(injected, bytes.fromhex("BF4E020500"), expiry_s=30)
    assert (reply.topic, reply.correlation) == (TOPICS.up(EID, "2"), b"x" * 8)
    told = read_up(reply, TOPICS)
    assert told == Told(EID, bytes.fromhex("BF4E020500"), b"x" * 8)
    assert talk.hear(down(NOTHING, correlation=b"12345678")) == Answered(NOTHING)


@pytest.mark.parametrize("named", ["", TOPICS.up(OTHER, "1"), "other/topic", f"{TOPICS.up(EID)}/#"])
def test_an_answer_to_an_injection_never_leaves_the_devices_own_topics(named: str) -> None:
    reply = dialogue().reply(Injected(PUSH, b"", named), PUSH, expiry_s=30)
    assert reply.topic == TOPICS.up(EID)


@pytest.mark.parametrize(
    ("publication", "ignored"),
    [
        (Publication(topic=TOPICS.down(OTHER), payload=PUSH), "topic"),
        (down(PUSH, content_type="text/plain"), "content_type"),
        (down(b"\x01\x02\x03"), "function"),
        (down(PUSH + bytes(MOST_OCTETS)), "size"),
        (write_probe(TOPICS, EID), "unasked"),
    ],
)
def test_what_a_device_does_not_listen_to(publication: Publication, ignored: str) -> None:
    assert dialogue().hear(publication) == ignored


def test_a_call_is_heard_with_its_word() -> None:
    assert dialogue().hear(write_wake(TOPICS, EID, b"word", expiry_s=60)) == Woken(b"word")


@given(st.binary(max_size=80), st.sampled_from([TOPICS.up(EID), TOPICS.down(EID), TOPICS.wake(EID)]))
def test_any_octets_are_read_or_refused_at_both_ends(payload: bytes, topic: str) -> None:
    publication = Publication(topic=topic, payload=payload)
    assert read_up(publication, TOPICS) is not None
    for talk in (dialogue(), dialogue(is_version_5=False)):
        talk.ask(RESULT, b"12345678", expiry_s=1)
        assert talk.hear(publication) is not None
    assert answers(RESULT, b"\xbf\x50" + payload) in (True, False)
    assert answers(BOUND, b"\xbf\x3a" + payload) in (True, False)
