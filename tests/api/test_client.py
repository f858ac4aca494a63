"""The typed client on the application itself: its models fit the OpenAPI, whole operations run through it."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import msgspec
import pytest
from tests.api.desk import Desk
from tests.card_lab import EID, SMDP, iccid
from tests.roles.eim_lab import EimLab

from keim.api.application import routes
from keim.api.client import Client, device_models, models
from keim.api.client.device_models import Filter, Operation, Target, Terms
from keim.api.client.local_transport import LocalTransport
from keim.cli.device import show, watch
from keim.cli.exit_codes import ExitCode
from keim.cli.operation import follow, order
from keim.errors import Refused
from keim.ids import Iccid

SECOND = str(Iccid.from_octets(iccid(2)))
"""Installed on the card of the laboratory, and not enabled."""
NAMES = {
    device_models.Device: "DeviceLine",
    device_models.Twin: "ShownTwin",
    device_models.Freshness: "ShownFreshness",
    device_models.Profile: "ShownProfile",
    device_models.Layer: "ShownLayer",
    device_models.Difference: "ShownDifference",
    device_models.Standing: "StandingOperation",
    device_models.Association: "ShownAssociation",
    device_models.Next: "Next",
    device_models.Outcome: "Outcome",
    device_models.Operation: "ShownOperation",
    device_models.Cancelled: "Cancelled",
    device_models.Event: "ShownEvent",
    models.Me: "Me",
    models.Webhook: "MadeWebhook",
    models.Delivery: "ShownDelivery",
    models.Product: "ShownProduct",
    models.Code: "ShownCode",
    models.AddedCodes: "AddedCodes",
    models.StartedDownload: "StartedDownload",
    models.BadLine: "BadLine",
    models.ImportReport: "DeviceReport",
    models.BundleReport: "ShownBundleReport",
    models.Bootstrap: "ShownBootstrap",
}


@pytest.mark.parametrize(("model", "name"), NAMES.items(), ids=NAMES.values())
def test_a_model_of_the_client_names_members_that_the_api_has(model: type[msgspec.Struct], name: str) -> None:
    schemas = routes().openapi()["components"]["schemas"]
    fields = {field.encode_name for field in msgspec.structs.fields(model)}
    assert fields - set(schemas[name]["properties"]) == set()


class SameLoop:
    """The laboratory's own loop, as the transport's runner."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._desk.site.run(coroutine)

    def close(self) -> None:
        pass


@pytest.fixture
def lab() -> Iterator[Desk]:
    made = Desk(EimLab())
    yield made
    made.close()


@pytest.fixture
def client(lab: Desk) -> Iterator[Client]:
    async def nothing() -> None:
        await asyncio.sleep(0)

    carrier = LocalTransport(SameLoop(lab), lab.application, nothing)  # type: ignore[arg-type]  # a runner in all that is used
    with Client(transport=carrier, token=lab.token("admin")) as made:
        yield made


def cycle(lab: Desk) -> None:
    assert isinstance(lab.site, EimLab)
    lab.site.cycle()


def test_an_operation_runs_to_its_proof(
    lab: Desk, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    cycle(lab)
    enable = {"command": "enable", "iccid": SECOND}
    ordered = client.operations.order([enable], Target(eid=EID), Terms(reason="a test"))
    assert (ordered.state, ordered.is_open, ordered.reason) == ("queued", True, "a test")
    assert client.devices.next(EID).operation == ordered.id
    lab.site.later(minutes=5)
    cycle(lab)
    ended = client.operations.wait(ordered.id, timeout_s=0)
    assert ended.outcome is not None
    assert (ended.state, ended.outcome.outcome, ended.outcome.is_proved) == (
        "succeeded",
        ("enable: ok",),
        True,
    )
    assert follow.outcome_code(ended) is ExitCode.OK
    twin = client.devices.get(EID)
    assert twin.proved.enabled == SECOND
    assert show.run_show(argparse.Namespace(eid=EID, at=None, json=False), client) == ExitCode.OK
    told = capsys.readouterr().out
    assert f"profile      {SECOND}" in told
    assert "proved: enabled" in told
    past = client.devices.get(EID, at=ordered.ordered_at)
    assert past.proved.enabled != SECOND


def test_a_download_out_of_the_catalogue_is_followed_in_the_log(lab: Desk, client: Client) -> None:
    assert isinstance(lab.site, EimLab)
    number, matching_id = lab.site.smdp.order()
    client.catalogue.create("iot")
    assert client.catalogue.add("iot", [f"1${SMDP}${matching_id}"]).added == 1
    (started,) = client.catalogue.download("iot", [EID])
    assert started.operation_id is not None
    cycle(lab)
    ended = client.operations.wait(started.operation_id, timeout_s=0)
    assert ended.state == "succeeded"
    events = list(client.events.list(device=EID))
    lines = [watch.line_of(event) for event in events]
    assert any("order_placed" in line and started.operation_id in line for line in lines)
    assert any("succeeded" in line and f"install: ok {number}" in line for line in lines)


def test_a_feed_in_this_process_tells_what_happens(lab: Desk, client: Client) -> None:
    feed = client.events.follow(device=EID, after=-1)
    assert next(feed).type == "device_enrolled"
    client.devices.change(EID, add_tags=["pilot"])
    following = [next(feed).type for _ in range(1)]
    assert following == ["device_changed"]
    feed.close()  # type: ignore[attr-defined]  # it is a generator


def operation(**counts: int) -> Operation:
    document = {
        "id": "x",
        "kind": "package",
        "state": next(iter(counts), "succeeded"),
        "devices": sum(counts.values()),
        "counts": counts,
        "ordered_at": "2026-11-29T12:00:00Z",
    }
    return msgspec.convert(document, Operation)


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"succeeded": 3}, ExitCode.OK),
        ({"failed": 1}, ExitCode.REFUSED_BY_PEER),
        ({"rolled_back": 2}, ExitCode.REFUSED_BY_PEER),
        ({"cancelled": 1}, ExitCode.REFUSED_BY_POLICY),
        ({"superseded": 1}, ExitCode.REFUSED_BY_POLICY),
        ({"expired": 1}, ExitCode.TIMED_OUT),
        ({"unknown": 1}, ExitCode.TIMED_OUT),
        ({"queued": 1, "succeeded": 5}, ExitCode.TIMED_OUT),
        ({"failed": 1, "succeeded": 5}, ExitCode.PARTLY_FAILED),
        ({"succeeded": 5, "failed": 0}, ExitCode.OK),
    ],
)
def test_the_exit_code_tells_how_an_operation_ended(counts: dict[str, int], code: ExitCode) -> None:
    assert follow.outcome_code(operation(**counts)) is code


GIVEN = {
    "eid": None,
    "eids": None,
    "filter": None,
    "all": False,
    "tag": [],
    "state": None,
    "prefix": "",
    "profile": "",
    "alarm": False,
    "not_seen_since": None,
}


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({"eid": EID}, Target(eid=EID)),
        ({"tag": ["a"], "state": "active"}, Target(filter=Filter(tags=("a",), state="active"))),
        ({"filter": "saved"}, Target(saved_filter="saved")),
        ({"all": True}, Target(filter=Filter())),
    ],
)
def test_whom_an_operation_is_for(given: dict[str, Any], target: Target) -> None:
    assert order._target(argparse.Namespace(**GIVEN | given)) == target


@pytest.mark.parametrize("given", [{}, {"eid": EID, "all": True}, {"tag": ["a"], "filter": "b"}])
def test_whom_an_operation_is_for_must_be_said_once(given: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        order._target(argparse.Namespace(**GIVEN | given))
    assert caught.value.code == "client.bad_input"
