"""Bent requests at every step of a download: always an answer, never a fault, never a harmed order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.answering import answer_of
from tests.scripted_euicc import ScriptedEuicc, upp
from tests.smdp_laboratory import Laboratory

from keim.ids import Iccid
from keim.io.es9p_server import Es9Server
from keim.messages.common import NotificationEvent
from keim.smdp.rows import ProfileState
from keim.wire import es9p_asn1
from keim.wire.http import HttpRequest

STEPS = ("initiate", "authenticate", "prepare", "cancel", "result", "other")


class Prepared:
    """One delivered session, and the genuine request of each step as octets."""

    def __init__(self) -> None:
        self.lab = Laboratory()
        self.server = Es9Server(self.lab.service.exchange)
        self.number, matching_id = self.lab.order()
        self.card = ScriptedEuicc(matching_id=matching_id)
        self.lab.deliver(self.card)
        iccid = Iccid(self.number)
        self.bodies = {
            step: es9p_asn1.write_request(request).body
            for step, request in {
                "initiate": ScriptedEuicc().initiate(),
                "authenticate": self.card.authenticate(),
                "prepare": self.card.prepare(),
                "cancel": self.card.cancel(0),
                "result": self.card.result(iccid),
                "other": self.card.other(NotificationEvent.NOTIFICATION_DELETE, iccid),
            }.items()
        }

    def send(self, body: bytes) -> int:
        request = HttpRequest(
            "POST", "/gsma/rsp2/asn1", {"content-type": "application/x-gsma-rsp-asn1"}, body
        )
        return self.lab.run(answer_of(self.server, request)).status


@pytest.fixture(scope="module")
def prepared() -> Iterator[Prepared]:
    made = Prepared()
    yield made
    made.lab.close()


@pytest.mark.parametrize("step", STEPS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_request_with_one_octet_changed_is_answered_and_harms_nothing(
    prepared: Prepared, step: str, data: st.DataObject
) -> None:
    body = bytearray(prepared.bodies[step])
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] ^= data.draw(st.integers(1, 255))
    assert prepared.send(bytes(body)) in (200, 204, 400)
    profile = prepared.lab.profile(prepared.number)
    assert profile.state is ProfileState.DOWNLOADED
    assert profile.bound_eid == prepared.card.eid


@pytest.mark.parametrize("step", STEPS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_request_with_a_piece_cut_or_doubled_is_answered(
    prepared: Prepared, step: str, data: st.DataObject
) -> None:
    body = prepared.bodies[step]
    start = data.draw(st.integers(0, len(body) - 1))
    end = data.draw(st.integers(start, min(len(body), start + 40)))
    bent = body[:start] + body[end:] if data.draw(st.booleans()) else body[:end] + body[start:]
    if bent != body:
        assert prepared.send(bent) in (200, 204, 400)
        assert prepared.lab.profile(prepared.number).state is ProfileState.DOWNLOADED


def test_the_genuine_requests_still_work_afterwards(prepared: Prepared) -> None:
    assert prepared.send(prepared.bodies["result"]) == 204
    assert prepared.lab.profile(prepared.number).state is ProfileState.INSTALLED
    assert len(upp(1)) > 100
