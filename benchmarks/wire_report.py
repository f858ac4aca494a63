"""The tables of `keim bench wire`: what was captured, and what the models of radio links make of it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

LINKS: Final = Path(__file__).with_name("wire_links.toml")
TITLES: Final = {
    "exchange": "One exchange, 300 octets up and 400 down",
    "poll": "A poll with nothing waiting",
    "enable": "Poll, enable with rollback, result and notifications",
    "download": "A whole download through the eIM, with its result and notifications",
}
TARGETS: Final = {"octets": 0.26, "packets": 1 / 6}
"""Of one exchange on a live association with connection id, to one over a new TLS 1.3 connection."""


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    setup_s: float
    round_trip_s: float
    up_bps: float
    down_bps: float
    setup_mw: float
    transmit_mw: float
    receive_mw: float
    wait_mw: float
    tail_s: float
    tail_mw: float
    sources: list[str]

    def seconds(self, row: dict[str, Any]) -> float:
        return self.setup_s + sum(self._parts(row))

    def joules(self, row: dict[str, Any]) -> float:
        waiting, sending, receiving = self._parts(row)
        spent = self.setup_mw * self.setup_s + self.tail_mw * self.tail_s
        spent += self.wait_mw * waiting + self.transmit_mw * sending + self.receive_mw * receiving
        return spent / 1000

    def _parts(self, row: dict[str, Any]) -> tuple[float, float, float]:
        return (
            row["round_trips"] * self.round_trip_s,
            row["bytes_up"] * 8 / self.up_bps,
            row["bytes_down"] * 8 / self.down_bps,
        )


def links() -> dict[str, Link]:
    return msgspec.convert(tomllib.loads(LINKS.read_text("utf-8")), dict[str, Link])


def octets(row: dict[str, Any]) -> int:
    return int(row["bytes_up"] + row["bytes_down"])


def packets(row: dict[str, Any]) -> int:
    return int(row["packets_up"] + row["packets_down"])


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The live association's exchange beside the one over a new connection."""
    exchanges = {row["way"]: row for row in rows if row["job"] == "exchange"}
    new, live = exchanges["HTTPS, new connection (TLS 1.3)"], exchanges["CoAP/DTLS, live, connection id"]
    return {"octets": octets(live) / octets(new), "packets": packets(live) / packets(new)}


def report(rows: list[dict[str, Any]], method: str, *, as_json: bool) -> str:
    models = links()
    found = ratios(rows)
    if as_json:
        for row in rows:
            row["modelled"] = {
                name: {"seconds": round(link.seconds(row), 2), "joules": round(link.joules(row), 3)}
                for name, link in models.items()
            }
        document = {"method": method, "rows": rows, "ratios": found, "targets": TARGETS}
        return json.dumps(document | {"links": msgspec.to_builtins(models)})
    lines = [f"Method: {method}. IPv4 octets and packets; seconds and joules are modelled.", ""]
    lines += [*_overview(rows, models), ""]
    for job, title in TITLES.items():
        if measured := [row for row in rows if row["job"] == job]:
            lines += [f"**{title}**", "", *_table(measured, models), ""]
    lines.append(
        f"One exchange on a live association costs {found['octets']:.3f} of the octets (at most "
        f"{TARGETS['octets']:.2f} wanted) and {found['packets']:.3f} of the packets (at most "
        f"{TARGETS['packets']:.3f} wanted) of the same over a new TLS 1.3 connection."
    )
    return "\n".join(lines)


def _overview(rows: list[dict[str, Any]], models: dict[str, Link]) -> list[str]:
    """Octets, packets and round trips of all jobs, and the enable as a model sees it."""
    by_way: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_way.setdefault(row["way"], {})[row["job"]] = row
    shown = [models["nb_iot_good"], models["nb_iot_poor"]]
    head = ["octets / packets / round trips", "exchange", "poll", "enable", "download"]
    head += [f"enable on {link.title} (modelled)" for link in shown]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for way, jobs in by_way.items():
        cells = [_short(jobs.get(job)) for job in TITLES]
        enable = jobs.get("enable")
        cells += [
            "" if enable is None else f"{link.seconds(enable):.0f} s, {link.joules(enable):.1f} J"
            for link in shown
        ]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines


def _short(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{octets(row):,} / {packets(row)} / {row['round_trips']}"


def _table(rows: list[dict[str, Any]], models: dict[str, Link]) -> list[str]:
    titles = [link.title for link in models.values()]
    head = ["way", "round trips", "packets up + down", "octets up + down", *titles]
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    for row in rows:
        cells = [
            row["way"],
            str(row["round_trips"]),
            f"{row['packets_up']} + {row['packets_down']}",
            f"{row['bytes_up']:,} + {row['bytes_down']:,}",
            *(f"{link.seconds(row):.1f} s, {link.joules(row):.2f} J" for link in models.values()),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
