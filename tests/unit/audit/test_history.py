"""Which profile was enabled when, from true evidence of a software card, and what must be found."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.card_lab import EID, NOW, eim_spki, iccid, signer, world
from tests.unit.audit.audit_world import (
    LIST,
    MINUTE,
    AuditedLab,
    disable,
    enable,
    euicc_chain,
    human,
    verified,
)

from keim.audit.leaf import Doubt
from keim.audit.report import Period, Report
from keim.crypto.suites import suite_named
from keim.messages.package import DeletePsmo, Psmo, SetFallbackAttributePsmo
from keim.pki import TrustStore
from keim.pki.world import WorldPlan, create_world

A, B = iccid(1), iccid(2)


@pytest.fixture
def lab() -> AuditedLab:
    lab = AuditedLab()
    lab.download(1)
    lab.download(2, metadata={"fallback_allowed": True})
    return lab


def good(lab: AuditedLab) -> list[Period]:
    report, periods = verified(lab.exported())
    assert report.is_good, report.sorted_faults()
    return periods


def faults(lab: AuditedLab, **options: object) -> list[tuple[str, int | None]]:
    report, _ = verified(lab.exported(), **options)
    assert not report.is_good
    return [(fault.code, fault.leaf) for fault in report.sorted_faults()]


def told(periods: list[Period]) -> list[tuple[str, str, str | None]]:
    return [(period.iccid, period.enabled_by, period.ended_by) for period in periods]


def test_a_period_lies_between_package_and_proof(lab: AuditedLab) -> None:
    lab.perform(enable(A))  # leaves 0 and 1, at minutes 1 and 2
    lab.perform(enable(B))  # minutes 3 and 4
    first, second = good(lab)
    assert first == Period(
        eid=EID,
        iccid=human(A),
        earliest_from=NOW + MINUTE,
        proved_from=NOW + 2 * MINUTE,
        from_leaf=1,
        enabled_by="enable",
        earliest_to=NOW + 3 * MINUTE,
        proved_to=NOW + 4 * MINUTE,
        to_leaf=3,
        ended_by="enable",
    )
    assert (second.iccid, second.proved_to, second.ended_by) == (human(B), None, None)


def test_disable_and_delete_end_a_period(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    lab.perform(disable(A), Psmo(delete=DeletePsmo(iccid=A)))
    assert told(good(lab)) == [(human(A), "enable", "disable")]


def test_a_refused_command_changes_nothing(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    lab.perform(enable(iccid(9)))
    lab.perform(Psmo(delete=DeletePsmo(iccid=A)))
    assert told(good(lab)) == [(human(A), "enable", None)]


def test_a_list_shows_what_was_enabled_before_the_log_began(lab: AuditedLab) -> None:
    lab.es10(lab.package(enable(A)))
    lab.power_on()
    lab.perform(LIST)
    (period,) = good(lab)
    assert (period.iccid, period.enabled_by, period.earliest_from) == (human(A), "seen in a list", None)


def test_a_rollback_whose_first_result_came_ends_the_period(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    lab.perform(enable(B, rollback=True))
    answer = lab.es10("BF5803800100")
    lab.power_on()
    lab.report(rolled_back(answer))
    assert told(good(lab)) == [
        (human(A), "enable", "enable"),
        (human(B), "enable", "rollback"),
        (human(A), "rollback", None),
    ]


def test_a_rollback_whose_first_result_was_lost_shows_the_short_time_between(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    lab.es10(lab.order(enable(B, rollback=True)))
    lab.power_on()
    answer = lab.es10("BF5803800100")
    lab.power_on()
    lab.report(rolled_back(answer))
    assert told(good(lab)) == [(human(B), "enable", "rollback"), (human(A), "enable", None)]


def test_a_rollback_that_the_cards_notifications_told_before_is_told_once(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    lab.perform(enable(B, rollback=True))
    answer = lab.es10("BF5803800100")
    lab.power_on()
    lab.report_notifications()
    lab.report(rolled_back(answer))
    assert told(good(lab)) == [
        (human(A), "enable", "enable"),
        (human(B), "enable", "own report: disabled"),
        (human(A), "own report: enabled", None),
    ]


def test_a_replay_error_before_the_true_result_does_not_spoil_a_rollback(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    package = lab.order(enable(B, rollback=True))
    lab.es10(package)
    lab.report(lab.es10(package))
    lab.power_on()
    answer = lab.es10("BF5803800100")
    lab.power_on()
    lab.report(rolled_back(answer))
    assert told(good(lab)) == [(human(B), "enable", "rollback"), (human(A), "enable", None)]


def rolled_back(answer: bytes) -> bytes:
    """The new result in the answer to ProfileRollback."""
    assert answer[:2] == b"\xbf\x58"
    return answer[answer.index(b"\xbf\x51") :]


def test_a_fallback_shows_in_the_cards_own_notifications(lab: AuditedLab) -> None:
    lab.perform(Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=B)))
    lab.perform(enable(A))
    lab.report_notifications()
    lab.es10("BF5D038001FF")
    lab.power_on()
    lab.report_notifications()
    assert lab.enabled() == B
    assert told(good(lab)) == [
        (human(A), "enable", "own report: disabled"),
        (human(B), "own report: enabled", None),
    ]


def test_a_late_duplicate_changes_nothing(lab: AuditedLab) -> None:
    first = lab.perform(enable(A))
    lab.perform(enable(B))
    lab.report(first)
    assert told(good(lab)) == [(human(A), "enable", "enable"), (human(B), "enable", None)]


def test_a_package_error_leaves_everything_as_it_was(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    package = lab.order(enable(B), counter_value=1, token=lab.token, eim_transaction_id=b"\1")
    lab.report(lab.es10(package))
    report, periods = verified(lab.exported())
    assert [fault.code for fault in report.faults] == ["audit.counter_not_rising"]
    assert told(periods) == [(human(A), "enable", None)]


# ---- what must be found


def test_a_counter_that_does_not_rise_is_a_fault(lab: AuditedLab) -> None:
    lab.order(enable(A), counter_value=5)
    lab.order(enable(B), counter_value=5)
    assert faults(lab) == [("audit.counter_not_rising", 1)]


def test_a_counter_may_begin_anew_with_another_token(lab: AuditedLab) -> None:
    lab.order(enable(A), counter_value=5)
    lab.token = 7
    lab.order(enable(B), counter_value=1)
    good(lab)


def test_a_result_without_its_package_is_a_fault_unless_the_log_says_so(lab: AuditedLab) -> None:
    lab.report(lab.es10(lab.package(enable(A))))
    assert faults(lab) == [("audit.result_without_package", 0)]
    other = AuditedLab()
    other.download(1)
    other.report(other.es10(other.package(enable(A))), doubt=Doubt.UNKNOWN_PACKAGE)
    assert good(other) == []


def test_a_result_of_another_package_is_a_fault(lab: AuditedLab) -> None:
    """Signed by the card, same counter and transaction, but the log shows other commands."""
    answer = lab.es10(lab.package(enable(A)))
    lab.order(LIST, counter_value=lab.counter)
    lab.report(answer)
    assert faults(lab) == [("audit.result_mismatch", 1)]


def test_a_package_that_the_eim_did_not_sign_is_a_fault(lab: AuditedLab) -> None:
    stranger = suite_named("ecdsa-p256-sha256").new_signer()
    lab.order(enable(A), signer=stranger)
    assert faults(lab) == [("audit.eim_signature", 0)]


def test_a_package_is_signed_with_its_token(lab: AuditedLab) -> None:
    package = lab.package(enable(A))
    lab.note("package_signed", package=package, package_signer=eim_spki(), association_token=99)
    assert faults(lab) == [("audit.eim_signature", 0)]


def test_a_package_for_another_euicc_is_a_fault(lab: AuditedLab) -> None:
    package = lab.package(enable(A), eid_value=bytes(16))
    lab.note("package_signed", package=package, package_signer=eim_spki(), association_token=lab.token)
    assert faults(lab) == [("audit.result_mismatch", 0)]


def test_a_result_that_the_card_did_not_sign_is_a_fault_unless_the_log_says_so(lab: AuditedLab) -> None:
    answer = lab.es10(lab.order(enable(A)))
    forged = answer[:-1] + bytes([answer[-1] ^ 1])
    lab.report(forged, doubt=Doubt.NOT_VERIFIABLE)
    report, periods = verified(lab.exported())
    assert report.is_good
    assert (report.doubtful, periods) == (1, [])
    lab.report(forged)
    assert faults(lab) == [("audit.euicc_signature", 2)]


def test_unreadable_evidence_is_a_fault(lab: AuditedLab) -> None:
    lab.note("result_received", result=b"\xbf\x51\x01\x00", euicc_chain=euicc_chain())
    lab.note("package_signed", package=b"", package_signer=eim_spki())
    assert faults(lab) == [("audit.evidence_unreadable", 0), ("audit.evidence_unreadable", 1)]


def test_a_result_without_certificates_is_a_fault(lab: AuditedLab) -> None:
    lab.report(lab.es10(lab.order(enable(A))), euicc_chain=())
    assert faults(lab) == [("audit.object_missing", 1)]


def test_a_chain_to_another_ci_is_a_fault(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    stranger = create_world(WorldPlan(), now=NOW)
    assert faults(lab, roots=TrustStore(stranger.roots)) == [("audit.chain_refused", 1)]


def test_a_chain_is_judged_at_the_time_of_the_leaf(lab: AuditedLab) -> None:
    lab.order(enable(A))
    lab.now -= timedelta(days=40_000)
    lab.perform(enable(A))
    assert ("audit.chain_refused", 2) in faults(lab)


def test_a_certificate_of_the_eim_that_the_ci_issued_is_worth_no_remark(lab: AuditedLab) -> None:
    certificate = world().get("eim-sign").certificate.der
    package = lab.package(enable(A), signer=signer("eim-sign"))
    lab.note("package_signed", package=package, package_signer=certificate, association_token=lab.token)
    report, _ = verified(lab.exported())
    assert (report.is_good, report.remarks) == (True, [])


def test_a_clock_that_went_back_is_a_remark(lab: AuditedLab) -> None:
    lab.note("a")
    lab.note("b", at=NOW)
    report, _ = verified(lab.exported())
    assert report.is_good
    assert [(found.code, found.leaf) for found in report.remarks] == [("audit.clock_went_back", 1)]


def test_leaves_of_one_moment_may_stand_in_any_order(lab: AuditedLab) -> None:
    lab.note("a", at=NOW + timedelta(milliseconds=900))
    lab.note("b", at=NOW)
    report, _ = verified(lab.exported())
    assert (report.is_good, report.remarks) == (True, [])


def test_the_report_counts_what_it_checked(lab: AuditedLab) -> None:
    lab.perform(enable(A))
    lab.report_notifications()
    report: Report = verified(lab.exported())[0]
    assert (report.packages, report.results, report.euiccs, report.leaves) == (1, 1, 1, 3)
    assert report.signatures == 2 + report.statements
    assert report.since == NOW + MINUTE
    assert report.until == NOW + 3 * MINUTE
