"""What `keim bench wire` makes of packets: round trips as waits, ratios, links with sources."""

from __future__ import annotations

import json

import pytest
from benchmarks.wire_capture import Packet, summary
from benchmarks.wire_report import links, ratios, report

UP, DOWN, ACK_UP, ACK_DOWN = (
    Packet((True, 100, True)),
    Packet((False, 200, True)),
    Packet((True, 52, False)),
    Packet((False, 52, False)),
)


@pytest.mark.parametrize(
    ("packets", "trips"),
    [
        ([], 0),
        ([UP, DOWN], 1),
        ([UP, UP, DOWN, DOWN], 1),
        ([UP, ACK_DOWN, DOWN, ACK_UP, UP, DOWN], 2),
        ([DOWN, UP], 0),
        ([UP, DOWN, ACK_UP, ACK_DOWN], 1),
    ],
)
def test_a_round_trip_is_a_wait_for_the_other_side(packets: list[Packet], trips: int) -> None:
    assert summary(packets)["round_trips"] == trips


def test_packets_and_octets_are_counted_each_way() -> None:
    found = summary([UP, ACK_DOWN, DOWN, ACK_UP])
    assert (found["packets_up"], found["packets_down"]) == (2, 2)
    assert (found["bytes_up"], found["bytes_down"]) == (152, 252)


def row(way: str, job: str, packets: list[Packet]) -> dict[str, object]:
    return {"way": way, "job": job, "cycles": 1, **summary(packets)}


ROWS = [
    row("HTTPS, new connection (TLS 1.3)", "exchange", [UP, DOWN] * 5),
    row("CoAP/DTLS, live, connection id", "exchange", [UP, DOWN]),
    row("CoAP/DTLS, live, connection id", "enable", [UP, DOWN] * 3),
]


def test_the_live_association_is_held_against_the_new_connection() -> None:
    assert ratios(ROWS) == {"octets": 0.2, "packets": 0.2}
    text = report(ROWS, "a list", as_json=False)
    assert "Method: a list." in text
    assert "0.200 of the octets (at most 0.26 wanted)" in text
    assert json.loads(report(ROWS, "a list", as_json=True))["ratios"]["octets"] == 0.2


def test_each_link_says_where_its_numbers_come_from_and_more_costs_more() -> None:
    found = links()
    assert set(found) == {"nb_iot_good", "nb_iot_poor", "lte_m", "cat_1"}
    for link in found.values():
        assert link.sources
        assert all(link.sources)
        one, three = (summary([UP, DOWN] * count) for count in (1, 3))
        assert link.setup_s < link.seconds(one) < link.seconds(three)
        assert 0 < link.joules(one) < link.joules(three)
