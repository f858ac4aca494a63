"""Bundles of a tenant: from one eIM to another, verified, refused when they were changed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.api.desk import Desk, refusal
from tests.card_lab import EID, OTHER_EID, SMDP, signer, world
from tests.roles.eim_lab import EimOnly, eim_of

from keim.audit import archive
from keim.audit.verification import verify_export
from keim.eim import compose
from keim.eim.rows import DeviceState
from keim.ids import Eid
from keim.io.audit_files import create_log_key
from keim.io.bundle_file import written
from keim.io.store.engine import Engine
from keim.io.store.open import open_engine
from keim.messages.package import DisablePsmo, Psmo

KEY = world().get("eim-sign").certificate.point[1:9].hex()
DISABLE = compose.package_of([Psmo(disable=DisablePsmo(iccid=bytes.fromhex("98001032547698103214")))])


def eim(**members: Any) -> Any:
    certificate = world().get("eim-sign").certificate.der
    return eim_of(signers={KEY: signer("eim-sign")}, signing_certificates={KEY: certificate}, **members)


@dataclass
class Two:
    old: Desk
    new: Desk


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Desk]:
    """An eIM with something to export, and with the key of its log."""
    key = tmp_path / "audit-log.key"
    create_log_key(key, "eim.example.com/audit")
    made = Desk(EimOnly(eim()), audit_key=str(key))
    fill(made)
    yield made
    made.close()


@pytest.fixture
def new() -> Iterator[Desk]:
    made = Desk(EimOnly(eim()))
    yield made
    made.close()


@pytest.fixture
def two(store_at: str, old: Desk) -> Iterator[Two]:
    async def open_it() -> Engine:
        return await open_engine(store_at)

    made = Two(old, Desk(EimOnly(eim(), open_store=open_it)))
    yield made
    made.new.close()


def fill(desk: Desk) -> None:
    """Two devices, one archived; an order for one, an order for many; a product with codes; a webhook."""
    csv = f"eid,token,counter,tags\n{EID},5,7,pilot|site=berlin\n{OTHER_EID},,,\n{spare(1)},,,\n"
    desk.ask("POST", "/imports/devices", content=csv, headers={"content-type": "text/csv"})
    service = desk.services.eim
    desk.site.run(service.order(EID, DISABLE, reference="single"))
    desk.site.run(service.order_for_many(DISABLE, reference="many"))
    desk.site.run(service.change_device(OTHER_EID, state=DeviceState.ARCHIVED))
    desk.ask("POST", "/catalogue", {"name": "iot"})
    codes = [{"activation_code": f"1${SMDP}$M-{number}"} for number in range(3)]
    desk.ask("POST", "/catalogue/iot/codes", {"codes": codes})
    desk.ask("POST", "/catalogue/iot/downloads", {"eids": [EID]})
    desk.ask("POST", "/webhooks", {"url": "https://hooks.example.com/", "types": ["alarm_*"]})


def spare(number: int) -> Eid:
    return Eid.with_check_digits(f"8904904400000000000000000{number:05d}")


def exported(desk: Desk) -> bytes:
    answer = desk.ask("POST", "/exports/bundle")
    assert answer.status_code == 200, answer.text
    return answer.content


def send(desk: Desk, octets: bytes, **query: str) -> Any:
    headers = {"content-type": "application/octet-stream"}
    return desk.ask("POST", "/imports/bundle", content=octets, headers=headers, params=query)


def taken(desk: Desk, octets: bytes, **query: str) -> dict[str, Any]:
    answer = send(desk, octets, **query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_what_a_tenant_owns_comes_to_another_eim(two: Two) -> None:
    bundle = exported(two.old)
    report = taken(two.new, bundle)
    assert report["problems"] == []
    counted = {
        name: report[name] for name in ("devices", "orders", "products", "codes", "webhooks", "failed")
    }
    assert counted == {"devices": 3, "orders": 3, "products": 1, "codes": 3, "webhooks": 1, "failed": 0}
    run, store = two.new.site.run, two.new.services.store
    devices = {device.eid: device for device in run(store.devices())}
    assert (devices[EID].token, devices[EID].counter, devices[EID].signer) == (5, 1007, KEY)
    assert devices[OTHER_EID].state is DeviceState.ARCHIVED
    assert run(store.order("single"))[0].work == DISABLE
    many = run(store.order("many"))[0]
    assert (many.work, many.devices, many.eid) == (DISABLE, 2, None), "the archived one gets nothing"
    assert two.new.get("/catalogue/iot")["codes"]["in_use"] == 1
    (webhook,) = two.new.get("/webhooks")["items"]
    assert (webhook["url"], webhook["state"]) == ("https://hooks.example.com/", "paused")
    tags = run(store.engine.fetch("SELECT tag FROM eim_tags ORDER BY tag"))
    assert [row[0] for row in tags] == ["pilot", "site=berlin"]


def test_a_second_import_changes_nothing_and_says_so(two: Two) -> None:
    bundle = exported(two.old)
    taken(two.new, bundle)
    before = two.new.site.run(two.new.services.store.devices())
    again = taken(two.new, bundle)
    assert (again["devices"], again["known_devices"]) == (0, 3)
    codes = {problem["code"] for problem in again["problems"]}
    assert codes >= {"catalogue.product_exists", "catalogue.code_exists", "eim.reference_in_use"}
    assert [one.counter for one in two.new.site.run(two.new.services.store.devices())] == [
        one.counter for one in before
    ]


def test_a_rehearsal_counts_and_changes_nothing(two: Two) -> None:
    report = taken(two.new, exported(two.old), dry_run="true")
    assert (report["devices"], report["codes"], report["failed"]) == (3, 3, 0)
    assert two.new.site.run(two.new.services.store.devices()) == []
    assert two.new.get("/catalogue")["items"] == []


def test_a_code_in_use_whose_download_is_not_here_is_nobodys(two: Two) -> None:
    (code,) = two.old.get("/catalogue/iot/codes", params={"state": "in_use"})["items"]
    two.old.site.run(two.old.services.eim.cancel(code["reference"]))
    taken(two.new, exported(two.old))
    (kept,) = two.new.get("/catalogue/iot/codes", params={"state": "reserved"})["items"]
    assert kept["note"] == "in use at the other eIM"


def test_the_log_inside_verifies_without_the_server(two: Two) -> None:
    pieces = [
        member.octets
        for member in archive.members(io.BytesIO(exported(two.old)).read)
        if member.name.startswith("audit/")
    ]
    report = verify_export(io.BytesIO(b"".join(pieces)).read)
    assert report.is_good, report
    assert report.leaves > 5


def test_no_secret_leaves_the_eim(two: Two) -> None:
    row = two.old.site.run(two.old.services.store.engine.fetch("SELECT row FROM webhooks"))[0][0]
    assert b'"secret"' not in exported(two.old)
    assert '"secret"' in row


@pytest.mark.parametrize("place", [0.02, 0.2, 0.4, 0.6, 0.8, 0.97])
def test_a_changed_octet_is_found_before_anything_is_taken(old: Desk, new: Desk, place: float) -> None:
    octets = bytearray(exported(old))
    octets[int(len(octets) * place)] ^= 1
    code = refusal(send(new, bytes(octets)))
    assert code in ("bundle.damaged", "bundle.bad_signature")
    assert new.site.run(new.services.store.devices()) == []


def test_a_part_that_was_left_out_is_missed(old: Desk, new: Desk) -> None:
    members = list(archive.members(io.BytesIO(exported(old)).read))
    for gone in ("orders/0", "signature"):
        kept = [member for member in members if member.name != gone]
        octets = b"".join(archive.member(member.name, member.octets) for member in kept) + archive.END
        refused = send(new, octets)
        assert refusal(refused) == ("bundle.damaged" if gone == "signature" else "bundle.bad_signature")


@pytest.mark.parametrize("octets", [b"", b"\0" * 1024, b"nonsense" * 200])
def test_what_is_no_bundle_is_refused(desk: Desk, octets: bytes) -> None:
    assert refusal(send(desk, octets), 422) == "bundle.damaged"


def test_devices_of_another_key_come_in_only_if_that_is_wished(old: Desk) -> None:
    other = {"0" * 16: signer("eim-tls")}
    new = Desk(EimOnly(eim_of(signers=other)))
    bundle = exported(old)
    assert refusal(send(new, bundle), 502) == "bundle.unknown_signer"
    told = old.ask("POST", "/exports/bundle").headers["keim-signer"]
    assert refusal(send(new, bundle, signed_by=told), 422) == "bundle.keys_absent"
    report = taken(new, bundle, accept_other_keys="true", signed_by=told)
    assert report["devices"] == 3
    new.close()


def test_bundles_are_for_admins(desk: Desk) -> None:
    assert refusal(desk.ask("POST", "/exports/bundle", role="operator"), 403) == "access.scope_missing"
    assert refusal(desk.ask("POST", "/exports/bundle")) == "bundle.no_certificate"


DATA = {"type": "data", "tag_list": "YYA="}


def signed(*members: tuple[str, bytes]) -> bytes:
    """By the eIM's own key, whatever is in it."""
    header = {
        "format": "keim-tenant-bundle/1",
        "tenant": "main",
        "eim_id": "eim.example.com",
        "made_at": "2026-11-20T12:00:00Z",
        "signers": [KEY],
    }
    whole = [("keim-tenant-bundle", json.dumps(header).encode()), *members]
    certificate = world().get("eim-sign").certificate.der
    return b"".join(written(whole, sign=signer("eim-sign").sign, certificate=certificate))


@pytest.mark.parametrize(
    ("name", "line", "code"),
    [
        ("devices/0", {"eid": "1"}, "request.invalid_eid"),
        ("devices/0", {"colour": "red"}, "import.bad_row"),
        ("states/0", {"eid": "1", "state": "active"}, "eim.device_unknown"),
        (
            "orders/0",
            {"reference": "r", "work": {"type": "data", "tag_list": "YYA="}, "eids": []},
            "eim.bad_order",
        ),
        ("orders/0", {"reference": "r", "work": {"type": "package", "commands": "AAAA"}, "eids": ["1"]}, ""),
        ("webhooks/0", {"url": "https://10.0.0.1/"}, "webhook.address_refused"),
        ("codes/0", {"tenant": "x", "product": "none", "text": "t", "added_at": "2026-11-20T12:00:00Z"}, ""),
    ],
)
def test_a_row_that_makes_no_sense_is_told(new: Desk, name: str, line: object, code: str) -> None:
    report = taken(new, signed((name, json.dumps(line).encode())))
    assert report["failed"] == 1
    assert report["problems"][0]["code"].startswith(code)
    assert new.site.run(new.services.store.devices()) == []


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("states/0", b'{"eid": "1", "state": "asleep"}'),
        ("orders/0", b"{"),
        ("codes/0", b'{"text": 7}'),
        ("products/0", b"[]"),
    ],
)
def test_a_part_that_cannot_be_read_ends_the_import(new: Desk, name: str, octets: bytes) -> None:
    assert refusal(send(new, signed((name, octets))), 422) == "bundle.damaged"


def test_a_certificate_of_the_same_ci_is_no_reason_to_trust_a_bundle(new: Desk) -> None:
    stranger = world().get("dp-tls").certificate.der
    member = ("keim-tenant-bundle", json.dumps({"format": "keim-tenant-bundle/1"}).encode())
    octets = b"".join(written([member], sign=signer("dp-tls").sign, certificate=stranger))
    refused = send(new, octets)
    assert refusal(refused, 502) == "bundle.unknown_signer"
    fingerprint = sha256(stranger).hexdigest()
    assert fingerprint in refused.json()["detail"]
    assert refusal(send(new, octets, signed_by=fingerprint)) == "bundle.damaged", "trusted, but no bundle"
