"""Files of devices through the API, on both databases: rows, reports, rehearsals, hostile files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.card_lab import EID, OTHER_EID, world

from keim.eim.events import DeviceEnrolled
from keim.errors import StoreFailed
from keim.ids import Eid
from keim.io.store.engine import Entry, NewRows

CSV = "text/csv; charset=utf-8"
JSON_LINES = "application/x-ndjson"


def send(desk: Desk, content: Any, media_type: str = CSV, **words: Any) -> Any:
    return desk.ask(
        "POST", "/imports/devices", content=content, headers={"content-type": media_type}, **words
    )


def report(desk: Desk, content: Any, media_type: str = CSV, **words: Any) -> dict[str, Any]:
    answer = send(desk, content, media_type, **words)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def eids(count: int) -> list[Eid]:
    return [Eid.with_check_digits(f"8904904400000000000000000{n:05d}") for n in range(count)]


def counted(document: dict[str, Any]) -> tuple[int, ...]:
    return tuple(document[name] for name in ("rows", "enrolled", "known", "failed"))


def devices(desk: Desk) -> dict[str, Any]:
    return {device.eid: device for device in desk.site.run(desk.services.store.devices())}


def test_devices_come_in_with_token_counter_and_tags(any_desk: Desk) -> None:
    text = f"eid,token,counter,tag:site\n{EID},5,7,berlin\n{OTHER_EID},,,\n"
    assert counted(report(any_desk, text, params={"tag": ["pilot"]})) == (2, 2, 0, 0)
    found = devices(any_desk)
    assert (found[EID].token, found[EID].counter, found[EID].tenant) == (5, 7, "main")
    tags = any_desk.site.run(
        any_desk.services.store.engine.fetch("SELECT tag, COUNT(*) FROM eim_tags GROUP BY tag ORDER BY tag")
    )
    assert [tuple(row) for row in tags] == [("pilot", 2), ("site=berlin", 1)]
    told = any_desk.site.events(DeviceEnrolled)
    assert [(event.eid, event.actor[:6]) for event in told] == [(EID, "token:"), (OTHER_EID, "token:")]


def test_certificates_are_checked_row_by_row(desk: Desk) -> None:
    euicc, eum = world().euicc(EID).certificate.der.hex(), world().get("eum").certificate.der.hex()
    lines = [
        {"eid": EID, "euicc_certificate": euicc, "eum_certificate": eum},
        {"eid": OTHER_EID, "euicc_certificate": euicc, "eum_certificate": eum},
    ]
    document = report(desk, "\n".join(map(json.dumps, lines)), JSON_LINES)
    assert counted(document) == (2, 1, 0, 1)
    assert document["problems"][0]["code"] == "eim.certificate_of_another"
    assert devices(desk)[EID].point is not None


def test_a_rehearsal_changes_nothing(any_desk: Desk) -> None:
    text = f"eid\n{EID}\n{EID}\nnonsense\n"
    rehearsed = report(any_desk, text, params={"dry_run": "true"})
    assert counted(rehearsed) == (3, 1, 0, 2)
    assert devices(any_desk) == {}
    assert report(any_desk, text) == rehearsed


def test_a_second_import_tells_or_skips_what_is_there(any_desk: Desk) -> None:
    text = "\n".join(["eid", *eids(2200)])
    assert counted(report(any_desk, text)) == (2200, 2200, 0, 0)
    again = report(any_desk, text)
    assert counted(again) == (2200, 0, 2200, 2200)
    assert again["problems"][0]["code"] == "eim.device_exists"
    assert counted(report(any_desk, text, params={"skip_known": "true"})) == (2200, 0, 2200, 0)


def test_of_two_imports_at_once_each_device_is_taken_by_one(any_desk: Desk) -> None:
    file = "\n".join(["eid", *eids(3200)])
    headers = {"content-type": CSV, "authorization": f"Bearer {any_desk.token('owner')}"}

    async def both() -> list[dict[str, Any]]:
        asked = [
            any_desk.client.post(
                "/v1/imports/devices", content=file, headers=headers, params={"skip_known": "true"}
            )
            for _ in range(2)
        ]
        return [answer.json() for answer in await asyncio.gather(*asked)]

    one, other = map(counted, any_desk.site.run(both()))
    assert one[0] == other[0] == 3200
    assert one[1] + other[1] == one[2] + other[2] == 3200
    assert one[3] == other[3] == 0
    assert any_desk.site.run(any_desk.services.store.devices_by_state()) == {"active": 3200}
    told = any_desk.site.run(
        any_desk.services.store.engine.fetch(
            "SELECT COUNT(*), COUNT(DISTINCT eid), MAX(id) - MIN(id) FROM eim_events"
            " WHERE kind = 'device_enrolled'"
        )
    )
    assert tuple(told[0]) == (3200, 3200, 3199), "each once, and none for a lot that was written anew"


def test_a_device_of_another_tenant_is_not_taken_over(any_desk: Desk) -> None:
    report(any_desk, EID)
    stolen = report(any_desk, EID, tenant="other")
    assert counted(stolen) == (1, 0, 1, 1)
    assert devices(any_desk)[EID].tenant == "main"


def test_a_file_is_read_as_it_comes(desk: Desk) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"\xef\xbb\xbfeid\r"
        for eid in eids(700):
            yield b"\n"
            yield eid[:20].encode()
            yield eid[20:].encode() + b"\r"

    assert counted(report(desk, slowly())) == (700, 700, 0, 0)


def test_what_came_before_an_unreadable_part_stays(desk: Desk) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield "\n".join(["eid", *eids(1600)]).encode()
        yield b"\n\xff\xff\n"

    assert refusal(send(desk, broken()), 422) == "import.bad_encoding"
    assert desk.site.run(desk.services.store.devices_by_state()) == {"active": 1000}
    assert counted(report(desk, "\n".join(eids(1600)), params={"skip_known": "true"})) == (1600, 600, 1000, 0)


def test_an_import_that_the_store_refuses_ends_between_two_lots_and_is_taken_up_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, lots = desk.services.store.engine, 0
    whole = engine.add

    async def add(tables: Sequence[NewRows], entries: Sequence[Entry] = ()) -> None:
        nonlocal lots
        lots += 1
        if lots == 2:
            raise StoreFailed("the disk is full", code="store.commit_failed")
        await whole(tables, entries)

    monkeypatch.setattr(engine, "add", add)
    file = "\n".join(["eid", *eids(4500)])
    assert refusal(send(desk, file), 503) == "store.commit_failed"
    taken = desk.site.run(desk.services.store.devices_by_state())["active"]
    assert taken == 1000 * (lots - 1), "whatever was begun has ended"
    assert counted(report(desk, file, params={"skip_known": "true"})) == (4500, 4500 - taken, taken, 0)


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"", CSV, 422, "import.empty_file"),
        (b"eid,colour\n", CSV, 422, "import.bad_header"),
        (b"PK\x03\x04\x00\x00\x00\x00", CSV, 422, "import.bad_encoding"),
        (b"eid\n", "application/json", 415, "api.media_type"),
        (b"eid\n", "text/csv; charset=latin-1", 415, "api.media_type"),
        (b"[]", JSON_LINES, 422, "import.bad_header"),
    ],
)
def test_a_file_that_is_none_is_refused(
    desk: Desk, content: bytes, media_type: str, status: int, code: str
) -> None:
    assert refusal(send(desk, content, media_type), status) == code
    assert devices(desk) == {}


def test_a_wrong_tag_for_all_is_refused_before_anything_is_read(desk: Desk) -> None:
    assert refusal(send(desk, EID, params={"tag": ["a b"]}), 422) == "eim.bad_tag"


def test_viewers_import_nothing(desk: Desk) -> None:
    assert refusal(send(desk, EID, role="viewer"), 403) == "access.scope_missing"


@pytest.mark.parametrize(("form", "media_type"), [("csv", CSV), ("jsonl", JSON_LINES)])
def test_what_is_exported_comes_in_again(any_desk: Desk, desk: Desk, form: str, media_type: str) -> None:
    euicc, eum = world().euicc(EID).certificate.der.hex(), world().get("eum").certificate.der.hex()
    head = "eid,token,counter,tags,euicc_certificate,eum_certificate"
    report(any_desk, f"{head}\n{EID},5,7,b|a,{euicc},{eum}\n" + "".join(f"{eid},,,,,\n" for eid in eids(700)))
    exported = any_desk.ask("GET", "/exports/devices", params={"form": form})
    assert exported.headers["content-type"].startswith(media_type.partition(";")[0])
    assert counted(report(desk, exported.content, media_type)) == (701, 701, 0, 0)
    old, new = devices(any_desk)[EID], devices(desk)[EID]
    assert (new.token, new.counter, new.point) == (old.token, old.counter, old.point)
    again = desk.ask("GET", "/exports/devices", params={"form": form})
    assert again.content == exported.content


def test_an_export_starts_no_formula_in_a_spreadsheet(desk: Desk) -> None:
    desk.ask("POST", "/devices", {"eid": EID, "tags": ["=1+1"]})
    exported = desk.ask("GET", "/exports/devices", params={"form": "csv"}).text
    assert ",'=1+1," in exported


def test_an_export_holds_nothing_of_another_tenant(desk: Desk) -> None:
    report(desk, EID)
    assert desk.ask("GET", "/exports/devices", tenant="other").content == b""
