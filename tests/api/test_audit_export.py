"""The log as one file over the API: it verifies, and holds the caller's tenant's log alone."""

from __future__ import annotations

from tests.api.desk import Desk
from tests.unit.audit.audit_world import chunked

from keim.audit.verification import Options, verify_export
from keim.pki.world import example_eids


def test_the_export_over_the_api_verifies_and_is_the_tenants_own(any_desk: Desk) -> None:
    any_desk.tenant("acme")
    eid = str(example_eids(1)[0])
    made = any_desk.ask("POST", "/devices", {"eid": eid}, role="owner", tenant="acme")
    assert made.is_success, made.text
    answer = any_desk.ask("GET", "/audit/export", role="viewer", tenant="acme")
    assert answer.is_success, answer.text
    key = any_desk.services.logs.signer_of("acme").key
    report = verify_export(chunked(iter([answer.content])), Options(log_key=key))
    assert report.is_good, report.faults
    assert report.origin == key.name
    assert bytes.fromhex(eid) in answer.content
    stranger = any_desk.ask("GET", "/audit/export", role="viewer", tenant=any_desk.tenant("other"))
    assert bytes.fromhex(eid) not in stranger.content
