"""Webhooks, the pure part: signatures, bodies, filters, addresses, the schedule."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keim.eim.addresses import AddressPolicy
from keim.eim.webhooks import message, schedule, signature
from keim.eim.webhooks.address import target_of
from keim.eim.webhooks.message import Logged
from keim.eim.webhooks.rows import Progress, Webhook, WebhookState
from keim.errors import BadSignature, Refused

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECRET = bytes(range(32))
TEXT = signature.secret_text(SECRET)
EVENT = Logged(7, NOW, "device_enrolled", "89044045116727494800000004479366", b'{"how":"registered"}')


def webhook(**members: object) -> Webhook:
    given = {"tenant": "main", "id": "w", "url": "https://a.example", "created_at": NOW, "secret": b""}
    return Webhook(**given, **members)


def progress(**members: object) -> Progress:
    return Progress(**{"tenant": "main", "id": "w", "after": 5, **members})


# ---- signatures


def test_the_signature_is_that_of_standard_webhooks() -> None:
    headers = signature.headers_of("main-7", NOW, b"{}", [SECRET])
    expected = hmac.new(SECRET, f"main-7.{int(NOW.timestamp())}.{{}}".encode(), sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"


@given(st.binary(max_size=200))
def test_what_was_signed_verifies(body: bytes) -> None:
    headers = signature.headers_of("main-7", NOW, body, [SECRET])
    assert signature.verify(headers, body, TEXT, now=NOW) == "main-7"


def test_while_secrets_change_both_verify() -> None:
    other = bytes(32)
    headers = signature.headers_of("main-7", NOW, b"{}", [other, SECRET])
    for secret in (TEXT, signature.secret_text(other)):
        assert signature.verify(headers, b"{}", secret, now=NOW) == "main-7"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_wrong_is_named(minutes: int) -> None:
    headers = signature.headers_of("main-7", NOW, b"{}", [SECRET])
    with pytest.raises(BadSignature) as refused:
        signature.verify(headers, b"{}", TEXT, now=NOW + timedelta(minutes=minutes))
    assert refused.value.code == "webhook.clock_skew"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"webhook-signature": ""}, "webhook.signature_absent"),
        ({"webhook-timestamp": "yesterday"}, "webhook.signature_absent"),
        ({"webhook-timestamp": "９"}, "webhook.signature_absent"),
        ({"webhook-timestamp": "9" * 40}, "webhook.signature_absent"),
        ({"webhook-id": "main-8"}, "webhook.signature_wrong"),
        ({"webhook-signature": "v1,AAAA v2,BBBB é"}, "webhook.signature_wrong"),
    ],
)
def test_a_changed_header_is_refused(change: dict[str, str], code: str) -> None:
    headers = signature.headers_of("main-7", NOW, b"{}", [SECRET]) | change
    with pytest.raises(BadSignature) as refused:
        signature.verify(headers, b"{}", TEXT, now=NOW)
    assert refused.value.code == code


def test_a_changed_body_is_refused() -> None:
    headers = signature.headers_of("main-7", NOW, b'{"a":1}', [SECRET])
    with pytest.raises(BadSignature):
        signature.verify(headers, b'{"a": 1}', TEXT, now=NOW)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "whsec_äö", "whsec_" + "A" * 200])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        signature.secret_octets(text)
    assert refused.value.code == "webhook.secret_invalid"


# ---- bodies and filters


def test_the_body_is_a_cloud_event() -> None:
    assert json.loads(message.body_of(EVENT, tenant="main", eim_id="eim.example.com")) == {
        "specversion": "1.0",
        "id": "main-7",
        "source": "//eim.example.com/tenants/main",
        "type": "keim.device_enrolled",
        "subject": EVENT.eid,
        "time": "2026-11-20T12:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {"how": "registered"},
    }


def test_filters_let_through_what_they_name() -> None:
    kinds = ["device_enrolled", "result_received", "result_refused"]
    some = webhook(types=message.checked_types(["keim.result_*"], kinds), tags=("site=berlin",))
    assert [message.wants_kind(some, kind) for kind in kinds] == [False, True, True]
    assert message.wants_tags(some, {"site=berlin", "pilot"})
    assert not message.wants_tags(some, {"pilot"})
    assert message.wants_tags(webhook(), ())


@pytest.mark.parametrize("types", [["device_enroled"], ["["], ["x" * 100], ["device_enrolled "], ["*", "q*"]])
def test_a_filter_that_would_stay_silent_is_refused(types: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        message.checked_types(types, ["device_enrolled"])
    assert refused.value.code == "webhook.filter_invalid"


# ---- addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://10.0.0.8:8443/x",
        "https://localhost/",
        "https://[::1]/",
        "https://metadata.internal/",
        "https:///x",
        "ftp://hooks.example.com/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com\r\n/",
        "https://hooks.exämple.com/",
        "https://hooks.example.com:99999/",
        "https://" + "a" * 3000,
        "",
    ],
)
def test_addresses_that_are_not_called(url: str) -> None:
    with pytest.raises(Refused) as refused:
        target_of(url, AddressPolicy())
    assert refused.value.code == "webhook.address_refused"


def test_an_address_becomes_what_is_connected_to() -> None:
    target = target_of("https://Hooks.example.com:8443/in?x=1", AddressPolicy())
    assert (target.address, target.path, target.query) == ("hooks.example.com:8443", "/in", "x=1")
    assert target_of("http://10.0.0.8/", AddressPolicy(allows_private=True), allows_http=True).port == 80


# ---- the schedule


def test_an_event_is_tried_for_two_days_and_then_the_webhook_pauses() -> None:
    now, one = NOW, progress()
    while one.state is WebhookState.ACTIVE:
        one = schedule.failed(one, now, status=500)
        now = one.next_at or now
    assert timedelta(hours=46) < now - NOW < timedelta(hours=50)
    assert one.attempts == len(schedule.PAUSES_S) + 1
    assert one.after == 5
    assert one.reason == "no delivery since 2026-11-20T12:00:00Z"


def test_a_delivery_forgets_the_failures_before() -> None:
    one = schedule.delivered(schedule.failed(progress(), NOW), 6)
    assert (one.after, one.attempts, one.next_at, one.failing_since) == (6, 0, None, None)


def test_a_receiver_that_is_gone_is_left_alone_at_once() -> None:
    one = schedule.failed(progress(), NOW, status=410)
    assert one.state is WebhookState.PAUSED
    assert not schedule.is_due(one, NOW)
    assert schedule.is_due(schedule.resumed(one), NOW)


def test_a_wished_pause_is_kept_within_reason() -> None:
    one = schedule.failed(progress(), NOW, status=429, retry_after=timedelta(hours=1))
    assert one.next_at == NOW + timedelta(hours=1)
    one = schedule.failed(progress(), NOW, status=503, retry_after=timedelta(days=400))
    assert one.next_at == NOW + timedelta(days=1)
    one = schedule.failed(progress(), NOW, status=503, retry_after=timedelta(0), jitter=1.0)
    assert one.next_at == NOW + timedelta(seconds=5.5)
