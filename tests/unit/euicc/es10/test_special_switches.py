"""Rollback, fallback, emergency, immediate enable: who may, when, and what follows (euicc.md section 9)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.card_lab import EID, SMDP_OID, Lab, iccid, world

from keim.crypto.signed import euicc_package_result_tbs
from keim.crypto.suites import verifying_key_of_spki
from keim.der import tlv
from keim.euicc.faults import Faults
from keim.ids import Oid
from keim.messages.es10b import ProfileRollbackResponse
from keim.messages.notification import ListNotificationResponse
from keim.messages.package import (
    DeletePsmo,
    DisablePsmo,
    EnablePsmo,
    Psmo,
    SetFallbackAttributePsmo,
)
from keim.messages.profile import PprIds

A, B, C = iccid(1), iccid(2), iccid(3)
ROLLBACK, REFRESHED = "BF5803800100", "BF58038001FF"


def enable(target: bytes, *, rollback: bool = False) -> Psmo:
    return Psmo(enable=EnablePsmo(iccid=target, rollback_flag=rollback))


def ready(*, faults: Faults | None = None, **options: Any) -> Lab:
    """A enabled and its fallback attribute set; B and C disabled, C the emergency profile."""
    lab = Lab(faults=faults, **options)
    lab.download(1, metadata={"fallback_allowed": True})
    lab.download(2)
    lab.download(3, metadata={"emergency": True})
    lab.results(Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=A)))
    assert lab.results(enable(A)) == [("enable_result", 0)]
    clear(lab)
    return lab


def clear(lab: Lab) -> None:
    for number in range(1, lab.card.state.isdr.next_sequence_number):
        lab.es10(tlv(0xBF30, tlv(0x80, bytes((number,)))))


def code(lab: Lab, request: str) -> int:
    return lab.es10(request)[5]


def events(lab: Lab) -> list[tuple[bytes, int]]:
    """(ICCID, event) of what is pending."""
    found = ListNotificationResponse.decode(lab.es10("BF2800")).notification_metadata_list or ()
    return [(n.iccid or b"", int(n.profile_management_operation)) for n in found]


ENABLED, DISABLED = 2, 4


# rollback


def test_a_rollback_replaces_the_result_and_what_the_enable_announced() -> None:
    lab = ready()
    lab.results(enable(B, rollback=True))
    assert lab.enabled() == B
    assert events(lab) == [(A, DISABLED), (B, ENABLED)]
    before = lab.card.state.isdr.results[-1]
    answer = ProfileRollbackResponse.decode(lab.es10(ROLLBACK))
    assert answer.cmd_result == 0
    assert answer.euicc_package_result is not None
    signed = answer.euicc_package_result.euicc_package_result_signed
    assert signed is not None
    data = signed.euicc_package_result_data_signed
    assert [(e.kind, e.value) for e in data.euicc_result] == [("enable_result", 0), ("rollback_result", 0)]
    assert data.counter_value == lab.counter
    assert data.eim_transaction_id == b"\x0a\x0b"
    assert data.seq_number == before.sequence_number + 3
    key = verifying_key_of_spki(world().euicc(EID).certificate.spki)
    key.verify(signed.euicc_sign_epr, euicc_package_result_tbs(data.encode(), lab.token))
    assert lab.enabled() == A
    assert events(lab) == [(B, DISABLED), (A, ENABLED)]
    assert [r.data for r in lab.card.state.isdr.results] == [answer.euicc_package_result.encode()]
    assert code(lab, ROLLBACK) == 1


@pytest.mark.parametrize(
    "ending",
    ["delivered", "enable without flag", "fallback", "emergency", "reset"],
)
def test_what_ends_the_right_to_roll_back(ending: str) -> None:
    lab = ready()
    lab.results(enable(B, rollback=True))
    if ending == "delivered":
        number = lab.card.state.isdr.results[-1].sequence_number
        lab.es10(tlv(0xBF30, tlv(0x80, bytes((number,)))))
    elif ending == "enable without flag":
        lab.results(enable(A))
    elif ending == "fallback":
        assert code(lab, "BF5D03800100") == 0
    elif ending == "emergency":
        assert code(lab, "BF5B03800100") == 0
        assert code(lab, "BF5C03800100") == 0
    else:
        assert lab.es10("BF640482020204").hex() == "bf6406800101810100"
    assert code(lab, ROLLBACK) == 1


def test_without_a_grant_there_is_no_rollback() -> None:
    lab = ready()
    lab.results(enable(B))
    assert code(lab, ROLLBACK) == 1
    assert lab.enabled() == B


def test_a_refreshed_rollback_switches_after_the_answer() -> None:
    lab = ready()
    lab.results(enable(B, rollback=True))
    assert code(lab, REFRESHED) == 0
    assert lab.enabled() == A


def test_a_busy_terminal_delays_the_rollback() -> None:
    faults = Faults()
    lab = ready(faults=faults)
    lab.results(enable(B, rollback=True))
    faults.is_busy = True
    assert code(lab, ROLLBACK) == 5
    faults.is_busy = False
    assert code(lab, ROLLBACK) == 0


def test_the_target_of_a_rollback_cannot_be_deleted() -> None:
    lab = ready()
    lab.results(enable(B, rollback=True))
    assert lab.results(Psmo(delete=DeletePsmo(iccid=A))) == [("delete_result", 20)]


def test_a_rollback_survives_a_reset() -> None:
    lab = ready()
    lab.results(enable(B, rollback=True))
    lab.power_on()
    assert code(lab, ROLLBACK) == 0
    assert lab.enabled() == A


# fallback


def test_fallback_goes_there_and_back() -> None:
    lab = ready()
    lab.results(enable(B))
    clear(lab)
    assert code(lab, "BF5D03800100") == 0
    assert lab.enabled() == A
    assert events(lab) == [(B, DISABLED), (A, ENABLED)]
    assert code(lab, "BF5D03800100") == 2
    assert lab.results(Psmo(delete=DeletePsmo(iccid=B))) == [("delete_result", 21)]
    assert code(lab, "BF5E038001FF") == 0
    assert lab.enabled() == B
    assert code(lab, "BF5E03800100") == 6


@pytest.mark.parametrize(
    ("prepare", "request_", "expected"),
    [
        ("nothing enabled", "BF5D03800100", 7),
        ("no attribute", "BF5D03800100", 6),
        ("busy", "BF5D03800100", 5),
        ("emergency", "BF5D03800100", 104),
        ("emergency", "BF5E03800100", 6),
        ("plain", "BF5E03800100", 6),
        ("left by command", "BF5E03800100", 6),
        ("plain", "BF5D0101", 7),
        ("plain", "BF5E0101", 7),
    ],
)
def test_fallback_refusals(prepare: str, request_: str, expected: int) -> None:
    faults = Faults()
    lab = ready(faults=faults)
    if prepare == "nothing enabled":
        lab.results(Psmo(disable=DisablePsmo(iccid=A)))
    elif prepare == "no attribute":
        lab.results(enable(B))
        lab.results(Psmo(delete=DeletePsmo(iccid=A)))
    elif prepare == "busy":
        lab.results(enable(B))
        faults.is_busy = True
    elif prepare == "emergency":
        assert code(lab, "BF5B03800100") == 0
    elif prepare == "left by command":
        lab.results(enable(B))
        assert code(lab, "BF5D03800100") == 0
        lab.results(enable(B))
    assert code(lab, request_) == expected


def test_ppr1_does_not_strand_a_device() -> None:
    rat = bytes.fromhex("BF4315A013301180020560A10730058003EEEEEE82020780")
    lab = Lab(rat=rat, ppr1_needs_sole_operational=False)
    lab.download(1, metadata={"fallback_allowed": True})
    lab.download(2, metadata={"policy_rules": PprIds.PPR1, "owner": "26202"})
    lab.results(Psmo(set_fallback_attribute=SetFallbackAttributePsmo(iccid=A)), enable(B))
    assert code(lab, "BF5D03800100") == 0
    assert lab.enabled() == A


# emergency


def test_an_emergency_is_silent_outlasts_resets_and_leads_back() -> None:
    lab = ready()
    assert code(lab, "BF5B03800100") == 0
    lab.power_on()
    assert (lab.enabled(), events(lab)) == (C, [])
    assert code(lab, "BF5B03800100") == 2
    assert code(lab, "BF5803800100") == 1
    assert lab.es10("BF6404820201FE").hex() == "bf640980016881017f82017f"
    assert code(lab, "BF3404820205E0") == 5
    assert code(lab, "BF3111A00C5A0A" + A.hex() + "810100") == 5
    assert code(lab, "BF5C03800100") == 0
    assert (lab.enabled(), events(lab)) == (A, [])
    assert code(lab, "BF5C03800100") == 2


def test_a_card_without_emergency_profile_says_so() -> None:
    assert code(Lab(), "BF5B03800100") == 8
    assert code(ready(has_emergency=False), "BF5B03800100") == 8


# immediate enable


def configure(lab: Lab, *, flag: bool = True, oid: str = "", address: str = "") -> None:
    body = tlv(0x80) if flag else b""
    body += tlv(0x81, Oid(oid).content) if oid else b""
    body += tlv(0x82, address.encode()) if address else b""
    assert lab.es10(tlv(0xBF59, body)).hex() == "bf5903800100"


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({}, 0),
        ({"oid": SMDP_OID}, 0),
        ({"oid": "2.999.11"}, 1),
        ({"address": "SMDPPLUS.example.com"}, 0),
        ({"address": "elsewhere.example.com"}, 1),
        ({"oid": SMDP_OID, "address": "elsewhere.example.com"}, 0),
        ({"flag": False}, 1),
    ],
)
def test_immediate_enable_asks_for_the_right_smdp(configuration: dict[str, Any], expected: int) -> None:
    lab = Lab(eim=False)
    configure(lab, **configuration)
    lab.download(1)
    assert code(lab, "BF5A03800100") == expected
    assert lab.enabled() == (A if expected == 0 else None)


def test_immediate_enable_belongs_to_its_session() -> None:
    lab = Lab(eim=False)
    configure(lab)
    assert code(lab, "BF5A03800100") == 4
    lab.download(1)
    lab.challenge()
    assert code(lab, "BF5A03800100") == 4
    lab.download(2)
    lab.power_on()
    assert code(lab, "BF5A03800100") == 4
    lab.download(3)
    assert code(lab, "BF5A038001FF") == 0
    assert lab.enabled() == C


def test_local_configuration_ends_with_the_first_eim() -> None:
    assert Lab().es10("BF59028000").hex() == "bf5903800102"
