"""Webhooks through the API: made, tested against a receiver on loopback, changed, paused, refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.card_lab import EID
from tests.https_peer import HttpsPeer
from tests.roles.eim_lab import EimOnly
from tests.tls_pair import server_of

from keim.api.webhook_signature import verify
from keim.app.webhook_setup import WebhooksConfig
from keim.wire.http import HttpRequest, HttpResponse


class Receiver:
    def __init__(self, folder: Path) -> None:
        self.received: list[HttpRequest] = []
        context, certificate = server_of()
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(certificate)
        self.peer = HttpsPeer(context, self._answer)
        self.url = f"https://localhost:{self.peer.port}/in"

    def _answer(self, request: HttpRequest) -> HttpResponse:
        self.received.append(request)
        return HttpResponse(204)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path)
    yield made
    made.peer.close()


@pytest.fixture
def desk(receiver: Receiver) -> Iterator[Desk]:
    webhooks = WebhooksConfig(allow_private=True, ca_file=str(receiver.ca_file))
    made = Desk(EimOnly(), webhooks=webhooks)
    yield made
    made.site.run(made.services.webhooks.worker.close())
    made.close()


def create(desk: Desk, url: str, **asked: Any) -> dict[str, Any]:
    answer = desk.ask("POST", "/webhooks", {"url": url, **asked})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/webhooks/{document['id']}"
    return document


def work(desk: Desk) -> None:
    worker = desk.services.webhooks.worker
    desk.site.run(worker.tick())
    desk.site.run(worker.drain())


def test_a_device_that_is_registered_is_told_to_the_receiver(desk: Desk, receiver: Receiver) -> None:
    webhook = create(desk, receiver.url, types=["device_*"])
    desk.site.run(desk.services.eim.enrol(EID))
    work(desk)
    (request,) = receiver.received
    now = desk.services.clock.now()
    assert verify(request.headers, request.body, webhook["secret"], now=now) == "main-1"
    event = json.loads(request.body)
    assert (event["type"], event["subject"], event["data"]["how"]) == (
        "keim.device_enrolled",
        EID,
        "registered",
    )
    (delivery,) = desk.get(f"/webhooks/{webhook['id']}/deliveries")["items"]
    assert (delivery["status"], delivery["has_succeeded"], delivery["cause"]) == (204, True, "event")
    again = desk.ask("POST", f"/webhooks/{webhook['id']}/deliveries/{delivery['id']}/resend")
    assert again.json()["cause"] == "resend"
    assert [item["cause"] for item in desk.get(f"/webhooks/{webhook['id']}/deliveries")["items"]] == [
        "resend",
        "event",
    ]


def test_a_webhook_is_tested_rotated_paused_resumed_and_removed(desk: Desk, receiver: Receiver) -> None:
    path = f"/webhooks/{create(desk, receiver.url)['id']}"
    assert desk.ask("POST", f"{path}/test", role="operator").json()["status"] == 204
    assert desk.ask("POST", f"{path}/rotate-secret").json()["secret"].startswith("whsec_")
    assert "secret" not in desk.get(path)
    paused = desk.ask("POST", f"{path}/pause", role="operator").json()
    assert paused["state"] == "paused"
    assert paused["reason"].startswith("by token:")
    desk.site.run(desk.services.eim.enrol(EID))
    resumed = desk.ask("POST", f"{path}/resume", {"from": "now"}, role="operator").json()
    assert (resumed["state"], resumed["after"]) == ("active", 3)
    assert desk.ask("POST", f"{path}/resume", {"after": -1}, role="operator").json()["after"] == -1
    assert refusal(desk.ask("POST", f"{path}/resume", {"after": 99})) == "webhook.position_invalid"
    assert desk.ask("DELETE", path).status_code == 204
    assert refusal(desk.ask("GET", path), 404) == "webhook.not_found"


def test_a_change_with_an_old_etag_is_refused(desk: Desk, receiver: Receiver) -> None:
    path = f"/webhooks/{create(desk, receiver.url)['id']}"
    etag = desk.ask("GET", path).headers["etag"]
    changed = desk.ask("PATCH", path, {"types": ["alarm_raised"]}, headers={"if-match": etag})
    assert changed.json()["types"] == ["alarm_raised"]
    again = desk.ask("PATCH", path, {"types": []}, headers={"if-match": etag})
    assert refusal(again, 412) == "api.version_mismatch"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"url": "http://hooks.example.com/"}, "webhook.address_refused"),
        ({"url": "https://user@hooks.example.com/"}, "webhook.address_refused"),
        ({"url": "https://hooks.example.com/", "types": ["devices"]}, "webhook.filter_invalid"),
        ({"url": "https://hooks.example.com/", "tags": [""]}, "webhook.filter_invalid"),
        ({"url": "https://hooks.example.com/", "secret": "mine"}, "api.invalid_request"),
        ({}, "api.invalid_request"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_made(
    desk: Desk, asked: dict[str, Any], code: str
) -> None:
    assert refusal(desk.ask("POST", "/webhooks", asked), 422) == code
    assert desk.get("/webhooks")["items"] == []


def test_private_addresses_are_refused_unless_they_are_allowed() -> None:
    desk = Desk(EimOnly())
    for url in ("https://localhost/", "https://10.0.0.1/", "https://169.254.169.254/latest"):
        assert refusal(desk.ask("POST", "/webhooks", {"url": url}), 422) == "webhook.address_refused"
    desk.close()


def test_only_admins_make_webhooks(desk: Desk, receiver: Receiver) -> None:
    for role in ("viewer", "operator", "approver"):
        assert refusal(desk.ask("POST", "/webhooks", {"url": receiver.url}, role=role), 403)


def test_another_tenant_sees_nothing_of_a_webhook(desk: Desk, receiver: Receiver) -> None:
    path = f"/webhooks/{create(desk, receiver.url)['id']}"
    assert desk.get("/webhooks", tenant="other")["items"] == []
    for method, way in (
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/test"),
        ("GET", f"{path}/deliveries"),
    ):
        assert refusal(desk.ask(method, way, tenant="other"), 404) == "webhook.not_found"


def test_webhooks_are_listed_page_by_page(desk: Desk, receiver: Receiver) -> None:
    made = {create(desk, receiver.url)["id"] for _ in range(3)}
    first = desk.get("/webhooks", params={"limit": 2})
    second = desk.get("/webhooks", params={"limit": 2, "cursor": first["next"]})
    assert {item["id"] for page in (first, second) for item in page["items"]} == made
    assert second["next"] is None
