"""Papers that were bent, repeated or sent astray; eIMs that lie or stay silent; devices that cannot go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.card_lab import EIM
from tests.roles.eim_lab import entry
from tests.roles.handover_lab import LISTING, NEW, HandoverLab, Side, new_entry

from keim.app.handover.papers import opened, read_bundle, read_invitation, read_receipt, signed
from keim.audit.note import NoteSigner
from keim.eim.handover.papers import BundleLine, line_of, read, written
from keim.eim.handover.rows import Arrived, Handover, Step
from keim.eim.rows import MAIN, DeviceState
from keim.errors import BadSignature, KeimError, Malformed, PeerError, Refused
from keim.io.handover_store.leaving import leaving_row
from keim.io.store.open import open_engine
from keim.pki.world import example_eids

MEMORY = (lambda: open_engine(":memory:"), lambda: open_engine(":memory:"))


@contextmanager
def refused_with(code: str) -> Iterator[None]:
    with pytest.raises(KeimError) as refused:
        yield
    assert refused.value.code == code


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[HandoverLab]:
    made = HandoverLab(3, tmp_path, MEMORY)
    made.prove_tokens()
    yield made
    made.close()


@pytest.fixture
def handover(lab: HandoverLab) -> Handover:
    return started(lab)


def started(lab: HandoverLab) -> Handover:
    planned = lab.plan()
    return lab.old.run(lab.old.departures.start(planned.reference))


def go_on(lab: HandoverLab, handover: Handover, **words: Any) -> int:
    return lab.old.run(lab.old.departures.go_on(handover, **words))


def bundle(lab: HandoverLab, handover: Handover) -> bytes:
    """With all devices, after their eUICCs have answered."""
    go_on(lab, handover)
    lab.call()
    go_on(lab, handover)
    return lab.old.run(lab.old.outgoing.bundle(handover.reference))


def receive(lab: HandoverLab, paper: bytes, **words: Any) -> Any:
    return lab.new.run(lab.new.incoming.receive(paper, **words))[0]


def take(lab: HandoverLab, handover: Handover, paper: bytes) -> Any:
    return lab.old.run(lab.old.outgoing.take_receipt(handover.reference, paper))


def resigned(paper: bytes, side: Side, change: Callable[[list[dict[str, Any]]], None]) -> bytes:
    """The paper with other lines, signed by whoever may sign it."""
    signer = side.signers(MAIN)
    rows = [json.loads(row) for row in opened(paper, signer.key).splitlines()]
    change(rows)
    return signed(b"".join(json.dumps(row).encode() + b"\n" for row in rows), signer)


def steps_of(lab: HandoverLab, handover: Handover) -> dict[str, int]:
    return lab.steps(handover)


# papers


def test_every_octet_of_a_paper_is_signed(lab: HandoverLab, handover: Handover) -> None:
    paper = bundle(lab, handover)
    for place in range(0, len(paper), 97):
        bent = paper[:place] + bytes([paper[place] ^ 1]) + paper[place + 1 :]
        with pytest.raises((BadSignature, Malformed)):
            read_bundle(bent, lab.old.key)
        with pytest.raises(KeimError):
            receive(lab, bent)
    assert lab.new.run(lab.new.store.devices()) == []
    assert receive(lab, paper).refused == {}


def test_a_bundle_is_taken_once(lab: HandoverLab, handover: Handover) -> None:
    paper = bundle(lab, handover)
    receive(lab, paper)
    with refused_with("handover.bundle_replayed"):
        receive(lab, paper)
    other = resigned(paper, lab.old, lambda rows: rows[0].update(made_at="2026-11-20T13:00:00Z"))
    with refused_with("handover.wrong_bundle"):
        receive(lab, other)


def test_a_bundle_is_for_the_eim_that_it_names(lab: HandoverLab, handover: Handover, tmp_path: Path) -> None:
    paper = bundle(lab, handover)
    (tmp_path / "third").mkdir()
    third = HandoverLab(1, tmp_path / "third", MEMORY)
    try:
        with refused_with("handover.wrong_receiver"):
            third.new.run(third.new.incoming.receive(paper))
    finally:
        third.close()
    with refused_with("handover.wrong_receiver"):
        receive(lab, resigned(paper, lab.old, lambda rows: rows[0].update(receiver="other.example.com")))
    with refused_with("handover.wrong_receiver"):
        receive(lab, paper, tenant="other")
    with refused_with("handover.wrong_sender"):
        receive(lab, paper, sender_key=lab.new.key.text)


def test_an_invitation_serves_one_old_eim(lab: HandoverLab, handover: Handover) -> None:
    first = bundle(lab, handover)
    receive(lab, first)
    second = resigned(first, lab.old, lambda rows: rows[0].update(sender="other.example.com", number=2))
    with refused_with("handover.wrong_sender"):
        receive(lab, second)


def test_without_the_senders_key_nothing_is_taken(lab: HandoverLab) -> None:
    incoming = lab.new.incoming
    _, paper = lab.new.run(incoming.invite(new_entry(), tenant=MAIN))
    planned = lab.old.run(lab.old.plans.plan(read_invitation(paper, lab.new.key), tenant=MAIN))
    found = bundle(lab, lab.old.run(lab.old.departures.start(planned.reference)))
    with refused_with("handover.sender_unknown"):
        receive(lab, found)
    assert receive(lab, found, sender_key=lab.old.key.text).devices == 3


def test_an_invitation_must_be_signed_by_the_published_key_and_whole(lab: HandoverLab) -> None:
    _, paper = lab.invitation()
    with pytest.raises(BadSignature) as bad:
        read_invitation(paper, lab.old.key)
    assert bad.value.code == "handover.bad_signature"
    for change in (
        lambda rows: rows[0].update(eim_id="other.example.com"),
        lambda rows: rows[0].update(eim_configuration_data="00"),
        lambda rows: rows[0].update(eim_configuration_data="no"),
        lambda rows: rows[0].update(log_key=lab.old.key.text),
        lambda rows: rows[0].update(more=1),
        lambda rows: rows[0].pop("id"),
        lambda rows: rows[0].update(paper="keim-handover-receipt/1"),
    ):
        with pytest.raises(Malformed) as malformed:
            read_invitation(resigned(paper, lab.new, change), lab.new.key)
        assert malformed.value.code == "handover.bad_paper"


def test_an_invitation_ends(lab: HandoverLab) -> None:
    invitation, paper = lab.invitation()
    lab.later(days=31)
    with refused_with("handover.invitation_expired"):
        lab.old.run(lab.old.plans.plan(read_invitation(paper, lab.new.key), tenant=MAIN))
    with refused_with("handover.bad_invitation"):
        lab.new.run(lab.new.incoming.invite(new_entry(), tenant=MAIN, days=0))
    with refused_with("audit.bad_log_key"):
        lab.new.run(lab.new.incoming.invite(new_entry(), tenant=MAIN, sender_key="nonsense"))
    own = msgspec.structs.replace(invitation, eim_id=EIM, expires_at=lab.old.clock.now().replace(year=2030))
    with refused_with("handover.bad_invitation"):
        lab.old.run(lab.old.plans.plan(own, tenant=MAIN))


@pytest.mark.parametrize(
    "octets",
    [b"", b"\n", b"{}\n\n", b"x" * 100, b"{}\n\n\xe2\x80\x94 a b\n", b"[" * 100_000 + b"\n\n", b"\xff\n\n\n"],
)
def test_nonsense_is_no_paper(lab: HandoverLab, octets: bytes) -> None:
    for attempt in (
        lambda: receive(lab, octets),
        lambda: read_bundle(octets, lab.old.key),
        lambda: read_invitation(octets, lab.old.key),
        lambda: read_receipt(octets, lab.old.key),
    ):
        with pytest.raises((PeerError, Refused)):
            attempt()


def test_lines_are_counted_and_bounded(lab: HandoverLab, handover: Handover) -> None:
    paper = bundle(lab, handover)
    for change in (
        lambda rows: rows.pop(),
        lambda rows: rows.append(rows[-1]),
        lambda rows: rows[1].update(more="x"),
        lambda rows: rows[1].update(token="x"),
        lambda rows: rows[1].update(info2="A" * 400_000),
    ):
        with pytest.raises(Malformed) as malformed:
            receive(lab, resigned(paper, lab.old, change))
        assert malformed.value.code == "handover.bad_paper"
    assert lab.new.run(lab.new.store.devices()) == []


# an old eIM that is wrong or lies


def test_a_device_that_is_known_is_left_out_and_the_others_go(lab: HandoverLab, handover: Handover) -> None:
    known = lab.devices[1]
    lab.new.run(lab.new.service.enrol(known.eid))
    told = receive(lab, bundle(lab, handover))
    assert told.refused == {known.eid: "handover.device_known"}
    receipt = lab.new.run(lab.new.incoming.receipt(handover.invitation.id, 1))
    assert take(lab, handover, receipt).unproved == {}
    assert steps_of(lab, handover) == {"failed": 1, "received": 2}
    row = lab.old.run(lab.old.departures.store.leaving_one(handover.reference, known.eid))
    assert row is not None
    assert row.why == ("handover.device_known",)
    assert known.eims() == [EIM, NEW], "the old eIM stays where the new one has not proved itself"


def test_a_device_that_was_left_out_goes_with_the_next_bundle(lab: HandoverLab, handover: Handover) -> None:
    known = lab.devices[1]
    lab.new.run(lab.new.service.enrol(known.eid))
    first = bundle(lab, handover)
    receive(lab, first)
    take(lab, handover, receipt_of(lab, handover))
    assert steps_of(lab, handover) == {"failed": 1, "received": 2}
    lab.new.run(lab.new.service.change_device(known.eid, state=DeviceState.ARCHIVED))
    go_on(lab, handover, retries=True)
    second = lab.old.run(lab.old.outgoing.bundle(handover.reference))
    assert first == lab.old.run(lab.old.outgoing.bundle(handover.reference, number=1))
    assert receive(lab, second).refused == {}
    for _ in range(3):
        lab.call()
        lab.new.run(lab.new.arrivals.run())
        for number in (1, 2):
            receipt = lab.new.run(lab.new.incoming.receipt(handover.invitation.id, number))
            assert take(lab, handover, receipt).unproved == {}
    assert steps_of(lab, handover) == {"left": 3}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda row, other: row.update(token=row["token"] + 1), "handover.unproved"),
        (lambda row, other: row.update(token=None), "handover.unproved"),
        (lambda row, other: row.pop("proof"), "handover.unproved"),
        (lambda row, other: row.update(proof=other["proof"]), "handover.unproved"),
        (lambda row, other: row.update(proof_token=17), "handover.unproved"),
        (lambda row, other: row.update(counter=5), "handover.bad_line"),
        (lambda row, other: row.update(euicc_certificate=other["euicc_certificate"]),
         "eim.certificate_of_another"),
        (lambda row, other: row.update(eum_certificate=row["euicc_certificate"]), "pki.untrusted_root"),
        (lambda row, other: row.update(eid="no eid"), "request.invalid_eid"),
        (lambda row, other: row.update(tags=["no tag"]), "eim.bad_tag"),
    ],
)  # fmt: skip
def test_what_the_old_eim_says_is_proved_by_the_euicc(
    lab: HandoverLab, handover: Handover, change: Callable[..., Any], code: str
) -> None:
    paper = resigned(bundle(lab, handover), lab.old, lambda rows: change(rows[1], rows[2]))
    told = receive(lab, paper)
    assert list(told.refused.values()) == [code]
    assert len(lab.new.run(lab.new.store.devices())) == 2


# a new eIM that is silent or lies


def test_while_the_new_eim_is_silent_the_old_one_stays(lab: HandoverLab, handover: Handover) -> None:
    lab.dead.add(NEW)
    receive(lab, bundle(lab, handover))
    for _ in range(4):
        lab.call()
        lab.new.run(lab.new.arrivals.run())
        receipt = lab.new.run(lab.new.incoming.receipt(handover.invitation.id, 1))
        take(lab, handover, receipt)
        go_on(lab, handover)
    assert steps_of(lab, handover) == {"received": 3}
    assert all(device.eims() == [EIM, NEW] for device in lab.devices)
    listing = lab.old.run(lab.old.service.order(lab.devices[0].eid, LISTING))
    lab.call()
    (operation,) = lab.old.run(lab.old.store.operations(listing.id))
    assert operation.state.value == "succeeded", "the old eIM still manages it"


def receipt_of(lab: HandoverLab, handover: Handover) -> bytes:
    lab.new.run(lab.new.arrivals.run())
    return lab.new.run(lab.new.incoming.receipt(handover.invitation.id, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda row, other: row.pop("contact"),
        lambda row, other: row.update(contact=other["contact"]),
        lambda row, other: row.update(contact=row["removal"][:-8] + "AAAAAAA="),
        lambda row, other: row.pop("removal"),
        lambda row, other: row.update(removal=row["contact"]),
        lambda row, other: row.update(removal=other["removal"]),
        lambda row, other: row.update(package=other["package"]),
        lambda row, other: row.pop("package"),
    ],
)
def test_a_receipt_counts_as_far_as_euiccs_have_signed_it(
    lab: HandoverLab, handover: Handover, change: Callable[..., Any]
) -> None:
    receive(lab, bundle(lab, handover))
    lab.call()
    lab.new.run(lab.new.arrivals.run())
    lab.call()
    paper = receipt_of(lab, handover)
    lied = resigned(paper, lab.new, lambda rows: change(rows[1], rows[2]))
    told = take(lab, handover, lied)
    assert list(told.unproved) == [lab.devices[0].eid]
    assert steps_of(lab, handover) == {"left": 2, "sent": 1}
    device = lab.old.run(lab.old.store.device(lab.devices[0].eid))
    assert device is not None
    assert device.state is DeviceState.ACTIVE
    assert take(lab, handover, paper).moved == 1
    assert steps_of(lab, handover) == {"left": 3}
    assert take(lab, handover, paper).moved == 0, "the same receipt again changes nothing"


def test_a_receipt_is_of_our_bundle_and_our_hand_over(lab: HandoverLab, handover: Handover) -> None:
    receive(lab, bundle(lab, handover))
    paper = receipt_of(lab, handover)
    for change, code in (
        (lambda rows: rows[0].update(handover="other"), "handover.wrong_receiver"),
        (lambda rows: rows[0].update(receiver="other"), "handover.wrong_receiver"),
        (lambda rows: rows[0].update(bundle_digest="AAAA"), "handover.wrong_bundle"),
        (lambda rows: rows[0].update(number=9), "handover.not_found"),
        (lambda rows: rows[0].update(is_rehearsal=True), "handover.rehearsal"),
    ):
        with refused_with(code):
            take(lab, handover, resigned(paper, lab.new, change))
    with pytest.raises(BadSignature):
        take(lab, handover, signed(opened(paper, lab.new.key), NoteSigner.new("x")))
    stranger = resigned(paper, lab.new, lambda rows: rows[1].update(eid="8" * 32))
    assert list(take(lab, handover, stranger).unproved) == ["8" * 32]


# plans


def test_a_plan_names_who_cannot_go_and_why(lab: HandoverLab) -> None:
    first, second, third = (device.eid for device in lab.devices)
    lab.old.run(lab.old.service.order(first, LISTING))
    lab.old.run(lab.old.service.change_device(second, state=DeviceState.QUARANTINED))
    handover = lab.plan(eids=[first, second, third, "8" * 30 + "91"])
    rows = lab.old.run(lab.old.departures.store.leaving(handover.reference))
    found = {row.eid: row.why for row in rows}
    assert found[first] == ("outstanding_work", "eims_unknown")
    assert found[second] == ("not_active", "eims_unknown")
    assert found[third] == ("eims_unknown",), "only odd"
    assert found["8" * 30 + "91"] == ("unknown",)
    with refused_with("handover.not_started"):
        go_on(lab, handover)
    lab.call()
    running = lab.old.run(lab.old.departures.start(handover.reference))
    go_on(lab, running)
    assert lab.steps(handover) == {"adding": 2, "blocked": 2}, "what was in the way is done"


def test_an_order_for_many_is_outstanding_work_of_each_of_them(lab: HandoverLab) -> None:
    first, second, third = (device.eid for device in lab.devices)
    lab.old.run(lab.old.service.order_for_many(LISTING, eids=[first, third]))
    handover = lab.plan(eids=[first, second, third])
    rows = lab.old.run(lab.old.departures.store.leaving(handover.reference))
    assert {row.eid: "outstanding_work" in row.why for row in rows} == {
        first: True,
        second: False,
        third: True,
    }


def test_devices_are_checked_together(lab: HandoverLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plan and a rehearsal ask of the database grows with lots, not with devices."""
    engine, asked = lab.old.store.engine, 0
    fetch = engine.fetch

    async def counted(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        nonlocal asked
        asked += 1
        return await fetch(sql, *parameters)

    monkeypatch.setattr(engine, "fetch", counted)
    costs = []
    for number in (10, 150):
        handover = lab.plan(eids=example_eids(number, ein="89990000"), reference=f"of-{number}")
        lab.old.run(lab.old.plans.rehearse(handover.reference))
        assert lab.steps(handover) == {"blocked": number}
        costs.append(asked)
        asked = 0
    assert costs[0] == costs[1]


def test_a_device_is_in_one_hand_over_at_a_time(lab: HandoverLab, handover: Handover) -> None:
    go_on(lab, handover)
    other = lab.plan()
    rows = lab.old.run(lab.old.departures.store.leaving(other.reference))
    assert {row.why for row in rows} == {("other_handover",)}


def test_plans_without_sense_are_refused(lab: HandoverLab) -> None:
    with refused_with("handover.no_devices"):
        lab.plan(tag="nobody")
    with refused_with("handover.no_devices"):
        lab.plan(eids=[])
    with pytest.raises(KeimError):
        lab.plan(eids=["12"])
    lab.plan(reference="once")
    with refused_with("handover.reference_in_use"):
        lab.plan(reference="once")
    for reference, tenant in (("never", None), ("once", "other")):
        with refused_with("handover.not_found"):
            lab.old.run(lab.old.departures.get(reference, tenant))


def test_a_rehearsal_does_everything_but_the_orders(lab: HandoverLab) -> None:
    lab.new.run(lab.new.service.enrol(lab.devices[2].eid))
    handover = lab.plan()
    told, paper = lab.old.run(lab.old.plans.rehearse(handover.reference))
    assert (told.devices, told.blocked, told.bundles) == (3, 0, 1)
    tried = receive(lab, paper)
    assert (tried.is_rehearsal, tried.refused) == (True, {lab.devices[2].eid: "handover.device_known"})
    lab.call()
    assert all(device.eims() == [EIM] for device in lab.devices)
    assert len(lab.new.run(lab.new.store.devices())) == 1
    assert lab.steps(handover) == {"planned": 3}
    _, receipt = lab.new.run(lab.new.incoming.receive(paper))
    header, lines = read_receipt(receipt, lab.new.key)
    assert header.is_rehearsal
    assert [line.step for line in lines] == [Arrived.RECEIVED, Arrived.RECEIVED, None]


def test_an_order_that_was_cancelled_is_a_failure_that_can_be_retried(
    lab: HandoverLab, handover: Handover
) -> None:
    go_on(lab, handover)
    rows = lab.old.run(lab.old.departures.store.leaving(handover.reference))
    orders = lab.old.run(lab.old.engine.fetch("SELECT reference FROM eim_orders WHERE id = ?", rows[0].order))
    assert lab.old.run(lab.old.service.cancel(orders[0][0]))
    lab.call()
    go_on(lab, handover)
    assert steps_of(lab, handover) == {"added": 2, "failed": 1}
    go_on(lab, handover, retries=True)
    lab.call()
    go_on(lab, handover)
    assert steps_of(lab, handover) == {"added": 3}


def test_a_hand_over_that_is_stopped_orders_nothing_and_can_be_taken_up_again(
    lab: HandoverLab, handover: Handover
) -> None:
    go_on(lab, handover)
    lab.devices[0].cycle()
    departures = lab.old.departures
    stopped = lab.old.run(departures.stop(handover.reference))
    assert steps_of(lab, handover) == {"added": 1, "failed": 2}, "one has it already"
    lab.call()
    assert go_on(lab, stopped, retries=True) == 0
    assert [len(device.eims()) for device in lab.devices] == [2, 1, 1]
    again = lab.old.run(departures.start(handover.reference))
    go_on(lab, again, retries=True)
    lab.call()
    go_on(lab, again)
    assert steps_of(lab, handover) == {"added": 3}


def test_a_lost_token_is_got_anew_by_deleting_and_adding(lab: HandoverLab, handover: Handover) -> None:
    """The eUICC has added the new eIM, and what it said is gone: listEim alone would not tell the token."""
    go_on(lab, handover)
    lab.call()
    store = lab.old.departures.store
    lost = lab.devices[0].eid
    row = lab.old.run(store.leaving_one(handover.reference, lost))
    assert row is not None
    failed = msgspec.structs.replace(row, step=Step.FAILED, version=row.version + 1)
    lab.old.run(lab.old.engine.commit([leaving_row(failed)]))
    go_on(lab, handover, retries=True)
    lab.call()
    go_on(lab, handover)
    assert steps_of(lab, handover) == {"added": 3}
    told = receive(lab, lab.old.run(lab.old.outgoing.bundle(handover.reference)))
    assert told.refused == {}


def test_a_device_comes_back_to_where_it_was_archived(lab: HandoverLab, handover: Handover) -> None:
    receive(lab, bundle(lab, handover))
    for _ in range(2):
        lab.call()
        paper = receipt_of(lab, handover)
    take(lab, handover, paper)
    assert steps_of(lab, handover) == {"left": 3}
    device = lab.devices[0]
    guest, invitation = lab.old.run(
        lab.old.incoming.invite(entry(counter_value=0), tenant=MAIN, sender_key=lab.new.key.text)
    )
    back = lab.new.run(
        lab.new.plans.plan(read_invitation(invitation, lab.old.key), tenant=MAIN, eids=[device.eid])
    )
    running = lab.new.run(lab.new.departures.start(back.reference))
    for _ in range(2):
        lab.new.run(lab.new.departures.go_on(running))
        lab.call()
    lab.new.run(lab.new.departures.go_on(running))
    found = lab.new.run(lab.new.outgoing.bundle(back.reference))
    told, _ = lab.old.run(lab.old.incoming.receive(found))
    assert told.refused == {}
    for _ in range(2):
        lab.call()
        lab.old.run(lab.old.arrivals.run())
    receipt = lab.old.run(lab.old.incoming.receipt(guest.invitation.id, 1))
    assert lab.new.run(lab.new.outgoing.take_receipt(back.reference, receipt)).unproved == {}
    assert device.eims() == [EIM]
    assert lab.new.run(lab.new.departures.store.counts(back.reference)) == {"left": 1}


def test_papers_read_as_they_were_written() -> None:
    line = BundleLine(eid="8" * 32, token=None, counter=0, euicc_certificate=b"c", eum_certificate=b"e")
    octets = written(line, (line_of(line), line_of(line)))
    assert read(octets, BundleLine, BundleLine) == (line, (line, line))
    with pytest.raises(Malformed):
        read(octets[:-1], BundleLine, BundleLine)
